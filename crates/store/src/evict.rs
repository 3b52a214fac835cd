//! Eviction: space comes back by dropping whole segments, oldest first.
//!
//! Whatever the number of records in it, that costs a look at those in use and one record in the log: the rows of the
//! others stay in the index, where they count as absent, until [`crate::Store::prune_step`] clears them away.
//!
//! What is in use (touched within the retention time) is written again at the end of the log before its segment goes;
//! a segment that is leased, or whose records were promised to stay in place, is left alone. A segment is dropped only if
//! that frees at least a quarter of it, so that full means full and not busy.
//!
//! With a bucket, the disk is freed by leaving the chunks of shipped segments to it, those used longest ago first, and
//! segments that wait to be shipped wait. Segments are dropped when the bucket's own quota is reached, or when the disk is
//! full of what cannot leave it.

use std::sync::atomic::Ordering;

use larder_base::{ErrorKind, Result};

use crate::disk::OnDisk;
use crate::files::SEGMENTS;
use crate::row::ObjectState;
use crate::store::Store;
use crate::sweep::Swept;

mod repack;
mod segment;

pub(crate) use repack::Progress as Repacking;
pub use repack::Repacked;

/// Segments dropped before the index is brought up to date and their files are removed.
const SEGMENTS_AT_ONCE: usize = 8;

/// What an eviction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Segments dropped.
    pub segments: u64,
    /// Records of blobs that are gone, those that a later one had replaced among them.
    pub blobs: u64,
    /// Records of entries that are gone, those that a later one had replaced among them.
    pub entries: u64,
    /// Blobs and entries written again because they are in use.
    pub kept: u64,
    /// Bytes of the segments dropped.
    pub bytes: u64,
    /// Segments whose chunks were left to the bucket.
    pub offloaded: u64,
}

impl Evicted {
    /// Adds what another step did.
    pub fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.blobs += other.blobs;
        self.entries += other.entries;
        self.kept += other.kept;
        self.bytes += other.bytes;
        self.offloaded += other.offloaded;
    }

    /// Whether nothing was freed.
    pub fn is_none(&self) -> bool {
        self.segments == 0 && self.offloaded == 0
    }
}

