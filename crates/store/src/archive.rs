//! The bucket of an open store: which objects there are, and reading them as if they were files.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use larder_base::{Clock, Error, ErrorKind, PartName, UploadId};
use parking_lot::{Mutex, RwLock};

use crate::bucket::{Bucket, BucketOptions, ObjectName};
use crate::row::{ObjectRow, ObjectState};

mod hollow;
mod object;
mod ranges;
mod reach;

pub(crate) use hollow::Hollow;
pub(crate) use object::ObjectFile;

use ranges::Ranges;
use reach::Reach;

/// What happened to the bucket since the opening.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) shipped: AtomicU64,
    pub(crate) adopted: AtomicU64,
    pub(crate) vanished: AtomicU64,
    pub(crate) deleted: AtomicU64,
    pub(crate) orphans: AtomicU64,
    pub(crate) repacked: AtomicU64,
    pub(crate) repacked_bytes: AtomicU64,
}

/// All objects that are or may be in the bucket, as the index has them.
#[derive(Default)]
struct Objects {
    rows: BTreeMap<u32, ObjectRow>,
    names: HashSet<ObjectName>,
    stored_bytes: u64,
    other_bytes: u64,
}

impl Objects {
    fn bytes(&mut self, row: &ObjectRow) -> &mut u64 {
        if row.state == ObjectState::Stored { &mut self.stored_bytes } else { &mut self.other_bytes }
    }

    fn remove(&mut self, segment: u32) {
        if let Some(row) = self.rows.remove(&segment) {
            self.names.remove(&row.name);
            *self.bytes(&row) -= row.length;
        }
    }

    fn set(&mut self, segment: u32, row: ObjectRow) {
        self.remove(segment);
        *self.bytes(&row) += row.length;
        self.names.insert(row.name.clone());
        self.rows.insert(segment, row);
    }
}

/// A store's part of a bucket.
pub(crate) struct Archive {
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) place: String,
    pub(crate) quota: AtomicU64,
    pub(crate) counts: Counts,
    /// What the names of this store's objects begin with.
    start: String,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    objects: RwLock<Objects>,
    ranges: Ranges,
    reach: Reach,
    /// Segments whose objects are gone, to be forgotten.
    vanished: Mutex<BTreeSet<u32>>,
    /// Segments that cannot be shipped: they have no table of their records.
    unshippable: Mutex<BTreeSet<u32>>,
}

