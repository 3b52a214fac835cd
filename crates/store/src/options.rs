//! How a store is set up.

use std::path::PathBuf;
use std::time::Duration;

use crate::bucket::BucketOptions;

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk.
    #[default]
    Synced,
    /// When it is handed to the operating system; it reaches the disk soon after. A crash of the machine may forget the
    /// last acknowledged writes, never damage what is kept. For nodes, whose upstream has everything.
    Relaxed,
}

/// How a store is set up. [`Options::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made if there is none.
    pub dir: PathBuf,
    /// The most bytes on the disk: segments, staging and index.
    pub quota: u64,
    /// How long what was answered "present" stays readable at least.
    pub retention: Duration,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// Bytes at which a segment is sealed and the next one begun; a segment may be some MiB longer. 4 KiB to 1 GiB; under a
    /// small quota segments are shorter, so that there is something to evict.
    pub segment_len: u64,
    /// The zstd level of chunks.
    pub level: i32,
    /// Threads that hash, compress and verify.
    pub workers: usize,
    /// Where sealed segments are kept, too. A store that was opened with one is not opened without it again.
    pub bucket: Option<BucketOptions>,
}

impl Options {
    /// The defaults, for a directory and a quota in bytes.
    pub fn new(dir: impl Into<PathBuf>, quota: u64) -> Self {
        Self {
            dir: dir.into(),
            quota,
            retention: Duration::from_secs(3 * 60 * 60),
            durability: Durability::Synced,
            segment_len: 64 << 20,
            level: larder_base::segment::DEFAULT_LEVEL,
            workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            bucket: None,
        }
    }
}
