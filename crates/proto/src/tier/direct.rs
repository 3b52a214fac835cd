//! What moves by URLs, past the Larder that gives them out: to and from the object store that it uses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answer to `records?urls=true`, as JSON, where some of the records can be fetched elsewhere. Where none can, the answer
/// is that to `records`; so it is from a Larder that knows no URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsAnswer {
    /// The records that are there, in the order asked; of a hash that was asked for twice, the first.
    pub runs: Vec<Run>,
    /// The hashes that the namespace does not have, 66 hexadecimal digits each.
    #[serde(default)]
    pub absent: Vec<String>,
}

/// Records that lie one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// How many.
    pub records: usize,
    /// Their bytes; fewer is a broken transfer.
    pub length: u64,
    /// Where to `GET` them, without a token; left out where only `records` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers to send as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// The body of `uploads`: a segment that is to be put elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRequest {
    /// Exactly how many bytes it has.
    pub length: u64,
}

/// The answer to `uploads`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadAnswer {
    /// Where the segment is to be put; left out when it is to be sent to `segment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<UploadPlace>,
}

/// Where a segment is to be put, once. What is not [adopted](super::SegmentAnswer) in time is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPlace {
    /// The name of the upload: `POST uploads/{upload}` when it is put, `DELETE uploads/{upload}` when it will not be.
    pub upload: String,
    /// Where to `PUT` it, without a token.
    pub url: String,
    /// Headers to send as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Until when that must have begun, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
}