impl Archive {
    /// The part of a bucket of the store with this id.
    pub(crate) fn new(options: &BucketOptions, id: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            bucket: Arc::clone(&options.bucket),
            place: options.place.clone(),
            quota: AtomicU64::new(options.quota),
            counts: Counts::default(),
            start: format!("{id}/"),
            clock,
            deadline: options.deadline,
            objects: RwLock::default(),
            ranges: Ranges::new(options.cache, options.deadline),
            reach: Reach::default(),
            vanished: Mutex::default(),
            unshippable: Mutex::default(),
        }
    }

    /// What the names of all objects of this store begin with.
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// What the names of the objects that the store itself puts begin with.
    pub(crate) fn segments_start(&self) -> String {
        format!("{}segments/", self.start)
    }

    /// The name of a segment's object.
    pub(crate) fn segment_name(&self, segment: u32) -> ObjectName {
        let name = format!("{}{segment:08}.seg", self.segments_start());
        name.parse().expect("an id and digits make a name")
    }

    /// The segment whose object has this name.
    pub(crate) fn segment_of(&self, name: &ObjectName) -> Option<u32> {
        let rest = name.as_str().strip_prefix(&self.segments_start())?;
        let id = rest.strip_suffix(".seg")?.parse().ok()?;
        (self.segment_name(id) == *name).then_some(id)
    }

    /// The name of the object that a client puts a part of an upload to.
    pub(crate) fn part_name(&self, part: &PartName) -> ObjectName {
        let name = format!("{}{}", self.upload_start(&part.upload), part.number);
        name.parse().expect("an id, digits and points make a name")
    }

    /// What the names of the objects of an upload's parts begin with.
    pub(crate) fn upload_start(&self, upload: &UploadId) -> String {
        format!("{}uploads/{upload}.", self.start)
    }

    /// The part whose object has this name.
    pub(crate) fn part_of(&self, name: &ObjectName) -> Option<PartName> {
        let (upload, number) = name.as_str().strip_prefix(&self.start)?.strip_prefix("uploads/")?.split_once('.')?;
        let part = PartName { upload: upload.parse().ok()?, number: number.parse().ok()? };
        (self.part_name(&part) == *name).then_some(part)
    }

    /// Takes in what the index says of a segment's object.
    pub(crate) fn set(&self, segment: u32, row: Option<ObjectRow>) {
        let mut objects = self.objects.write();
        match row {
            Some(row) => objects.set(segment, row),
            None => objects.remove(segment),
        }
        drop(objects);
        self.ranges.forget(segment);
    }

    /// What is known of a segment's object.
    pub(crate) fn object(&self, segment: u32) -> Option<ObjectRow> {
        self.objects.read().rows.get(&segment).cloned()
    }

    /// The object of a segment, if it is there.
    pub(crate) fn stored(&self, segment: u32) -> Option<ObjectRow> {
        self.object(segment).filter(|row| row.state == ObjectState::Stored)
    }

    /// The segments whose objects are in a state, oldest first.
    pub(crate) fn segments(&self, state: ObjectState) -> Vec<u32> {
        let objects = self.objects.read();
        objects.rows.iter().filter(|(_, row)| row.state == state).map(|(segment, _)| *segment).collect()
    }

    /// Whether the index speaks of an object.
    pub(crate) fn knows(&self, name: &ObjectName) -> bool {
        self.objects.read().names.contains(name)
    }

    /// Bytes of the objects that are used, and of those that are about to come or to go.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let objects = self.objects.read();
        (objects.stored_bytes, objects.other_bytes)
    }

    /// Whether so many bytes more are within the bucket's quota.
    pub(crate) fn fits(&self, more: u64) -> bool {
        let (stored, other) = self.bytes();
        stored.saturating_add(other).saturating_add(more) <= self.quota.load(Ordering::Relaxed)
    }

    pub(crate) fn full(&self) -> Error {
        let (stored, other) = self.bytes();
        let quota = self.quota.load(Ordering::Relaxed);
        let message = format!(
            "{} holds {stored} bytes of this store, and {other} about to come or go, of a quota of {quota}",
            self.place
        );
        Error::new(ErrorKind::Full, "put into bucket", message)
            .with_hint("raise the quota of the bucket, or wait: what is not used for the retention time is dropped")
    }

    /// A segment's object turned out to be gone; says whether that is news.
    pub(crate) fn note_vanished(&self, segment: u32) -> bool {
        self.vanished.lock().insert(segment)
    }

    pub(crate) fn is_vanished(&self, segment: u32) -> bool {
        self.vanished.lock().contains(&segment)
    }

    pub(crate) fn vanished(&self) -> Vec<u32> {
        self.vanished.lock().iter().copied().collect()
    }

    /// A vanished segment is forgotten.
    pub(crate) fn forgotten(&self, segment: u32) {
        self.vanished.lock().remove(&segment);
    }

    pub(crate) fn note_unshippable(&self, segment: u32) {
        self.unshippable.lock().insert(segment);
    }

    pub(crate) fn is_unshippable(&self, segment: u32) -> bool {
        self.unshippable.lock().contains(&segment)
    }

    /// How often the bucket failed to answer since it last did.
    pub(crate) fn failures(&self) -> u32 {
        self.reach.failures()
    }

    /// Fills the buffer from `offset` of a segment's object, through what is kept in memory. The object is known to be that
    /// long. [`io::ErrorKind::NotFound`] when it is gone, [`io::ErrorKind::HostUnreachable`] when it cannot be told.
    fn read_at(&self, segment: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let row = self.stored(segment).ok_or(io::ErrorKind::NotFound)?;
        let fetch = |offset, length| self.fetch(&row.name, offset, length);
        self.ranges.read(segment, row.length, offset, buffer, &fetch).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => unreachable("waited too long for a read that another had begun"),
            _ => error,
        })
    }

    /// As [`Archive::read_at`], from memory only; says whether it is there.
    fn read_at_once(&self, segment: u32, offset: u64, buffer: &mut [u8]) -> bool {
        self.ranges.read_at_once(segment, offset, buffer)
    }

    /// Exactly these bytes of an object. One that ends before counts as gone: it is not what was put.
    fn fetch(&self, name: &ObjectName, offset: u64, length: u64) -> io::Result<Bytes> {
        let begun = self.clock.now();
        if !self.reach.may_ask(begun) {
            return Err(unreachable("it did not answer lately"));
        }
        let mut whole = BytesMut::new();
        loop {
            let (at, wanted) = (offset + whole.len() as u64, length - whole.len() as u64);
            let left = self.deadline.saturating_sub(self.clock.now().since(begun));
            if left.is_zero() {
                self.reach.failed(self.clock.now());
                return Err(unreachable("it was too slow"));
            }
            let answer = self.bucket.read(name, at, wanted, left);
            self.counts.reads.fetch_add(1, Ordering::Relaxed);
            let bytes = match answer {
                Ok(answer) => answer.filter(|bytes| !bytes.is_empty()),
                Err(error) => {
                    tracing::debug!(%error, object = %name, "the bucket did not answer");
                    if error.kind() == ErrorKind::Unavailable {
                        // Another failure comes soon, and may be of this object alone.
                        self.reach.failed(self.clock.now());
                    }
                    return Err(io::Error::new(io::ErrorKind::HostUnreachable, error));
                }
            };
            let Some(mut bytes) = bytes else {
                self.reach.answered();
                return Err(io::ErrorKind::NotFound.into());
            };
            bytes.truncate(wanted as usize);
            self.counts.read_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if bytes.len() as u64 == length {
                self.reach.answered();
                return Ok(bytes);
            }
            whole.extend_from_slice(&bytes);
            if whole.len() as u64 == length {
                self.reach.answered();
                return Ok(whole.freeze());
            }
        }
    }

    /// Whether the object of a segment is there with all its bytes; `None` when that cannot be told now.
    pub(crate) fn is_there(&self, row: &ObjectRow) -> Option<bool> {
        match self.fetch(&row.name, row.length - 1, 1) {
            Ok(_) => Some(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }
}

fn unreachable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::HostUnreachable, format!("the bucket cannot be reached: {why}"))
}
