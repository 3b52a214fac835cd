//! The handle to an open store, its opening and its end.

use std::fs::{File, TryLockError};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use larder_base::{Clock, Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};

use crate::archive::Archive;
use crate::at_hand::AtHand;
use crate::checkpoint::Checkpointer;
use crate::committer::{self, Queue};
use crate::core::{Core, Health, Usage};
use crate::disk::{Disk, FsDisk, OnDisk};
use crate::files::{SEGMENTS, STAGING, SegmentFiles};
use crate::format::{attach, check_format};
use crate::heat::Heat;
use crate::index::{INDEX, Index, Table, meta};
use crate::options::Options;
use crate::pool::Pool;
use crate::read_ahead::ReadAhead;
use crate::recover::{Recovery, recover};
use crate::thread;
use crate::transfer::Claims;

/// Offsets in a segment have 32 bits, with room for a last large group; below the least there would be only trailers.
const SEGMENT_LENS: RangeInclusive<u64> = 4096..=1 << 30;

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be used, with its bucket.
    Use,
    /// To have its index made anew, for which the bucket is not needed.
    Rebuild,
}

/// An open store. A handle is cheap to clone; all clones are the same store.
///
/// When the last handle is dropped the store stops without a checkpoint, which costs the next opening a little more;
/// [`Store::close`] ends it properly.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) core: Arc<Core>,
    pub(crate) checkpointer: Arc<Checkpointer>,
    pub(crate) evicting: Mutex<crate::evict::Progress>,
    pub(crate) pruning: Mutex<crate::prune::Progress>,
    pub(crate) repacking: Mutex<crate::evict::Repacking>,
    pub(crate) scrubbing: Mutex<crate::scrub::Progress>,
    /// Held while a segment is shipped.
    pub(crate) shipping: Mutex<()>,
    pub(crate) sweeping: Mutex<crate::sweep::Progress>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    recovery: Recovery,
    _lock: File,
}

impl Store {
    /// Opens a store in a directory of the real disk.
    ///
    /// # Errors
    /// When another process has it open, when it is of a format that is not known, or when the disk fails.
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self> {
        std::fs::create_dir_all(&options.dir).map_err(|error| dir_error("make data directory", &options.dir, error))?;
        let disk = Arc::new(FsDisk::new(&options.dir));
        Self::open_on(options, disk, clock)
    }

