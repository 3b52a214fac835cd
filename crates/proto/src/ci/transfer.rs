//! Blobs and where their bytes can be fetched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The name of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChunkAddress {
    /// The BLAKE3 hash of its content.
    pub hash: String,
    /// Its bytes before compression.
    pub size: u64,
}

/// A blob and the chunks that it is made of, in order. A blob of one chunk has that chunk's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobAddress {
    /// The BLAKE3 hash of the whole content.
    pub hash: String,
    /// Bytes of the whole content.
    pub size: u64,
    /// Its chunks; their sizes add up to `size`.
    pub chunks: Vec<ChunkAddress>,
}

/// The answer to `POST locate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocateAnswer {
    /// Where the chunks can be fetched. A run holds whole records of the segment format, one after the other, each of a
    /// chunk that was asked for, in no order that a client may rely on; a record says itself which chunk it is.
    pub runs: Vec<Run>,
    /// The hashes that the namespace does not have.
    pub absent: Vec<String>,
}

/// Bytes that can be fetched with one `GET`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// The URL: absolute, or relative to `/ci/v1/{namespace}/`. It is its own permission: send no token with it.
    pub url: String,
    /// The bytes that come; fewer is a broken transfer. Both 200 and 206 are good answers.
    pub length: u64,
    /// Headers to send as they are, such as a range.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}
