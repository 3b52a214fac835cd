//! Counters that whoever started the work may read while it goes on, and a way to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_base::{Error, ErrorKind, Result};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// How far a save or a restore has come.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files found (save) or named by the manifest (restore).
    pub files: Count,
    /// Bytes of those files.
    pub bytes: Count,
    /// Files whose content is settled: known, read or written.
    pub files_done: Count,
    /// Bytes of those files.
    pub bytes_done: Count,
    /// Bytes read from files of the tree.
    pub bytes_read: Count,
    /// Bytes written to files of the tree.
    pub bytes_written: Count,
    /// Chunks handed on because the other side lacked them.
    pub chunks_sent: Count,
    /// Bytes of those chunks before compression.
    pub raw_bytes_sent: Count,
    /// Bytes of segments that were handed on and accepted.
    pub segment_bytes_sent: Count,
    stopped: AtomicBool,
}

impl Progress {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the work end soon with [`ErrorKind::Unavailable`]; what is on disk stays whole.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether [`Progress::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        if self.is_stopped() { Err(Error::new(ErrorKind::Unavailable, operation, "it was stopped")) } else { Ok(()) }
    }
}