    /// As [`Store::open`], with the segments on another disk; lock, format and index stay in the directory.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(options: Options, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_for(Purpose::Use, options, disk, clock)
    }

    pub(crate) fn open_for(
        purpose: Purpose,
        options: Options,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if !SEGMENT_LENS.contains(&options.segment_len) {
            let (least, most) = (SEGMENT_LENS.start(), SEGMENT_LENS.end());
            let message = format!("a segment length of {} bytes; it must be {least} to {most}", options.segment_len);
            return Err(Error::invalid("open store", message));
        }
        let dir = options.dir.clone();
        std::fs::create_dir_all(&dir).map_err(|error| dir_error("make data directory", &dir, error))?;
        let lock = lock(&dir)?;
        let archive = archive(purpose, &options, &clock)?;
        for directory in [SEGMENTS, STAGING, INDEX] {
            disk.make_directory(directory).at("make directory", directory)?;
        }
        let index = Arc::new(Index::open(&dir.join(INDEX))?);
        index.open_runs(&*disk)?;
        let has_readers = AtomicBool::new(index.count(Table::Readers)? > 0);
        let usage = Usage::default();
        usage.quota.store(options.quota, Ordering::Relaxed);
        let core = Arc::new(Core {
            heat: Heat::new(options.retention),
            files: SegmentFiles::new(Arc::clone(&disk), archive.clone()),
            archive,
            queue: Queue::default(),
            pool: Pool::new(options.workers)?,
            index,
            usage,
            health: Health::default(),
            active: RwLock::default(),
            served: Mutex::default(),
            readers: Mutex::default(),
            has_readers,
            recipes: Mutex::default(),
            whole: Mutex::default(),
            at_hand: AtHand::default(),
            read_ahead: ReadAhead::default(),
            checkpoint: Mutex::default(),
            parts: Claims::default(),
            names: RwLock::default(),
            options,
            disk,
            clock,
        });
        let (log, recovery) = recover(&core)?;
        if core.archive.is_some() && core.index.get_flushed(Table::Meta, meta::POSITION)?.is_none() {
            // From here on an index without a position is one that was lost, for which the bucket is asked what there is.
            core.merge(false)?;
        }
        let quarantined = core.index.count(Table::Quarantine)?;
        core.health.quarantined.store(quarantined, Ordering::Relaxed);
        let checkpointer = Arc::new(Checkpointer::default());
        let checkpoints = {
            let (core, checkpointer) = (Arc::clone(&core), Arc::clone(&checkpointer));
            thread::start("larder-index", move || checkpointer.run(&core))?
        };
        let commits = {
            let (core, checkpointer) = (Arc::clone(&core), Arc::clone(&checkpointer));
            thread::start("larder-commit", move || committer::run(&core, &checkpointer, log))
        };
        let commits = commits.inspect_err(|_| checkpointer.stop())?;
        let inner = Inner {
            core,
            checkpointer,
            evicting: Mutex::default(),
            pruning: Mutex::default(),
            repacking: Mutex::default(),
            scrubbing: Mutex::default(),
            shipping: Mutex::default(),
            sweeping: Mutex::default(),
            threads: Mutex::new(vec![commits, checkpoints]),
            recovery,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }

    /// Whether sealed segments are kept in a bucket, too.
    pub fn has_bucket(&self) -> bool {
        self.core().archive.is_some()
    }

    /// What the opening found and did.
    pub fn recovery(&self) -> Recovery {
        self.inner.recovery
    }

    /// Changes the quota, in bytes; it takes effect with the next write and the next [`Store::evict_step`].
    pub fn set_quota(&self, quota: u64) {
        self.core().usage.quota.store(quota, Ordering::Relaxed);
    }

    /// Brings the index up to date with the log, so that the next opening need not.
    ///
    /// # Errors
    /// When the disk fails or is full; nothing is lost by that.
    pub fn checkpoint(&self) -> Result<()> {
        self.core().merge(false)
    }

    /// Does what was begun, makes a last checkpoint and stops. Later calls on any handle fail; what was acknowledged is
    /// safe even if this fails.
    ///
    /// # Errors
    /// When the last checkpoint fails.
    pub fn close(&self) -> Result<()> {
        if self.inner.stop() { self.core().merge(true) } else { Ok(()) }
    }

    /// Fails with "full" if so many bytes more do not fit, after evicting what may go.
    pub(crate) fn make_room(&self, bytes: u64) -> Result<()> {
        let usage = &self.core().usage;
        while !usage.fits(bytes) {
            if !self.evict_for(bytes)? && !usage.fits(bytes) {
                return Err(usage.full("write"));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.core().options.dir).finish_non_exhaustive()
    }
}

impl Inner {
    /// Ends the threads; false when they were ended before.
    fn stop(&self) -> bool {
        // In the order of who feeds whom: the workers, the committer, the checkpoints that the committer may wait for.
        self.core.pool.stop();
        self.core.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let was_running = !threads.is_empty();
        let mut threads = threads.into_iter();
        if let Some(commits) = threads.next() {
            let _ = commits.join();
        }
        self.checkpointer.stop();
        for thread in threads {
            let _ = thread.join();
        }
        was_running
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn dir_error(operation: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, operation, path.display().to_string()).with_source(error)
}

/// The bucket of a directory, if it has one.
fn archive(purpose: Purpose, options: &Options, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Archive>>> {
    let attachment = check_format(&options.dir)?;
    match (&options.bucket, attachment) {
        (Some(bucket), attachment) => {
            let attachment = attach(&options.dir, attachment, bucket)?;
            Ok(Some(Arc::new(Archive::new(bucket, &attachment.id, Arc::clone(clock)))))
        }
        (None, Some(attachment)) if purpose == Purpose::Use => {
            let message = format!("the segments of {} are in {}", options.dir.display(), attachment.place);
            Err(Error::invalid("open store", message)
                .with_hint("configure the bucket that it was used with, or another data directory"))
        }
        (None, _) => Ok(None),
    }
}

/// Locks a data directory for this process, until the file is dropped.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when another process has it.
pub fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| dir_error("open lock file", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is in use by another Larder process", dir.display());
            Err(Error::new(ErrorKind::Unavailable, "open store", message)
                .with_hint("stop the other process, or give this one a data directory of its own"))
        }
        Err(TryLockError::Error(error)) => Err(dir_error("lock data directory", &path, error)),
    }
}
