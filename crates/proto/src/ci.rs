//! The protocol of the ci door: what `larder save` and `larder restore` say to a server.
//!
//! Paths are relative to `/ci/v1/{namespace}/`. Bodies are JSON, but for lists of hashes, which are the raw 32 bytes of
//! each BLAKE3 hash, one after the other. Hashes in JSON are 64 lower-case hexadecimal digits; moments are milliseconds since
//! the Unix epoch. Unknown fields are ignored on both sides, so that either may be the newer one.
//!
//! The bytes of chunks never pass through these calls: they move between the client and whatever place a signed URL names.

mod entry;
mod error;
mod transfer;
mod upload;
mod usage;

pub use entry::{
    EntryReader, ExplainAnswer, ExplainRequest, ExplainStep, ListAnswer, ListedEntry, LookupAnswer, LookupRequest,
    Match, Miss, Near, PurgeAnswer, Purpose, SavedEntry, ShownEntry,
};
pub use error::{ErrorAnswer, ErrorBody, ErrorWord};
pub use transfer::{BlobAddress, ChunkAddress, LocateAnswer, Run};
pub use upload::{
    BeginAnswer, BeginRequest, Existing, FinishRequest, PartAnswer, PartLength, PartRequest, PartsAnswer, PartsRequest,
    Received, UploadState, UploadStatus,
};
pub use usage::{UsageAnswer, WriterUsage};

/// The most hashes in the body of one `missing` or `locate` request; a client with more asks several times.
pub const HASHES_MAX: usize = 16_384;
/// Bytes of a hash in such a body.
pub const HASH_LEN: usize = 32;
/// The most parts whose URLs one request may ask for.
pub const PARTS_BATCH_MAX: usize = 100;
/// The most fallback prefixes of a lookup.
pub const FALLBACKS_MAX: usize = 16;
/// The most bytes of a JSON request.
pub const JSON_MAX_BYTES: usize = 1024 * 1024;
/// The longest that a request may ask the server to wait for the end of an upload, in milliseconds; a longer wait is cut.
pub const WAIT_MAX_MS: u64 = 30_000;
/// The most entries of one page of a listing, and of one purge by prefix.
pub const PAGE_MAX: u32 = 1000;

/// The hashes of a `missing` or `locate` body; `None` when its length is not a multiple of [`HASH_LEN`].
pub fn split_hashes(body: &[u8]) -> Option<impl ExactSizeIterator<Item = [u8; HASH_LEN]> + '_> {
    let (hashes, rest) = body.as_chunks::<HASH_LEN>();
    rest.is_empty().then(|| hashes.iter().copied())
}

#[cfg(test)]
mod tests;
