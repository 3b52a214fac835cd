//! The section `[door.ci]`.

use std::time::Duration;

use larder_base::chunk::Cut;
use larder_base::segment::{RECORD_HEADER_LEN, SEGMENT_HEADER};
use larder_base::{Error, Result};
use larder_door::ByteCount;
use serde::Deserialize;

/// The section `[door.ci]`; every key has a default.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The most bytes of all files of an entry, before compression.
    pub(crate) max_entry_bytes: ByteCount,
    /// The most bytes of all parts of an upload, as sent; without it, what the largest entry may need.
    pub(crate) max_upload_bytes: Option<ByteCount>,
    /// How many uploads of one caller may be open at a time.
    pub(crate) open_uploads: usize,
    /// The most bytes of a manifest: about a hundred for each file.
    pub(crate) max_manifest_bytes: ByteCount,
    /// The most bytes of one part of an upload.
    pub(crate) part_max_bytes: ByteCount,
    /// How long a signed URL is good.
    pub(crate) url_seconds: u64,
    /// How long an upload lives without a sign of life.
    pub(crate) upload_idle_seconds: u64,
    /// How long it is remembered how an upload ended.
    pub(crate) upload_kept_seconds: u64,
    /// How many uploads may wait to be committed; more are told to come back.
    pub(crate) commit_queue: usize,
    /// How many uploads are committed side by side, each of another key.
    pub(crate) commit_parallel: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_entry_bytes: ByteCount(10 << 30),
            max_upload_bytes: None,
            open_uploads: 1024,
            max_manifest_bytes: ByteCount(64 << 20),
            part_max_bytes: ByteCount(64 << 20),
            url_seconds: 1800,
            upload_idle_seconds: 3600,
            upload_kept_seconds: 3600,
            commit_queue: 256,
            commit_parallel: 4,
        }
    }
}

/// The least part that makes sense: room for the largest record.
const PART_MIN_BYTES: ByteCount = ByteCount(4 << 20);
/// Bytes of a file in a manifest, at the very least: its hash alone has 64.
const MANIFEST_BYTES_PER_FILE: u64 = 64;

impl Settings {
    /// Refuses values that nothing could work with.
    pub(crate) fn check(self) -> Result<Self> {
        let wrong = |message: String| Err(Error::invalid("read configuration", message));
        if self.part_max_bytes < PART_MIN_BYTES {
            return wrong(format!("part_max_bytes in [door.ci] must be at least {PART_MIN_BYTES}"));
        }
        for (name, value) in [
            ("url_seconds", self.url_seconds),
            ("upload_idle_seconds", self.upload_idle_seconds),
            ("open_uploads", self.open_uploads as u64),
            ("commit_queue", self.commit_queue as u64),
            ("commit_parallel", self.commit_parallel as u64),
        ] {
            if value == 0 {
                return wrong(format!("{name} in [door.ci] must be at least 1"));
            }
        }
        Ok(self)
    }

    pub(crate) fn url_life(&self) -> Duration {
        Duration::from_secs(self.url_seconds)
    }

    pub(crate) fn upload_idle(&self) -> Duration {
        Duration::from_secs(self.upload_idle_seconds)
    }

    pub(crate) fn upload_kept(&self) -> Duration {
        Duration::from_secs(self.upload_kept_seconds)
    }

    /// The most files that a manifest has room for.
    pub(crate) fn max_files(&self) -> u64 {
        self.max_manifest_bytes.0 / MANIFEST_BYTES_PER_FILE
    }

    /// The most bytes that the parts of an upload may have together: its files, a manifest, and a header for each record
    /// and part; and never more than `max_upload_bytes`.
    pub(crate) fn parts_max_bytes(&self, bytes: u64, files: u64) -> u64 {
        // Each file may end in a record that is short; all others have at least the least length of a chunk.
        let content = bytes.saturating_add(self.max_manifest_bytes.0);
        let records = files.saturating_add(content / Cut::TREE.min_len() as u64).saturating_add(1);
        let headers = records.saturating_mul(RECORD_HEADER_LEN as u64);
        let part_headers = u64::from(self.parts_max(bytes)) * SEGMENT_HEADER.len() as u64;
        let needed = content.saturating_add(headers).saturating_add(part_headers);
        self.max_upload_bytes.map_or(needed, |most| needed.min(most.0))
    }

    /// The highest number of a part. Parts need not be full: a client sends what it has.
    pub(crate) fn parts_max(&self, bytes: u64) -> u32 {
        let parts = bytes.saturating_add(self.max_manifest_bytes.0) / PART_MIN_BYTES.0 + 64;
        u32::try_from(parts).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
