//! The protocol of the tier door: what a node says to the Larder above it.
//!
//! Paths are relative to `/tier/v1/{namespace}/`. A hash is the number of its function and then the hash, 33 bytes; in paths
//! and JSON it is 66 lower-case hexadecimal digits. Lists of hashes are these bytes one after the other. Chunks move as
//! segments, one body for many. Unknown fields of JSON are ignored on both sides, so that either may be the newer one.

mod direct;
mod frame;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use direct::{Run, RunsAnswer, UploadAnswer, UploadPlace, UploadRequest};
pub use frame::{FRAME_PARTS_MAX_BYTES, Frame};

/// The most hashes in the body of one request; a client with more asks several times.
pub const HASHES_MAX: usize = 16_384;
/// Bytes of a hash in such a body.
pub const HASH_LEN: usize = 33;
/// Bytes of one line of the answer to `locate`.
pub const PLACE_LEN: usize = HASH_LEN + 16;
/// The most bytes of a segment that is sent to `segment`.
pub const SEGMENT_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// A segment with fewer bytes is never kept as it lies: it would be a file, and an object where there is a bucket. So it is
/// sent to `segment`, and no URL is given for it.
pub const SMALL_BYTES: u64 = 1024 * 1024;
/// The most entries of one page of a listing.
pub const PAGE_MAX: u32 = 1000;
/// The header of an answer that carries a blob: the size of the whole of it.
pub const SIZE_HEADER: &str = "larder-size";

/// The hashes of a body; `None` when its length is not a multiple of [`HASH_LEN`].
pub fn split_hashes(body: &[u8]) -> Option<impl ExactSizeIterator<Item = &[u8; HASH_LEN]>> {
    let (hashes, rest) = body.as_chunks::<HASH_LEN>();
    rest.is_empty().then(|| hashes.iter())
}

/// A record that can be fetched: one line of the answer to `locate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The chunk.
    pub hash: [u8; HASH_LEN],
    /// Its bytes.
    pub size: u64,
    /// The bytes of its record, header included.
    pub length: u64,
}

impl Place {
    /// Appends the line.
    pub fn write(&self, answer: &mut Vec<u8>) {
        answer.extend_from_slice(&self.hash);
        answer.extend_from_slice(&self.size.to_le_bytes());
        answer.extend_from_slice(&self.length.to_le_bytes());
    }

    /// The lines of an answer; `None` when it has a broken length.
    pub fn split(answer: &[u8]) -> Option<impl ExactSizeIterator<Item = Self>> {
        let (lines, rest) = answer.as_chunks::<PLACE_LEN>();
        let number = |line: &[u8; PLACE_LEN], at: usize| {
            u64::from_le_bytes(*line[at..].first_chunk().expect("a line has two numbers behind its hash"))
        };
        let place = move |line: &[u8; PLACE_LEN]| Self {
            hash: *line.first_chunk().expect("a line begins with a hash"),
            size: number(line, HASH_LEN),
            length: number(line, HASH_LEN + 8),
        };
        rest.is_empty().then(|| lines.iter().map(place))
    }
}

/// Where an entry is, but for the namespace, which the path names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The scope.
    pub scope: String,
    /// The door.
    pub door: String,
    /// The key.
    pub key: String,
}

/// The name of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobName {
    /// Its hash, 66 hexadecimal digits.
    pub hash: String,
    /// Its bytes.
    pub size: u64,
}

/// The body of `entries/get` and `entries/delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRequest {
    /// Which entry.
    #[serde(flatten)]
    pub address: Address,
    /// Whether it is looked up to be used; it is not when somebody only looks whether it is there.
    #[serde(default)]
    pub serve: bool,
}

/// The head of an entry in a frame; links and value follow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryHead {
    /// The value.
    pub blob: BlobName,
    /// Facts beside it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Who wrote it.
    pub writer: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last served.
    pub last_served_ms: u64,
    /// Which write of this address it is.
    pub revision: u64,
    /// Whether the value follows.
    pub with_value: bool,
}

/// The head of the body of `entries/put`; links and, unless `stored` names it, the value follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutHead {
    /// Where.
    #[serde(flatten)]
    pub address: Address,
    /// The value, if the namespace holds it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<BlobName>,
    /// Facts beside it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Who writes it; counts only for a caller that may speak for others.
    pub writer: String,
    /// When the put takes place.
    pub when: When,
}

/// When a put takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Only when nothing is there.
    Absent,
    /// Always.
    Always,
    /// Only when the revision there is this one.
    Unchanged(u64),
}

/// The head of the answer to `entries/get` and `entries/put`; what it tells of follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryAnswer {
    /// There is this entry; its links and perhaps its value follow.
    Found(EntryHead),
    /// There is none.
    Absent,
    /// It was written; this is what is there now.
    Stored(EntryHead),
    /// The condition did not hold; this is what is there.
    Kept(Option<EntryHead>),
    /// Blobs that it needs are missing: those that follow in the place of links.
    Incomplete,
}

/// The body of `entries/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRequest {
    /// Only this scope.
    #[serde(default)]
    pub scope: Option<String>,
    /// Only this door.
    #[serde(default)]
    pub door: Option<String>,
    /// How the keys begin.
    pub prefix: String,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// How many entries at most, up to [`PAGE_MAX`].
    pub limit: u32,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEntry {
    /// Where it is.
    #[serde(flatten)]
    pub address: Address,
    /// What is there, without links and value.
    pub entry: EntryHead,
}

/// The answer to `entries/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Newest first.
    pub entries: Vec<ListedEntry>,
    /// Hand this back for the next page.
    #[serde(default)]
    pub next: Option<String>,
}

/// The answer to `entries/delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAnswer {
    /// Whether there was one.
    pub deleted: bool,
}

/// The answer to `segment`, and to `uploads/{upload}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentAnswer {
    /// Records that were verified.
    pub records: u64,
    /// Bytes of the segment.
    pub stored_bytes: u64,
    /// Bytes of the chunks before compression.
    pub raw_bytes: u64,
}

#[cfg(test)]
mod tests;
