//! Entries: what a door remembers under a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::{ContentHash, Digest, DoorName, Key, Namespace, Scope, Timestamp};

/// The most bytes of an entry's attributes, names and values together.
pub const ATTRIBUTES_MAX_BYTES: usize = 4096;
/// The most bytes of a writer's name.
pub const WRITER_MAX_BYTES: usize = 256;
/// The largest value that lives in the index row itself, so that one index read answers for it.
pub const INLINE_MAX_BYTES: usize = 1024;
/// The largest value that an answer to a lookup carries when the tier can read it without waiting.
pub const AT_HAND_MAX_BYTES: usize = 16 << 10;

/// Small facts a door keeps beside a value, such as a content type. At most [`ATTRIBUTES_MAX_BYTES`].
pub type Attributes = BTreeMap<String, String>;

/// Where an entry is: everything that must be equal for two lookups to mean the same thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryAddress {
    /// The project.
    pub namespace: Namespace,
    /// The trust level it was written at.
    pub scope: Scope,
    /// The protocol whose key it is.
    pub door: DoorName,
    /// The client's name for it.
    pub key: Key,
}

/// What is kept at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub blob: Digest,
    /// The value itself when it is at most [`INLINE_MAX_BYTES`], or at most [`AT_HAND_MAX_BYTES`] and read to be served
    /// ([`Access::Serve`]); a tier may leave it out.
    pub inline: Option<Bytes>,
    /// Facts beside the value.
    pub attributes: Attributes,
    /// Every other blob without which the value is of no use; an entry is served only while all are present.
    pub links: Arc<[ContentHash]>,
    /// Who wrote it.
    pub writer: String,
    /// When it was written.
    pub created: Timestamp,
    /// When it was last served ([`Access::Serve`]); `created` when it never was. Exact to about a minute.
    pub last_served: Timestamp,
    /// Differs between any two values ever kept at one address.
    pub revision: u64,
}

/// The value of an entry about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryBody {
    /// A blob that the namespace already holds.
    Stored(Digest),
    /// Bytes to be stored in the same commit, at most one chunk ([`crate::chunk::MAX_LEN`]).
    Value(Bytes),
}

/// An entry about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The value.
    pub body: EntryBody,
    /// Facts beside it.
    pub attributes: Attributes,
    /// Every other blob it needs; all must be present in the namespace.
    pub links: Arc<[ContentHash]>,
    /// Who writes it.
    pub writer: String,
}

/// When a put takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutIf {
    /// Only when nothing is there: the first write wins.
    Absent,
    /// Always; what was there is replaced.
    Always,
    /// Only when the revision there is still this one.
    Unchanged(u64),
}

/// What a put did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was written, durably, and this is what is there now.
    Stored(Entry),
    /// The condition did not hold; this is what is there (`None`: nothing is).
    Kept(Option<Entry>),
    /// Blobs it links to, or its stored value, are not present in the namespace: these.
    Incomplete(Vec<ContentHash>),
}

/// Why an entry is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To give it to a client: it counts as use.
    Serve,
    /// To see whether it is there; it stays readable for the retention time, but was not used.
    Check,
}

/// Which entries a listing is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPrefix {
    /// The project.
    pub namespace: Namespace,
    /// One scope, or every scope.
    pub scope: Option<Scope>,
    /// One door, or every door.
    pub door: Option<DoorName>,
    /// How the keys begin; empty for all.
    pub prefix: String,
}

/// One line of a listing; its entry carries no links and no inline value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub address: EntryAddress,
    /// What is there.
    pub entry: Entry,
}

/// A page of a listing, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The entries of this page.
    pub entries: Vec<Listed>,
    /// Hand this back to get the next page; `None` at the end.
    pub next: Option<String>,
}
