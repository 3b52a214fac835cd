//! An upload, from its registration to its end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BlobAddress;

/// The body of `POST uploads`: registers an upload before any of its bytes move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeginRequest {
    /// The key that the entry shall have.
    pub key: String,
    /// The bytes of all files together, before compression; what is finished may have fewer, never more.
    pub bytes: u64,
    /// How many files there are, as far as is known.
    pub files: u64,
    /// Whether an entry with other content is to be replaced.
    #[serde(default)]
    pub replace: bool,
}

/// The answer to `POST uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeginAnswer {
    /// The upload's name.
    pub upload: String,
    /// The most bytes of a part.
    pub part_max_bytes: u64,
    /// The highest number of a part; the lowest is 1.
    pub parts_max: u32,
    /// The most bytes of all parts together.
    pub parts_max_bytes: u64,
    /// How long the upload lives without a sign of life (a new or renewed URL), in milliseconds.
    pub idle_ms: u64,
}

/// The body of `POST uploads/{upload}/parts`: asks for the URL of one part, for the first time or again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartRequest {
    /// Which part, from 1.
    pub number: u32,
    /// Exactly how many bytes will be sent. Asked again with another length, the last one counts.
    pub length: u64,
    /// Parts that were sent meanwhile, so that they are verified while others are on their way. May be left out: what is
    /// sent is told when the upload is finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<u32>,
    /// Whether the bytes are to go through the server, for a client that does not reach the object store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub through_server: bool,
}

/// Where a part goes: `PUT` exactly the announced bytes (a segment: header, then chunk records) to the URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartAnswer {
    /// The URL: absolute, or relative to `/ci/v1/{namespace}/`. It is its own permission: send no token with it.
    pub url: String,
    /// Until when the transfer must have begun. Ask again for a fresh URL.
    pub expires_ms: u64,
    /// Headers to send as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// The body of `POST uploads/{upload}/parts/batch`: asks for the URLs of several parts, for the first time or again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartsRequest {
    /// The parts: 1 to 100 of them, each number once. All of them are let in, or none.
    pub parts: Vec<PartLength>,
    /// As for one part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<u32>,
    /// As for one part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub through_server: bool,
}

/// A part that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartLength {
    /// Which part, from 1.
    pub number: u32,
    /// Exactly how many bytes will be sent.
    pub length: u64,
}

/// Where several parts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartsAnswer {
    /// One for each part, in the order asked.
    pub parts: Vec<PartAnswer>,
}

/// The body of `POST uploads/{upload}/finish`: says what the upload is, and hands it to the commit queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FinishRequest {
    /// The saved tree's manifest. Its chunks are in the parts, or were there before.
    pub manifest: BlobAddress,
    /// The numbers of the parts that were sent.
    pub parts: Vec<u32>,
    /// What two saves with the same content agree on: the hash of the manifest without its times.
    pub content: String,
    /// How many files there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long to wait for the end before answering `queued`, in milliseconds.
    #[serde(default)]
    pub wait_ms: u64,
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UploadState {
    /// Parts may be sent.
    Open,
    /// It is complete and waits for its turn, or is being verified.
    Queued,
    /// The entry is there, with this content.
    Published,
    /// An entry with this content was there before.
    Unchanged,
    /// An entry with other content is there, and it was not to be replaced.
    Refused,
    /// What was sent is not what was said, or not all of it.
    Failed,
    /// It was given up by its client, or left alone for too long.
    Aborted,
}

impl UploadState {
    /// Whether the state will not change any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Open | Self::Queued)
    }

    /// One lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Queued => "queued",
            Self::Published => "published",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

/// The answer to `finish`, `GET uploads/{upload}` and `DELETE uploads/{upload}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadStatus {
    /// The upload's name.
    pub upload: String,
    /// The key it is for.
    pub key: String,
    /// Where it stands.
    pub state: UploadState,
    /// Why, for `refused`, `failed` and `aborted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The entry that was there before, for `unchanged` and `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// What its parts added to the store, once they are verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Received>,
}

/// An entry that was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Existing {
    /// Who wrote it.
    pub writer: String,
    /// When.
    pub created_ms: u64,
    /// Its content.
    pub content: String,
}

/// What parts held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// Chunks.
    pub chunks: u64,
    /// Bytes of the parts.
    pub stored_bytes: u64,
    /// Bytes of the chunks before compression.
    pub raw_bytes: u64,
}
