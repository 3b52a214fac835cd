//! The one form of every failure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, for the program and for its reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What a client can act on.
    pub kind: ErrorWord,
    /// What was being done, to what, and why it failed.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorWord {
    /// 400: the request is wrong and will stay wrong.
    Invalid,
    /// 413: a limit is passed.
    TooLarge,
    /// 401 without a token, 403 with one: the caller may not do this.
    Denied,
    /// 403: the signed URL has expired; ask for a new one.
    Expired,
    /// 404: there is no such thing, or none that the caller may see.
    NotFound,
    /// 409: the upload is not in a state that allows this.
    Conflict,
    /// 507: the store is full.
    Full,
    /// 503: not now; `Retry-After` says when.
    Unavailable,
    /// 500: stored bytes are damaged.
    Corrupt,
    /// 500: the server failed; its log says how.
    Failed,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}
