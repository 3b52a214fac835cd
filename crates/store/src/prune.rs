//! Pruning: stale rows, those of records in segments that are no more, are deleted from the index.
//!
//! To the log an eviction is one record, whatever the number of rows that it makes stale. Deleted one by one in the order
//! of the segment they would cost a page of the index each, as their keys are hashes. So they stay, where they count as
//! absent like any row of a segment that does not exist, and when they are many the tables are read once from end to end
//! and rid of them page by page.
//!
//! A row is stale for good once LMDB itself knows nothing of its segment: ids are never used twice, and that a segment is
//! gone gets there after the record of it is durable.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use larder_base::Result;

use crate::committer::Terms;
use crate::core::Core;
use crate::index::{Flush, Table, meta};
use crate::row::{BlobRow, EntryRow};
use crate::rows::Rows;
use crate::store::Store;

/// Rows looked at in one transaction: some 40 milliseconds, for which the next checkpoint waits, but no writer.
const ROWS_A_STEP: usize = if cfg!(test) { 7 } else { 64 << 10 };
/// Pruning is due when there may be one stale row in so many: below, a pass over the whole index would do too little.
const DUE_AT_ONE_IN: u64 = 16;

/// What a step of pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rows deleted.
    pub rows: u64,
    /// The whole index was gone through, or it is not the time for it; the next step begins anew.
    pub wrapped: bool,
}

impl Pruned {
    /// Adds what another step did; the end is that of the later one.
    pub fn add(&mut self, step: &Self) {
        self.rows += step.rows;
        self.wrapped = step.wrapped;
    }
}

/// What pruning remembers between steps: `None` between two passes.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pass: Option<Pass>,
}

#[derive(Debug)]
struct Pass {
    table: Table,
    after: Vec<u8>,
    /// Rows that were perhaps stale when it began.
    stale: u64,
}

impl Store {
    /// Does a bounded part of the pruning that is due: none while few rows are stale. Call it again until
    /// [`Pruned::wrapped`].
    ///
    /// # Errors
    /// When the index cannot be written, for instance as the disk is full. Stale rows cost space, and nothing else.
    pub fn prune_step(&self) -> Result<Pruned> {
        let core = self.core();
        let mut progress = self.inner.pruning.lock();
        let Some(pass) = progress.pass.take().map_or_else(|| core.due_pass(), |pass| Ok(Some(pass)))? else {
            return Ok(Pruned { rows: 0, wrapped: true });
        };
        let (rows, last) = core.prune(&pass)?;
        progress.pass = match (last, pass.table) {
            (Some(after), _) => Some(Pass { after, ..pass }),
            (None, Table::Blobs) => Some(Pass { table: Table::Entries, after: Vec::new(), ..pass }),
            (None, _) => {
                core.queue.call(Terms::housekeeping(0).unsynced(), move |group| {
                    let stale = group.number(meta::STALE)?.saturating_sub(pass.stale);
                    group.set_number(meta::STALE, stale);
                    Ok(())
                })?;
                core.measure_index()?;
                None
            }
        };
        Ok(Pruned { rows, wrapped: progress.pass.is_none() })
    }
}

impl Core {
    /// A pass, if one is due.
    fn due_pass(&self) -> Result<Option<Pass>> {
        let stale = self.stale_rows()?;
        if stale == 0 || stale < self.prunable_rows()? / DUE_AT_ONE_IN {
            return Ok(None);
        }
        // What LMDB does not know to be gone would stay.
        self.merge(false)?;
        Ok(Some(Pass { table: Table::Blobs, after: Vec::new(), stale }))
    }

    fn prune(&self, pass: &Pass) -> Result<(u64, Option<Vec<u8>>)> {
        let _no_flush = self.checkpoint.lock();
        self.health.check("prune index")?;
        let with: &[Table] = if pass.table == Table::Entries { &[Table::Links, Table::Readers] } else { &[] };
        let segment_of = if pass.table == Table::Entries { EntryRow::segment_of } else { BlobRow::segment_of };
        let mut known: HashMap<u32, bool> = HashMap::new();
        let mut is_gone = |flush: &Flush<'_>, row: &[u8]| {
            let segment = segment_of(row)?;
            Ok(match known.get(&segment) {
                Some(gone) => *gone,
                None => {
                    let is_flushed = flush.get(Table::Segments, &segment.to_be_bytes())?.is_some();
                    *known.entry(segment).or_insert(!is_flushed && !self.heat.exists(segment))
                }
            })
        };
        let before_commit = || self.before_commit();
        let step = self.index.prune(pass.table, &pass.after, ROWS_A_STEP, with, &before_commit, &mut is_gone)?;
        Ok((step.deleted, step.last))
    }

    /// At most so many rows are stale.
    fn stale_rows(&self) -> Result<u64> {
        Rows::new(self).number(meta::STALE)
    }

    /// Rows that may come to be stale, as LMDB has them.
    fn prunable_rows(&self) -> Result<u64> {
        Ok(self.index.count(Table::Blobs)? + self.index.count(Table::Entries)?)
    }

    /// Measures what the index takes of the quota. The share of stale rows is as good as free: it is used again, without
    /// anything being evicted for it.
    pub(crate) fn measure_index(&self) -> Result<()> {
        let (used, rows) = (self.index.used_bytes()?, self.prunable_rows()?);
        let stale = self.stale_rows()?.min(rows);
        let free = u128::from(used) * u128::from(stale) / u128::from(rows.max(1));
        self.usage.index.store(used - u64::try_from(free).expect("a share is less than the whole"), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
