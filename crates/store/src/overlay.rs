//! Changes to the index that are in the log already and not yet in LMDB.
//!
//! Readers look at the newest layer, then at the one being flushed, then at LMDB, in this order and opening LMDB last:
//! a layer is taken away only after LMDB has it, so nothing falls between.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::index::{TABLES, Table};

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
    flushing: Option<Arc<Layer>>,
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
        let changed = layers.current.get(table, key).cloned();
        changed.or_else(|| layers.flushing.as_ref()?.get(table, key).cloned())
    }

    /// The changes of all rows whose key begins with `start`.
    pub(crate) fn scan(&self, table: Table, from: Bound<&[u8]>, start: &[u8]) -> BTreeMap<Box<[u8]>, Option<Bytes>> {
        let layers = self.layers.read();
        let mut found = BTreeMap::new();
        for layer in layers.flushing.as_deref().into_iter().chain([&layers.current]) {
            let rows = layer.rows(table).range::<[u8], _>((from, Bound::Unbounded));
            found.extend(
                rows.take_while(|(key, _)| key.starts_with(start)).map(|(key, row)| (key.clone(), row.clone())),
            );
        }
        found
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

    /// How many rows are not in LMDB, those among them that are being flushed.
    pub(crate) fn unflushed(&self) -> usize {
        let layers = self.layers.read();
        layers.current.len() + layers.flushing.as_deref().map_or(0, Layer::len)
    }

    /// Whether a row was changed since the layer being flushed was taken.
    pub(crate) fn changed_since_flush(&self, table: Table, key: &[u8]) -> bool {
        self.layers.read().current.get(table, key).is_some()
    }

    /// Takes what there is for flushing, until [`Overlay::end_flush`] or [`Overlay::undo_flush`].
    pub(crate) fn begin_flush(&self) -> Arc<Layer> {
        let mut layers = self.layers.write();
        let layer = Arc::new(std::mem::take(&mut layers.current));
        layers.flushing = Some(Arc::clone(&layer));
        layer
    }

    /// LMDB has the layer that was taken.
    pub(crate) fn end_flush(&self) {
        self.layers.write().flushing = None;
    }

    /// LMDB has not all of the layer that was taken: its rows wait again, beneath what was changed since.
    pub(crate) fn undo_flush(&self, layer: Arc<Layer>) {
        let mut layers = self.layers.write();
        layers.flushing = None;
        let mut rows = Arc::try_unwrap(layer).unwrap_or_else(|shared| Layer { tables: shared.tables.clone() });
        rows.absorb(std::mem::take(&mut layers.current));
        layers.current = rows;
    }
}

#[cfg(test)]
mod tests;
