//! What a namespace holds, and may hold.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageAnswer {
    /// Entries, of all doors.
    pub entries: u64,
    /// Bytes of what they hold before compression, each entry by itself.
    pub logical_bytes: u64,
    /// Bytes that they take, what several need counted once: this is what quotas are compared with.
    pub stored_bytes: u64,
    /// The most that `stored_bytes` may be; absent without a quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// The most that the `stored_bytes` of each writer may be; absent without such a quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_quota: Option<u64>,
    /// When this was measured; absent when nothing was measured yet, or the namespace had no entries then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
    /// The same by writer: all of them for an administrator, for others their own.
    pub writers: Vec<WriterUsage>,
}

/// What the entries of one writer take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriterUsage {
    /// Who.
    pub writer: String,
    /// Entries.
    pub entries: u64,
    /// Bytes of what they hold before compression, each entry by itself.
    pub logical_bytes: u64,
    /// Bytes that they take; what the entries of two writers need counts for both.
    pub stored_bytes: u64,
}
