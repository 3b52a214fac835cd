//! Changes to the index that are in the log already and not yet in LMDB.
//!
//! Readers look at the newest layer, then at the one that a checkpoint is writing, then at the [`Run`]s, the newest first,
//! then at LMDB, in this order and opening LMDB last: what is taken away here is below by then, so nothing falls between.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::index::{TABLES, Table};
use crate::merged::Source;
use crate::run::{Run, slot_hash};

/// Changed rows of every table; `None` is a deleted row.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    tables: [BTreeMap<Box<[u8]>, Option<Bytes>>; TABLES.len()],
}

impl Layer {
    pub(crate) fn set(&mut self, table: Table, key: &[u8], row: Option<Bytes>) {
        self.tables[table as usize].insert(key.into(), row);
    }

    /// The change of a row, if it was changed.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<&Option<Bytes>> {
        self.tables[table as usize].get(key)
    }

    /// The changed rows of a table in the order of their keys.
    pub(crate) fn rows(&self, table: Table) -> &BTreeMap<Box<[u8]>, Option<Bytes>> {
        &self.tables[table as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.tables.iter().map(BTreeMap::len).sum()
    }

    /// Takes in later changes.
    pub(crate) fn absorb(&mut self, later: Self) {
        for (mine, theirs) in self.tables.iter_mut().zip(later.tables) {
            if mine.is_empty() {
                *mine = theirs;
            } else {
                mine.extend(theirs);
            }
        }
    }
}

#[derive(Default)]
struct Layers {
    current: Layer,
    /// What a checkpoint is writing.
    taken: Option<Arc<Layer>>,
    /// What checkpoints wrote, the oldest first.
    runs: Vec<Arc<Run>>,
}

/// The layers above LMDB.
#[derive(Default)]
pub(crate) struct Overlay {
    layers: RwLock<Layers>,
}

impl Overlay {
    /// The change of a row, if there is one above LMDB.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<Option<Bytes>> {
        let layers = self.layers.read();
        let changed = layers.current.get(table, key).or_else(|| layers.taken.as_ref()?.get(table, key));
        if changed.is_some() || layers.runs.is_empty() {
            return changed.cloned();
        }
        let hash = slot_hash(table, key);
        layers.runs.iter().rev().find_map(|run| run.get(table, key, hash))
    }

    /// The changes as they are, of rows of a table whose key begins with `start`.
    pub(crate) fn changes(&self, table: Table, from: Bound<&[u8]>, start: &[u8]) -> Changes {
        let layers = self.layers.read();
        let mut newest = BTreeMap::new();
        for layer in layers.taken.as_deref().into_iter().chain([&layers.current]) {
            let rows = layer.rows(table).range::<[u8], _>((from, Bound::Unbounded));
            newest.extend(
                rows.take_while(|(key, _)| key.starts_with(start)).map(|(key, row)| (key.clone(), row.clone())),
            );
        }
        let runs = layers.runs.iter().rev().filter(|run| run.len_of(table) > 0).cloned().collect();
        Changes { newest, runs }
    }

    /// Makes changes visible, all at once. `meanwhile` is called while nobody can read any row.
    pub(crate) fn publish(&self, changes: Layer, meanwhile: impl FnOnce(&Layer)) {
        let mut layers = self.layers.write();
        meanwhile(&changes);
        layers.current.absorb(changes);
    }

    /// How many rows wait for the next checkpoint.
    pub(crate) fn waiting(&self) -> usize {
        self.layers.read().current.len()
    }

    /// How many rows are not in LMDB, one that changed twice perhaps counted twice.
    pub(crate) fn unmerged(&self) -> usize {
        let layers = self.layers.read();
        let runs: usize = layers.runs.iter().map(|run| run.len()).sum();
        layers.current.len() + layers.taken.as_deref().map_or(0, Layer::len) + runs
    }

    /// How many changed rows of a table are there and how many were deleted, one that changed twice perhaps counted twice.
    pub(crate) fn unmerged_of(&self, table: Table) -> (u64, u64) {
        let layers = self.layers.read();
        let rows =
            [Some(&layers.current), layers.taken.as_deref()].into_iter().flatten().map(|layer| layer.rows(table));
        let runs: usize = layers.runs.iter().map(|run| run.len_of(table)).sum();
        let all = rows.clone().map(BTreeMap::len).sum::<usize>() + runs;
        let in_runs: usize = layers.runs.iter().map(|run| run.deleted_of(table)).sum();
        let deleted = rows.flat_map(BTreeMap::values).filter(|row| row.is_none()).count() + in_runs;
        ((all - deleted) as u64, deleted as u64)
    }

    /// Takes what there is for a checkpoint, until [`Overlay::keep`] or [`Overlay::put_back`].
    pub(crate) fn take(&self) -> Arc<Layer> {
        let mut layers = self.layers.write();
        let layer = Arc::new(std::mem::take(&mut layers.current));
        layers.taken = Some(Arc::clone(&layer));
        layer
    }

    /// What was taken, if anything was, is in this run, which is durable.
    pub(crate) fn keep(&self, run: Run) {
        let mut layers = self.layers.write();
        layers.taken = None;
        layers.runs.push(Arc::new(run));
    }

    /// What was taken could not be written: its rows wait again, beneath what was changed since.
    pub(crate) fn put_back(&self, layer: Arc<Layer>) {
        let mut layers = self.layers.write();
        layers.taken = None;
        let mut rows = Arc::try_unwrap(layer).unwrap_or_else(|shared| Layer { tables: shared.tables.clone() });
        rows.absorb(std::mem::take(&mut layers.current));
        layers.current = rows;
    }

    /// As [`Overlay::get`], of the runs alone.
    pub(crate) fn get_in_runs(&self, table: Table, key: &[u8]) -> Option<Option<Bytes>> {
        let hash = slot_hash(table, key);
        self.layers.read().runs.iter().rev().find_map(|run| run.get(table, key, hash))
    }

    /// The runs, the oldest first.
    pub(crate) fn runs(&self) -> Vec<Arc<Run>> {
        self.layers.read().runs.clone()
    }

    /// LMDB has so many of the oldest runs.
    pub(crate) fn drop_runs(&self, count: usize) {
        self.layers.write().runs.drain(..count);
    }

    /// Whether a row was changed after so many of the oldest runs.
    pub(crate) fn changed_after(&self, count: usize, table: Table, key: &[u8]) -> bool {
        let layers = self.layers.read();
        let hash = slot_hash(table, key);
        layers.current.get(table, key).is_some()
            || layers.taken.as_ref().is_some_and(|layer| layer.get(table, key).is_some())
            || layers.runs[count..].iter().any(|run| run.get(table, key, hash).is_some())
    }
}

/// The changes of a table at one moment.
pub(crate) struct Changes {
    /// Those that no run has.
    newest: BTreeMap<Box<[u8]>, Option<Bytes>>,
    /// The newest first.
    runs: Vec<Arc<Run>>,
}

impl Changes {
    /// The changed rows from a key on, the newest source first.
    pub(crate) fn sources<'a>(&'a self, table: Table, from: Bound<&[u8]>) -> Vec<Source<'a>> {
        let newest: Source<'a> = Box::new(self.newest.iter().map(|(key, row)| Ok((&**key, row.as_deref()))));
        let runs = self.runs.iter().map(|run| Box::new(run.rows_from(table, from).map(Ok)) as Source<'a>);
        std::iter::once(newest).chain(runs).collect()
    }
}

#[cfg(test)]
mod tests;
