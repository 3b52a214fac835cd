//! Checkpoints: what was published becomes durable in the index, the position in the log with it.
//!
//! A checkpoint writes the rows that changed as a [`crate::run::Run`]. When there are many runs, or little to do, they are merged:
//! their rows go into LMDB, in transactions of bounded size, as LMDB keeps every page it changed in memory until it commits, and
//! that memory for good. A crash between two of them leaves rows of some runs in LMDB, which the runs hide: their files are
//! removed only after the transaction that says that LMDB has them.

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_base::{Error, ErrorKind, Result, Timestamp};
use parking_lot::{Condvar, Mutex};

use crate::core::Core;
use crate::disk::{OnDisk, disk_error};
use crate::files::segment_path;
use crate::index::{Flush, ROWS_A_COMMIT, TABLES, Table, meta};
use crate::merged::{Merged, Source};
use crate::row::EntryRow;

/// Rows after which a checkpoint is made.
const ROWS_MAX: usize = if cfg!(test) { 1 << 10 } else { 16 << 10 };
/// Bytes of log after which a checkpoint is made: about what the next opening reads again.
const LOG_MAX: u64 = 32 << 20;
/// Runs that are merged into LMDB: the more, the fewer pages it writes for a row, and the more memory has rows and look-ups ask.
const RUNS_MAX: usize = if cfg!(test) { 3 } else { 16 };
/// Bytes of runs that are merged however few they are.
const RUN_BYTES_MAX: u64 = 64 << 20;
/// Rows that no run has at which the committer waits for the checkpoint, and takes no more while they fail: memory is bounded
/// however slow or full the disk is.
pub(crate) const WAITING_LIMIT: usize = 16 * ROWS_MAX;
/// As [`WAITING_LIMIT`], of all rows above LMDB: those in runs take a third of the memory.
pub(crate) const ROWS_LIMIT: usize = 48 * ROWS_MAX;
/// How long after a checkpoint that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How long published rows and times of service wait at most for a checkpoint, and runs for a merge, when little is written.
const IDLE: Duration = Duration::from_secs(20);
/// Entries served after which runs are merged, and their times with them.
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
        if !wish.stop && !is_failing && core.is_index_behind() {
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
            let is_idle = {
                let mut wish = self.wish.lock();
                let idle = !wish.wanted && !wish.sync && !wish.stop;
                let is_idle = idle && self.changed.wait_for(&mut wish, IDLE).timed_out();
                if wish.stop {
                    return;
                }
                if !wish.wanted && !is_idle {
                    // Nobody else asked for anything.
                    wish.sync = false;
                    drop(wish);
                    core.sync_active();
                    continue;
                }
                (wish.wanted, wish.sync, wish.log) = (false, false, 0);
                is_idle
            };
            let served = core.served.lock().len();
            let made = if !is_idle && served <= SERVED_MAX {
                core.checkpoint()
            } else if served > 0 || core.index.overlay.unmerged() > 0 || core.readers.lock().is_waiting() {
                core.merge(false)
            } else {
                Ok(())
            };
            if let Err(error) = made {
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

    /// Makes all that is published durable in the index.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        self.attempt(|| {
            self.write_run()?;
            let runs = self.index.overlay.runs();
            let bytes: usize = runs.iter().map(|run| run.bytes().len()).sum();
            if runs.len() < RUNS_MAX && (bytes as u64) < RUN_BYTES_MAX {
                return Ok(());
            }
            self.merge_runs(|flush| Ok(flush))
        })
    }

    /// Brings LMDB up to date with all that is published. With `clean`, also saves what else a restart needs.
    pub(crate) fn merge(&self, clean: bool) -> Result<()> {
        let _one_at_a_time = self.checkpoint.lock();
        self.attempt(|| {
            self.write_run()?;
            let heat = if clean { self.heat.save(self.now()) } else { Vec::new() };
            self.merge_runs(|mut flush| {
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
            })
        })
    }

    /// The first merge after a clean shutdown: what was saved then counts no more.
    pub(crate) fn merge_at_open(&self) -> Result<()> {
        self.write_run()?;
        self.merge_runs(|mut flush| {
            flush.clear(Table::Heat)?;
            flush.delete(Table::Meta, meta::CLEAN)?;
            Ok(flush)
        })
    }

    /// Does the work of a checkpoint and remembers whether it failed.
    fn attempt(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let worked = work();
        self.health.index_failing.store(worked.is_err(), Ordering::Relaxed);
        worked?;
        self.health.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.measure_index()
    }

    /// Writes what is published and in no run as a run.
    pub(crate) fn write_run(&self) -> Result<()> {
        // After a failed sync nobody knows what of the log is on the disk, and a second sync may claim success.
        self.health.check("checkpoint")?;
        let layer = self.index.overlay.take();
        // The position may lie beyond what was synced; the index must never be ahead of the log.
        self.sync_active();
        let written = self.health.check("checkpoint").and_then(|()| {
            if layer.len() == 0 { Ok(None) } else { self.index.write_run(&*self.disk, &layer).map(Some) }
        });
        match written {
            Ok(Some(run)) => self.index.overlay.keep(run),
            Ok(None) => self.index.overlay.put_back(layer),
            Err(error) => {
                self.index.overlay.put_back(layer);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings the runs into LMDB, with what was noted beside the log and what `last` adds to the last transaction.
    pub(crate) fn merge_runs(&self, last: impl for<'a> FnOnce(Flush<'a>) -> Result<Flush<'a>>) -> Result<()> {
        let before_commit = || self.before_commit();
        let runs = self.index.overlay.runs();
        let rows = TABLES.iter().flat_map(|(table, _)| {
            let sources =
                runs.iter().rev().map(|run| Box::new(run.rows_from(*table, Bound::Unbounded).map(Ok)) as Source<'_>);
            Merged::new(sources).map(|row| row.map(|(key, row)| (*table, key, row)))
        });
        let mut rows = rows.filter(|row| !matches!(row, Ok((Table::Meta, meta::POSITION, _)))).peekable();
        while rows.peek().is_some() {
            let mut flush = self.index.begin_flush(&before_commit)?;
            for row in rows.by_ref().take(ROWS_A_COMMIT) {
                match row? {
                    (table, key, Some(row)) => flush.put(table, key, row)?,
                    (table, key, None) => flush.delete(table, key)?,
                }
            }
            flush.commit()?;
            if self.index.overlay.waiting() > ROWS_MAX {
                self.write_run()?;
            }
        }
        drop(rows);
        let served = self.served.lock().take();
        let mut waiting = Vec::new();
        let write_last = || {
            let mut flush = self.index.begin_flush(&before_commit)?;
            if let Some(newest) = runs.last() {
                let position = runs.iter().rev().find_map(|run| run.find(Table::Meta, meta::POSITION)).flatten();
                position.map_or(Ok(()), |row| flush.put(Table::Meta, meta::POSITION, &row))?;
                flush.put(Table::Meta, meta::MERGED, &newest.number.to_le_bytes())?;
            }
            for (key, time) in &served {
                flush = flush.with_room()?;
                if self.index.overlay.changed_after(runs.len(), Table::Entries, key) {
                    // The newer row would overwrite this one; its time is written with it, next time.
                    waiting.push((key.clone(), *time));
                } else {
                    flush_served(&mut flush, key, *time)?;
                }
            }
            last(self.flush_readers(flush, runs.len())?)?.commit()
        };
        let written = write_last();
        for (key, time) in if written.is_ok() { waiting } else { served } {
            self.served.lock().note(key, time);
        }
        written?;
        self.index.overlay.drop_runs(runs.len());
        self.readers_flushed();
        if let Err(error) = self.index.remove_merged(&*self.disk) {
            tracing::warn!(%error, "files that the index needs no more stay until the next merge");
        }
        Ok(())
    }

    /// Fails when so many rows wait for checkpoints, which fail, that no more may be added.
    pub(crate) fn check_index(&self) -> Result<()> {
        if !self.health.index_failing.load(Ordering::Relaxed) || !self.is_index_behind() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "write", "too many rows wait for the index, which cannot be written")
            .with_hint("the server's log says why it fails; it is tried again every few seconds"))
    }

    /// Whether as many rows are above LMDB as may be.
    fn is_index_behind(&self) -> bool {
        self.index.overlay.waiting() > WAITING_LIMIT || self.index.overlay.unmerged() > ROWS_LIMIT
    }

    pub(crate) fn before_commit(&self) -> Result<()> {
        self.disk.before_index_commit().map_err(|error| disk_error("commit index", "index", error))
    }
}

fn flush_served(flush: &mut Flush<'_>, key: &[u8], time: Timestamp) -> Result<()> {
    let changed = flush.get(Table::Entries, key)?.map(|row| EntryRow::with_last_served(row, time));
    changed.map_or(Ok(()), |row| flush.put(Table::Entries, key, &row))
}
