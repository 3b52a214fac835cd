//! The bytes of file content that may be in memory at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Hands out room for content. Only the holder of the schedule's lock takes, anyone may give back.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    held: Arc<AtomicU64>,
    most: AtomicU64,
}

/// Room for some bytes, given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    held: Arc<AtomicU64>,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, held: Arc::default(), most: AtomicU64::new(0) }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether there is room for `bytes` more. There always is when nothing is held, so that work goes on.
    pub(super) fn has(&self, bytes: u64) -> bool {
        let held = self.held.load(Ordering::Acquire);
        held == 0 || held + bytes <= self.limit
    }

    /// Takes room, if there is.
    pub(super) fn take(&self, bytes: u64) -> Option<Room> {
        if !self.has(bytes) {
            return None;
        }
        let held = self.held.fetch_add(bytes, Ordering::AcqRel) + bytes;
        self.most.fetch_max(held, Ordering::Relaxed);
        Some(Room { bytes, held: self.held.clone() })
    }

    /// The most bytes ever held.
    pub(super) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
