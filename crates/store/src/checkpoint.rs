//! Checkpoints: what was published goes into LMDB, the position in the log at its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_base::{Error, ErrorKind, Result, Timestamp};
use parking_lot::{Condvar, Mutex};

use crate::core::Core;
use crate::disk::{OnDisk, disk_error};
use crate::files::segment_path;
use crate::index::{Flush, Table, meta};
use crate::overlay::Layer;
use crate::row::EntryRow;

/// Rows above LMDB after which a checkpoint is made.
const ROWS_MAX: usize = if cfg!(test) { 1 << 10 } else { 16 << 10 };
/// Bytes of log after which a checkpoint is made: about what the next opening reads again.
const LOG_MAX: u64 = 32 << 20;
/// Rows above LMDB at which the committer waits for the checkpoint, and takes no more while they fail: memory is bounded
/// however slow or full the disk is.
pub(crate) const ROWS_LIMIT: usize = 16 * ROWS_MAX;
/// How long after a checkpoint that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How long published rows and times of service wait at most for a checkpoint.
const IDLE: Duration = Duration::from_secs(20);
/// Entries served after which a checkpoint is made.
const SERVED_MAX: usize = 64 << 10;

#[derive(Default)]
struct Wish {
    wanted: bool,
    sync: bool,
    stop: bool,
    log: u64,
}

/// Decides when checkpoints are made; its thread makes them.
#[derive(Default)]
pub(crate) struct Checkpointer {
    wish: Mutex<Wish>,
    changed: Condvar,
    done: Condvar,
    stopped: Condvar,
}

impl Checkpointer {
    /// The log grew by so many bytes. Waits when too much is above LMDB.
    pub(crate) fn log_grew(&self, core: &Core, bytes: u64) {
        let rows = core.index.overlay.waiting();
        let mut wish = self.wish.lock();
        wish.log += bytes;
        if rows > ROWS_MAX || wish.log > LOG_MAX {
            wish.wanted = true;
            self.changed.notify_one();
        }
        let is_failing = core.health.index_failing.load(Ordering::Relaxed);
        if !wish.stop && !is_failing && core.index.overlay.unflushed() > ROWS_LIMIT {
            // One attempt is waited for, whether it succeeds or not. While they fail nobody waits: see `check_index`.
            self.done.wait_for(&mut wish, IDLE);
        }
    }

    /// What was written is to be synced soon; nobody waits for it.
    pub(crate) fn sync_soon(&self) {
        self.wish.lock().sync = true;
        self.changed.notify_one();
    }

    /// An entry was served.
    pub(crate) fn served(&self, waiting: usize) {
        if waiting > SERVED_MAX {
            self.wish.lock().wanted = true;
            self.changed.notify_one();
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.wish.lock().stop = true;
        self.changed.notify_all();
        self.done.notify_all();
        self.stopped.notify_all();
    }

    /// Makes checkpoints until it is stopped.
    pub(crate) fn run(&self, core: &Core) {
        loop {
            let sync_only = {
                let mut wish = self.wish.lock();
                let idle = !wish.wanted && !wish.sync && !wish.stop;
                let waited = idle.then(|| self.changed.wait_for(&mut wish, IDLE).timed_out());
                if wish.stop {
                    return;
                }
                let due = std::mem::take(&mut wish.wanted) || waited == Some(true);
                if due {
                    wish.log = 0;
                }
                std::mem::take(&mut wish.sync) && !due
            };
            if sync_only {
                core.sync_active();
                continue;
            }
            let is_noted = core.served.lock().len() > 0 || core.readers.lock().is_waiting();
            if (core.index.overlay.waiting() > 0 || is_noted)
                && let Err(error) = core.checkpoint(false)
            {
                tracing::warn!(%error, "a checkpoint of the index failed; the log has everything, and it is tried again");
                self.done.notify_all();
                let mut wish = self.wish.lock();
                wish.wanted = true;
                if !wish.stop {
                    self.stopped.wait_for(&mut wish, RETRY);
                }
            }
            self.done.notify_all();
        }
    }
}

impl Core {
    /// Makes all that was written to the log durable; if that fails the store takes no more writes.
    pub(crate) fn sync_active(&self) {
        let active = self.active.read().clone();
        if let Some((segment, file)) = active {
            match file.sync().at("sync segment", &segment_path(segment)) {
                Ok(()) => drop(self.health.syncs.fetch_add(1, Ordering::Relaxed)),
                Err(error) => self.health.poison(&error),
            }
        }
    }

