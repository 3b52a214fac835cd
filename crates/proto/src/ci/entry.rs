//! Entries: looking them up, listing, removing and explaining.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BlobAddress;

/// The body of `POST lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LookupRequest {
    /// The key.
    pub key: String,
    /// How keys begin that would do as well, the best first; of each the newest complete entry is taken.
    #[serde(default)]
    pub fallbacks: Vec<String>,
    /// What the answer is for.
    #[serde(default)]
    pub purpose: Purpose,
}

/// What a lookup is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To restore it: it counts as use.
    #[default]
    Restore,
    /// To see whether it is there.
    Check,
}

/// The answer to `POST lookup`; a miss is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum LookupAnswer {
    /// An entry was found.
    Hit(SavedEntry),
    /// Nothing was found.
    Miss(Miss),
}

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Miss {
    /// A few words.
    pub reason: String,
}

/// An entry and its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavedEntry {
    /// What a listing shows of it.
    #[serde(flatten)]
    pub entry: ListedEntry,
    /// The saved tree's manifest.
    pub manifest: BlobAddress,
}

/// The answer to `GET entry`: an entry, its manifest, and who restored it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownEntry {
    /// What a lookup shows of it.
    #[serde(flatten)]
    pub saved: SavedEntry,
    /// Who restored it last, at most eight and the last one first. Left out where there are none that the caller may know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<EntryReader>,
}

/// Somebody who restored an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryReader {
    /// Who, by the name that entries keep of a writer.
    pub reader: String,
    /// When it last did.
    pub last_ms: u64,
    /// How often, since it is one of those remembered.
    pub restores: u64,
}

/// What a listing shows of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedEntry {
    /// Its key.
    pub key: String,
    /// The scope it was written in.
    pub scope: String,
    /// What two saves with the same content agree on.
    pub content: String,
    /// How many files it has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was written.
    pub created_ms: u64,
    /// When it was last looked up to be restored; when it was written, if it never was.
    pub restored_ms: u64,
    /// Who wrote it.
    pub writer: String,
}

/// The answer to `GET entries`, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAnswer {
    /// A page of entries; it may be shorter than the limit and yet not be the last.
    pub entries: Vec<ListedEntry>,
    /// What to send as `after` to get the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The answer to `DELETE entry` and `DELETE entries`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurgeAnswer {
    /// What was removed, or would be.
    pub entries: Vec<ListedEntry>,
    /// Whether nothing was removed because only the names were asked for.
    pub dry_run: bool,
    /// What to send as `after` to go on; absent when that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The body of `POST explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainRequest {
    /// The key.
    pub key: String,
    /// The fallback prefixes, as in a lookup.
    #[serde(default)]
    pub fallbacks: Vec<String>,
}

/// The answer to `POST explain`: what a lookup would do, step by step, and what is near.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainAnswer {
    /// The steps, in order, up to the one that finds something.
    pub steps: Vec<ExplainStep>,
    /// The scopes that were looked through, in order.
    pub scopes: Vec<String>,
    /// The scope that what this caller saves lands in; absent when it may only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<String>,
    /// Entries that the lookup did not take but that have much in common with the key, the nearest first.
    pub near: Vec<Near>,
}

/// One thing that a lookup tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainStep {
    /// The key or prefix.
    pub tried: String,
    /// How it is compared.
    pub how: Match,
    /// What it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<ListedEntry>,
    /// Why it found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miss: Option<Miss>,
}

/// How a key is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// The whole key must be equal.
    Exact,
    /// The key must begin with it; the newest is taken.
    Prefix,
}

/// An entry that is not what was asked for, and how near it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Near {
    /// The entry.
    pub entry: ListedEntry,
    /// How the two keys begin alike.
    pub common: String,
    /// Why the lookup did not take it.
    pub why: String,
}
