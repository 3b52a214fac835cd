//! The bucket as the store sees it: a few operations on objects, so that tests can put one in its place that fails,
//! forgets and lies. What implements it speaks to the network and is no part of this crate.
//!
//! What the store relies on: an object that [`Bucket::put`] returned for is there, whole, until it is deleted or somebody
//! else takes it away; a list may lack objects, but names none that never were.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{Error, Result, Timestamp, TransferUrl};

use crate::disk::DiskFile;

#[cfg(test)]
pub(crate) mod faulty;

/// The most bytes of an object's name.
const NAME_MAX: usize = 512;

/// Objects in one place of a bucket. Every call ends within a time that the implementation sets, retries included.
///
/// A failure of any kind but an absent object is an error: [`larder_base::ErrorKind::Unavailable`] where trying later may
/// help.
pub trait Bucket: Send + Sync {
    /// Makes an object of the first `length` bytes of a file, in place of one of that name. When this returns, the object
    /// is there whole.
    fn put(&self, name: &ObjectName, file: Arc<dyn DiskFile>, length: u64) -> Result<()>;

    /// Up to `length` bytes of an object from `offset`, within a time; none at its end and beyond. `None` when there is no
    /// such object.
    fn read(&self, name: &ObjectName, offset: u64, length: u64, within: Duration) -> Result<Option<Bytes>>;

    /// Deletes an object; one that is not there is deleted already.
    fn delete(&self, name: &ObjectName) -> Result<()>;

    /// Some of the objects whose names begin with `start`, in any order, going on where an earlier page ended. Objects with
    /// names that are no [`ObjectName`] are left out.
    fn list(&self, start: &str, next: Option<&str>) -> Result<ObjectPage>;

    /// A URL by which whoever holds it reads exactly these bytes of an object, for about so long; `None` where clients
    /// are not to reach the bucket. Nothing is asked of the bucket.
    fn read_url(&self, name: &ObjectName, offset: u64, length: u64, lifetime: Duration) -> Result<Option<TransferUrl>>;

    /// A URL by which whoever holds it makes an object of exactly `length` bytes, once: where there is an object of the name
    /// it stays as it is. `None` also where the bucket cannot promise that.
    fn put_url(&self, name: &ObjectName, length: u64, lifetime: Duration) -> Result<Option<TransferUrl>>;
}

/// The name of an object: 1 to 512 of the characters `a-z A-Z 0-9 . _ - /`, made by Larder, never by a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Arc<str>);

impl ObjectName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
        if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            Err(Error::invalid("read object name", "a name is 1 to 512 of the characters a-z A-Z 0-9 . _ - /"))
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: ObjectName,
    /// Its bytes.
    pub length: u64,
    /// When it was put.
    pub modified: Timestamp,
}

/// Some objects of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// The objects.
    pub objects: Vec<Object>,
    /// Hand this back to get the next page; `None` at the end.
    pub next: Option<String>,
}

/// A bucket that a store keeps its segments in.
#[derive(Clone)]
pub struct BucketOptions {
    /// The bucket.
    pub bucket: Arc<dyn Bucket>,
    /// Which one it is, such as `s3://name/prefix`. A store that has segments in one place is not opened with another.
    pub place: String,
    /// The most bytes of objects.
    pub quota: u64,
    /// How long a read of the bucket may take at most.
    pub deadline: Duration,
    /// The most bytes read from the bucket that are kept in memory.
    pub cache: usize,
    /// Random bytes: the id of the store, if this is its first opening with a bucket.
    pub fresh_id: [u8; 16],
}

impl BucketOptions {
    /// The defaults, for a bucket, its place, a quota in bytes and 16 random bytes.
    pub fn new(bucket: Arc<dyn Bucket>, place: impl Into<String>, quota: u64, fresh_id: [u8; 16]) -> Self {
        let (deadline, cache) = (Duration::from_secs(5), 64 << 20);
        Self { bucket, place: place.into(), quota, deadline, cache, fresh_id }
    }
}

impl fmt::Debug for BucketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketOptions").field("place", &self.place).field("quota", &self.quota).finish_non_exhaustive()
    }
}
