//! Past the Larder above: straight to and from the object store that it uses, by URLs that it gives out.
//!
//! Each way may fail for this machine alone, and never fails a call: what does not come or go so goes through the Larder
//! above.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::Semaphore;

use crate::signed_url::DirectWay;

/// Bytes of runs that all fetches together may have in memory ahead of their readers; the run that a reader waits for comes on
/// top of that.
const AHEAD_MAX_BYTES: usize = 32 << 20;

/// What is known of the direct ways.
#[derive(Debug)]
pub(super) struct Direct {
    /// The way of segments into the object store.
    pub(super) up: DirectWay,
    /// The way of records out of it.
    pub(super) down: DirectWay,
    pub(super) ahead: Arc<Semaphore>,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes_up: AtomicU64,
    pub(super) bytes_down: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) wrong: AtomicU64,
}

/// What moved past the Larder above, and what did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DirectStatus {
    /// Bytes of segments that were put into the object store and taken from there.
    pub bytes_up: u64,
    /// Bytes of records that were fetched from it.
    pub bytes_down: u64,
    /// Transfers that failed and were done through the Larder above instead.
    pub failed: u64,
    /// Of these, those that brought other bytes than what was asked for.
    pub wrong: u64,
    /// Whether segments are put there now, if the Larder above says where.
    pub up: bool,
    /// Whether records are fetched from there now, if the Larder above says where.
    pub down: bool,
}

impl Direct {
    pub(super) fn new() -> Self {
        Self {
            up: DirectWay::lasting(),
            down: DirectWay::lasting(),
            ahead: Arc::new(Semaphore::new(AHEAD_MAX_BYTES)),
            counts: Counts::default(),
        }
    }

    pub(super) fn status(&self) -> DirectStatus {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { bytes_up, bytes_down, failed, wrong } = &self.counts;
        DirectStatus {
            bytes_up: read(bytes_up),
            bytes_down: read(bytes_down),
            failed: read(failed),
            wrong: read(wrong),
            up: self.up.is_open(),
            down: self.down.is_open(),
        }
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
