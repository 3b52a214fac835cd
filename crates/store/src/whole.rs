//! Entries found whole lately, so that to look one up again costs no touch of everything that it links to.
//!
//! What makes this right: all links of such an entry were touched in the present slice of the retention time, so touching
//! them again would change nothing; and since then nothing that was touched has been lost. [`Epoch`] says both.

use std::collections::HashMap;
use std::sync::Arc;

use larder_base::ContentHash;

use crate::heat::Epoch;

/// Links kept of all entries together, 33 bytes each.
const LINKS_KEPT: usize = 400_000;
/// What an entry costs besides its links, counted as so many of them.
const ENTRY_COST: usize = 8;

struct Found {
    revision: u64,
    epoch: Epoch,
    links: Arc<[ContentHash]>,
}

/// Entries by index key.
#[derive(Default)]
pub(crate) struct WholeEntries {
    entries: HashMap<Vec<u8>, Found>,
    cost: usize,
}

impl WholeEntries {
    /// The links of an entry of this revision, if it was whole and all of them were touched in this epoch.
    pub(crate) fn get(&self, key: &[u8], revision: u64, epoch: Epoch) -> Option<Arc<[ContentHash]>> {
        let found = self.entries.get(key)?;
        (found.revision == revision && found.epoch == epoch).then(|| Arc::clone(&found.links))
    }

    /// Remembers an entry. `epoch` was asked for before the first of its links was looked at, and no mark was due for any.
    pub(crate) fn keep(&mut self, key: &[u8], revision: u64, epoch: Epoch, links: &Arc<[ContentHash]>) {
        let cost = links.len() + ENTRY_COST;
        if cost > LINKS_KEPT {
            return;
        }
        if self.cost + cost > LINKS_KEPT {
            *self = Self::default();
        }
        let found = Found { revision, epoch, links: Arc::clone(links) };
        let before = self.entries.insert(key.to_vec(), found).map_or(0, |before| before.links.len() + ENTRY_COST);
        self.cost = self.cost + cost - before;
    }
}

#[cfg(test)]
mod tests;
