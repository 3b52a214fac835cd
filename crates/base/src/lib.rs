//! The words of the domain: digests, names, entries, errors, the segment format and the storage traits.
//!
//! This crate is pure. It knows bytes and hashes; it must not know files, sockets, tokio, a clock of its own or a word
//! of any protocol. Every other crate of the workspace stands on it.

pub mod chunk;
mod clock;
mod digest;
mod entry;
mod error;
mod name;
mod reader;
pub mod segment;
mod tier;

pub use clock::{Clock, Timestamp};
pub use digest::{ContentHash, Digest, HashFunction, Hasher};
pub use entry::{
    AT_HAND_MAX_BYTES, ATTRIBUTES_MAX_BYTES, Access, Attributes, Entry, EntryAddress, EntryBody, EntryPrefix,
    INLINE_MAX_BYTES, ListPage, Listed, NewEntry, PutIf, PutOutcome, WRITER_MAX_BYTES,
};
pub use error::{Error, ErrorKind, Result};
pub use name::{
    DoorName, InvalidName, KEY_MAX_CHARS, Key, NAMESPACE_MAX_BYTES, Namespace, SCOPE_NAME_MAX_BYTES, Scope,
};
pub use reader::{READERS_MAX, Reader, ReaderList, Readers, SeenEntry};
pub use tier::{
    Adopted, Blob, BlobStream, Blobs, BoxFuture, Bulk, ByteRange, Entries, Located, PartName, RecordLength,
    SegmentRange, Segments, TransferUrl, UploadId, collect, stream_of,
};