    /// Brings LMDB up to date with all that is published. With `clean`, also saves what else a restart needs.
    pub(crate) fn checkpoint(&self, clean: bool) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        // After a failed sync nobody knows what of the log is on the disk, and a second sync may claim success.
        self.health.check("checkpoint")?;
        let layer = self.index.overlay.begin_flush();
        let flushed = self.flush(&layer, clean);
        self.health.index_failing.store(flushed.is_err(), Ordering::Relaxed);
        if let Err(error) = flushed {
            self.index.overlay.undo_flush(layer);
            return Err(error);
        }
        self.index.overlay.end_flush();
        self.readers_flushed();
        self.health.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.measure_index()
    }

    /// Writes a layer, what was noted beside the log, and with `clean` what else a restart needs.
    fn flush(&self, layer: &Layer, clean: bool) -> Result<()> {
        // The position may lie beyond what was synced; LMDB must never be ahead of the log.
        self.sync_active();
        self.health.check("checkpoint")?;
        let served = self.served.lock().take();
        let mut unflushed = Vec::new();
        let heat = if clean { self.heat.save(self.now()) } else { Vec::new() };
        let flushed = self.index.flush(layer, &|| self.before_commit(), |mut flush| {
            for (key, time) in &served {
                flush = flush.with_room()?;
                if self.index.overlay.changed_since_flush(Table::Entries, key) {
                    // The newer row would overwrite this one; its time is written with it, next time.
                    unflushed.push((key.clone(), *time));
                } else {
                    flush_served(&mut flush, key, *time)?;
                }
            }
            flush = self.flush_readers(flush)?;
            if clean {
                // Together with the mark, or rows without it would stay.
                for (segment, time, bits) in &heat {
                    let key = [&segment.to_be_bytes()[..], &time.as_millis().to_be_bytes()].concat();
                    let row: Vec<u8> = bits.iter().flat_map(|word| word.to_le_bytes()).collect();
                    flush.put(Table::Heat, &key, &row)?;
                }
                flush.put(Table::Meta, meta::CLEAN, &[])?;
            }
            Ok(flush)
        });
        let returned = if flushed.is_ok() { unflushed } else { served };
        for (key, time) in returned {
            self.served.lock().note(key, time);
        }
        flushed
    }

    /// Fails when so many rows wait for checkpoints, which fail, that no more may be added.
    pub(crate) fn check_index(&self) -> Result<()> {
        if !self.health.index_failing.load(Ordering::Relaxed) || self.index.overlay.unflushed() <= ROWS_LIMIT {
            return Ok(());
        }
        let message = format!("more than {ROWS_LIMIT} rows wait for the index, which cannot be written");
        Err(Error::new(ErrorKind::Unavailable, "write", message)
            .with_hint("the server's log says why it fails; it is tried again every few seconds"))
    }

    pub(crate) fn before_commit(&self) -> Result<()> {
        self.disk.before_index_commit().map_err(|error| disk_error("commit index", "index", error))
    }

    /// The first commit after a clean shutdown: what was saved then counts no more.
    pub(crate) fn checkpoint_at_open(&self) -> Result<()> {
        let layer = self.index.overlay.begin_flush();
        self.index.flush(&layer, &|| self.before_commit(), |mut flush| {
            flush.clear(Table::Heat)?;
            flush.delete(Table::Meta, meta::CLEAN)?;
            Ok(flush)
        })?;
        self.index.overlay.end_flush();
        Ok(())
    }
}

fn flush_served(flush: &mut Flush<'_>, key: &[u8], time: Timestamp) -> Result<()> {
    let changed = flush.get(Table::Entries, key)?.map(|row| EntryRow::with_last_served(row, time));
    changed.map_or(Ok(()), |row| flush.put(Table::Entries, key, &row))
}
