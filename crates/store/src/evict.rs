//! Eviction: space comes back by dropping whole segments, oldest first.
//!
//! What is in use (touched within the retention time) is written again at the end of the log before its segment goes;
//! a segment that is leased, or whose records were promised to stay in place, is left alone. A segment is dropped only if
//! that frees at least a quarter of it, so that full means full and not busy.

use std::sync::atomic::Ordering;

use larder_base::{ErrorKind, Result};

use crate::disk::OnDisk;
use crate::files::{SEGMENTS, segment_path};
use crate::store::Store;

mod segment;

/// Segments dropped before the index is brought up to date and their files are removed.
const SEGMENTS_AT_ONCE: usize = 8;

/// What an eviction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Segments dropped.
    pub segments: u64,
    /// Blobs that are gone.
    pub blobs: u64,
    /// Entries that are gone.
    pub entries: u64,
    /// Blobs and entries written again because they are in use.
    pub kept: u64,
    /// Bytes of the segments dropped.
    pub bytes: u64,
}

impl Evicted {
    /// Adds what another step did.
    pub fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.blobs += other.blobs;
        self.entries += other.entries;
        self.kept += other.kept;
        self.bytes += other.bytes;
    }
}

/// What eviction remembers between steps.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The high water was passed and the low water not reached yet.
    draining: bool,
    /// Segments that nothing speaks of any more, whose files are not removed yet, with their lengths.
    dropped: Vec<(u32, u64)>,
}

impl Progress {
    fn dropped_bytes(&self) -> u64 {
        self.dropped.iter().map(|(_, length)| length).sum()
    }
}

impl Store {
    /// Does a bounded part of the eviction that is due: none below the high water (95 % of the quota), then down to the
    /// low water (90 %). Call it again until it drops no segment; that may be because nothing more may be dropped.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub fn evict_step(&self) -> Result<Evicted> {
        let core = self.core();
        let quota = core.usage.quota.load(Ordering::Relaxed);
        let mut progress = self.inner.evicting.lock();
        let starved = core.usage.disk_full.load(Ordering::Relaxed);
        if core.usage.used() > quota - quota / 20 || starved {
            progress.draining = true;
        }
        if !progress.draining && progress.dropped.is_empty() {
            return Ok(Evicted::default());
        }
        let low = quota - quota / 10;
        let enough = |used: u64, evicted: &Evicted| used <= low && (!starved || evicted.segments > 0);
        let evicted = self.evict_until(&mut progress, enough)?;
        if evicted.segments == 0 || core.usage.used() <= low {
            progress.draining = false;
        }
        Ok(evicted)
    }

    /// Evicts until so many bytes fit; says whether that freed anything.
    pub(crate) fn evict_for(&self, bytes: u64) -> Result<bool> {
        let core = self.core();
        let mut progress = self.inner.evicting.lock();
        if core.usage.fits(bytes) {
            return Ok(true);
        }
        let quota = core.usage.quota.load(Ordering::Relaxed);
        // A little more than asked for, so that not every write pays for this.
        let target = (quota - quota / 20).min(quota.saturating_sub(bytes));
        let evicted = self.evict_until(&mut progress, |used, _| used <= target)?;
        Ok(evicted.segments > 0)
    }

    fn evict_until(&self, progress: &mut Progress, enough: impl Fn(u64, &Evicted) -> bool) -> Result<Evicted> {
        let core = self.core();
        core.evicting.store(true, Ordering::Relaxed);
        let mut evicted = Evicted::default();
        let dropped = self.drop_until(progress, enough, &mut evicted);
        core.evicting.store(false, Ordering::Relaxed);
        self.remove_dropped(progress)?;
        core.health.evicted_segments.fetch_add(evicted.segments, Ordering::Relaxed);
        core.health.evicted_blobs.fetch_add(evicted.blobs, Ordering::Relaxed);
        dropped.map(|()| evicted)
    }

    fn drop_until(
        &self,
        progress: &mut Progress,
        enough: impl Fn(u64, &Evicted) -> bool,
        evicted: &mut Evicted,
    ) -> Result<()> {
        let core = self.core();
        let active = core.active.read().as_ref().map(|(id, _)| *id);
        let candidates = core.heat.ids().into_iter().filter(|id| Some(*id) != active);
        for id in candidates {
            let used = core.usage.used().saturating_sub(progress.dropped_bytes());
            if enough(used, evicted) || evicted.segments as usize >= SEGMENTS_AT_ONCE {
                break;
            }
            match self.evict_segment(id, evicted) {
                Ok(Some(length)) => progress.dropped.push((id, length)),
                Ok(None) => {}
                // What is in use there cannot be written again; a segment without such may still go.
                Err(error) if error.kind() == ErrorKind::Full => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the files of dropped segments, once the index has forgotten them: a crash must find the file to know what
    /// else to forget.
    fn remove_dropped(&self, progress: &mut Progress) -> Result<()> {
        let core = self.core();
        if progress.dropped.is_empty() {
            return Ok(());
        }
        match core.checkpoint(false) {
            Ok(()) => {}
            // Without space the index cannot be written, and without this there will be no space. Rows of a segment that is
            // not there are absent, only not cleared away.
            Err(error) if error.kind() == ErrorKind::Full => {
                tracing::warn!(%error, "segments are removed before the index knows");
            }
            Err(error) => return Err(error),
        }
        while let Some((id, length)) = progress.dropped.last().copied() {
            match core.disk.remove(&segment_path(id)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).at("remove evicted segment", &segment_path(id));
                }
                _ => {}
            }
            // A reader may have opened it again since it was dropped.
            core.files.forget(id);
            progress.dropped.pop();
            core.usage.segments.fetch_sub(length, Ordering::Relaxed);
        }
        core.disk.sync_directory(SEGMENTS).at("sync directory", SEGMENTS)
    }
}
