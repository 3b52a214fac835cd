//! When entries were last served, noted in memory and written with their rows at the next checkpoint.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use larder_base::Timestamp;

/// Entries of which a time is noted at once: a few times what a checkpoint is made for. Where none succeeds any more, as
/// on a full disk, the times of further entries are lost until one does.
const NOTED_MAX: usize = 256 << 10;

/// Times since the last checkpoint, by index key.
#[derive(Default)]
pub(crate) struct Served {
    times: HashMap<Vec<u8>, Timestamp>,
}

impl Served {
    /// An entry was served at a time, which a later one that is noted already outlasts.
    pub(crate) fn note(&mut self, key: Vec<u8>, time: Timestamp) {
        let is_full = self.times.len() >= NOTED_MAX;
        match self.times.entry(key) {
            Slot::Occupied(mut slot) => *slot.get_mut() = time.max(*slot.get()),
            Slot::Vacant(_) if is_full => {}
            Slot::Vacant(slot) => drop(slot.insert(time)),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Timestamp> {
        self.times.get(key).copied()
    }

    /// An entry has another value, which was not served yet.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.times.remove(key);
    }

    /// Of how many entries a time is noted.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// All that is noted, in the order of the rows: each page of the index then changes in one transaction.
    pub(crate) fn take(&mut self) -> Vec<(Vec<u8>, Timestamp)> {
        let mut times: Vec<_> = std::mem::take(&mut self.times).into_iter().collect();
        times.sort_unstable();
        times
    }
}

#[cfg(test)]
mod tests;