/// What eviction remembers between steps.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The high water was passed and the low water not reached yet.
    draining: bool,
    /// As `draining`, of the bucket.
    draining_bucket: bool,
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
    /// low water (90 %); the same for the bucket's quota. Call it again until [`Evicted::is_none`]; that may be because
    /// nothing more may be dropped.
    ///
    /// # Errors
    /// When the disk or the index fails, or the bucket has what is in use and cannot be reached.
    pub fn evict_step(&self) -> Result<Evicted> {
        let mut evicted = self.evict_disk_step()?;
        evicted.add(&self.evict_bucket_step()?);
        Ok(evicted)
    }

    fn evict_disk_step(&self) -> Result<Evicted> {
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
        let enough = |used: u64, evicted: &Evicted| used <= low && (!starved || !evicted.is_none());
        let evicted = self.evict_until(&mut progress, enough)?;
        if evicted.is_none() || core.usage.used() <= low {
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
        Ok(!evicted.is_none())
    }

    fn evict_bucket_step(&self) -> Result<Evicted> {
        let Some(archive) = &self.core().archive else { return Ok(Evicted::default()) };
        let quota = archive.quota.load(Ordering::Relaxed);
        let mut progress = self.inner.evicting.lock();
        let low = quota - quota / 10;
        if archive.bytes().0 > quota - quota / 20 {
            progress.draining_bucket = true;
        }
        if !progress.draining_bucket {
            return Ok(Evicted::default());
        }
        let evicted = self.evict_shipped_until(&mut progress, |stored| stored <= low)?;
        progress.draining_bucket = evicted.segments > 0 && archive.bytes().0 > low;
        drop(progress);
        self.delete_doomed_soon();
        Ok(evicted)
    }

    /// Evicts until so many bytes fit into the bucket, as far as may be.
    pub(crate) fn evict_bucket_for(&self, bytes: u64) -> Result<()> {
        let Some(archive) = &self.core().archive else { return Ok(()) };
        let quota = archive.quota.load(Ordering::Relaxed);
        let target = (quota - quota / 20).min(quota.saturating_sub(bytes));
        let mut progress = self.inner.evicting.lock();
        self.evict_shipped_until(&mut progress, |stored| stored <= target)?;
        drop(progress);
        self.delete_doomed_soon();
        Ok(())
    }

    /// Deletes the objects of what was evicted now, if the bucket lets it; else the sweep does later.
    fn delete_doomed_soon(&self) {
        if let Err(error) = self.delete_doomed(&mut Swept::default()) {
            tracing::warn!(%error, "objects of evicted segments stay in the bucket until the next sweep");
        }
    }

    /// Evicts a segment whose object is gone from the bucket.
    pub(crate) fn evict_vanished(&self, id: u32, evicted: &mut Evicted) -> Result<()> {
        let mut progress = self.inner.evicting.lock();
        if let Some(length) = self.evict_lost_segment(id, evicted)? {
            progress.dropped.push((id, length));
        }
        self.remove_dropped(&mut progress)
    }

    /// Drops segments that are in the bucket, oldest first, until so few bytes are stored there.
    fn evict_shipped_until(&self, progress: &mut Progress, enough: impl Fn(u64) -> bool) -> Result<Evicted> {
        let core = self.core();
        let Some(archive) = &core.archive else { return Ok(Evicted::default()) };
        let shipped = archive.segments(ObjectState::Stored);
        self.evicting(progress, |progress, evicted| {
            self.drop_all(
                progress,
                shipped,
                |_, evicted| {
                    // What is in use is written again on the disk, from where it is shipped again. When that is full, one
                    // segment at a time goes, so that there is room in the bucket to go on.
                    let most = if core.usage.fits(0) { SEGMENTS_AT_ONCE } else { 1 };
                    enough(archive.bytes().0) || evicted.segments as usize >= most
                },
                evicted,
            )
        })
    }

    fn evict_until(&self, progress: &mut Progress, enough: impl Fn(u64, &Evicted) -> bool) -> Result<Evicted> {
        let core = self.core();
        let mut offloaded = Evicted::default();
        if core.archive.is_some() {
            let dropped = progress.dropped_bytes();
            offloaded.offloaded =
                self.offload_until(|used| enough(used.saturating_sub(dropped), &Evicted::default()))?;
            let starved = core.usage.disk_full.load(Ordering::Relaxed);
            if offloaded.offloaded > 0 || (!starved && !core.to_ship()?.is_empty()) {
                // What is not shipped yet can leave the disk once it is.
                self.remove_dropped(progress)?;
                return Ok(offloaded);
            }
        }
        let active = core.active.read().as_ref().map(|(id, _)| *id);
        let candidates = core.heat.ids().into_iter().filter(|id| Some(*id) != active).collect();
        self.evicting(progress, |progress, evicted| {
            self.drop_all(
                progress,
                candidates,
                |progress, evicted| {
                    let used = core.usage.used().saturating_sub(progress.dropped_bytes());
                    enough(used, evicted) || evicted.segments as usize >= SEGMENTS_AT_ONCE
                },
                evicted,
            )
        })
    }

    /// Does the work of an eviction, and what follows from it.
    fn evicting(
        &self,
        progress: &mut Progress,
        work: impl FnOnce(&mut Progress, &mut Evicted) -> Result<()>,
    ) -> Result<Evicted> {
        let core = self.core();
        let mut evicted = Evicted::default();
        let dropped = work(progress, &mut evicted);
        self.remove_dropped(progress)?;
        core.health.evicted_segments.fetch_add(evicted.segments, Ordering::Relaxed);
        core.health.evicted_blobs.fetch_add(evicted.blobs, Ordering::Relaxed);
        dropped.map(|()| evicted)
    }

    fn drop_all(
        &self,
        progress: &mut Progress,
        candidates: Vec<u32>,
        enough: impl Fn(&Progress, &Evicted) -> bool,
        evicted: &mut Evicted,
    ) -> Result<()> {
        for id in candidates {
            if enough(progress, evicted) {
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
        match core.checkpoint() {
            Ok(()) => {}
            // Without space the index cannot be written, and without this there will be no space.
            Err(error) if error.kind() == ErrorKind::Full => {
                tracing::warn!(%error, "segments are removed before the index knows");
            }
            Err(error) => return Err(error),
        }
        let mut files = Vec::new();
        while let Some((id, length)) = progress.dropped.last().copied() {
            let path = core.files.path(id);
            files.extend(core.disk.open(&path).ok());
            match core.disk.remove(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).at("remove evicted segment", &path);
                }
                _ => {}
            }
            // A reader may have opened it again since it was dropped.
            core.files.set_stub(id, None);
            progress.dropped.pop();
            core.usage.segments.fetch_sub(length, Ordering::Relaxed);
        }
        // The kernel gives back pages and blocks when the last one lets go of a file. That takes longer than all else here,
        // so one worker does it, unless someone waits for the space.
        if !core.usage.disk_full.load(Ordering::Relaxed) {
            drop(core.pool.run(move || drop(files)));
        }
        core.disk.sync_directory(SEGMENTS).at("sync directory", SEGMENTS)
    }
}
