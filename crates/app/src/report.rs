//! What a command prints: a line for people or one JSON object for scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::ByteSize;
use crate::words::counted;

/// How a save or restore went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Restored from the key itself.
    Hit,
    /// Restored from a fallback.
    Partial,
    /// Nothing to restore.
    Miss,
    /// Saved.
    Saved,
    /// All of it is sent, and the server is still checking it.
    Queued,
    /// Already saved with equal content.
    Unchanged,
    /// Nothing was done, on purpose: nothing to save, the key is taken, or no server.
    Skipped,
    /// A fault.
    Failed,
}

/// The one object that `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it went.
    pub result: Outcome,
    /// The key that was asked for.
    pub key: String,
    /// The key that was restored, when it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched_key: Option<String>,
    /// Files of the entry.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Save: bytes of content that the server lacked. Restore: bytes of content that this machine lacked.
    pub new_bytes: u64,
    /// Bytes that went over the network for them.
    pub transferred_bytes: u64,
    /// Seconds by stage; stages overlap, `total` is what passed.
    pub seconds: BTreeMap<&'static str, f64>,
    /// Why, where the result alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Save: files that were asked for and could not be read; the entry is without them.
    #[serde(skip_serializing_if = "is_none")]
    pub unreadable: u64,
    /// What was left out, or needs a look.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Report {
    /// A report on a key, of nothing done yet.
    pub fn new(result: Outcome, key: impl Into<String>) -> Self {
        Self {
            result,
            key: key.into(),
            matched_key: None,
            files: 0,
            bytes: 0,
            new_bytes: 0,
            transferred_bytes: 0,
            seconds: BTreeMap::new(),
            reason: None,
            unreadable: 0,
            warnings: Vec::new(),
        }
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Notes how long a stage took.
    pub fn took(&mut self, stage: &'static str, time: Duration) {
        // Milliseconds are all that means anything.
        self.seconds.insert(stage, (time.as_secs_f64() * 1000.0).round() / 1000.0);
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let key = &self.key;
        let what = match (self.result, &self.matched_key) {
            (Outcome::Hit, _) => format!("restored {key}"),
            (Outcome::Partial, Some(matched)) => format!("restored {matched} in place of {key}"),
            (Outcome::Partial, None) => format!("restored a fallback of {key}"),
            (Outcome::Miss, _) => format!("nothing saved under {key}"),
            (Outcome::Saved, _) => format!("saved {key}"),
            (Outcome::Queued, _) => format!("queued {key}"),
            (Outcome::Unchanged, _) => format!("unchanged: {key}"),
            (Outcome::Skipped, _) => format!("skipped {key}"),
            (Outcome::Failed, _) => format!("failed: {key}"),
        };
        let mut line = what;
        if self.files > 0 {
            line += &format!(": {}, {}", counted(self.files, "file"), ByteSize(self.bytes));
            if self.result != Outcome::Unchanged {
                line += &format!(", {} new ({} moved)", ByteSize(self.new_bytes), ByteSize(self.transferred_bytes));
            }
        }
        if let Some(total) = self.seconds.get("total") {
            line += &format!(", {total:.2} s");
        }
        if let Some(reason) = &self.reason {
            line += &format!(" ({reason})");
        }
        line
    }
}

#[cfg(test)]
mod tests;
