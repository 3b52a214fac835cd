//! Small values served lately, with their entries, so that what is asked for again needs neither the index nor the disk.
//!
//! What makes this right: an entry is only given out in the [`Epoch`] in which all of it was found and touched, as with
//! [`crate::whole`]; and whoever publishes another row of it has it forgotten while no reader can see either row, see
//! [`AtHand::forget`].

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_base::Entry;
use parking_lot::Mutex;

use crate::heat::Epoch;

/// Bytes kept of all entries together.
const BYTES_KEPT: usize = 64 << 20;
/// Parts of what is kept that do not wait for each other.
const SHARDS: usize = 16;
/// About what an entry takes besides its value, its key, its links and its texts.
const ENTRY_BYTES: usize = 400;

/// About what an attribute takes besides its name and value.
const ATTRIBUTE_BYTES: usize = 100;

/// How often anything was forgotten: what was read before that may be old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// Entries by index key.
pub(crate) struct AtHand {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    generation: AtomicU64,
}

impl Default for AtHand {
    fn default() -> Self {
        Self { shards: Default::default(), hasher: RandomState::new(), generation: AtomicU64::new(0) }
    }
}

impl AtHand {
    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// The entry under a key, value included, if all of it was touched in this epoch. `used` sees it first, and may bring
    /// it up to date.
    pub(crate) fn get(&self, key: &[u8], epoch: Epoch, used: impl FnOnce(&mut Entry)) -> Option<Entry> {
        let mut shard = self.shard(key).lock();
        let kept = shard.kept.get_mut(key).filter(|kept| kept.epoch == epoch)?;
        kept.used = true;
        used(&mut kept.entry);
        Some(kept.entry.clone())
    }

    /// To be asked before the first row of an entry is read that is to be kept.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    /// Remembers an entry that carries its value. Both `epoch` and `generation` were asked for before its rows were read,
    /// and no mark was due for any of it.
    pub(crate) fn keep(&self, key: &[u8], entry: &Entry, epoch: Epoch, generation: Generation) {
        let mut shard = self.shard(key).lock();
        // Within the lock: who forgets this key either has raised the number already or is yet to come for the key.
        if self.generation() == generation {
            shard.keep(key, entry.clone(), epoch, BYTES_KEPT / SHARDS);
        }
    }

    /// Forgets entries. Called when their rows were changed, before anyone can read the new ones and so that nobody reads
    /// the old ones any more: whoever asks for a generation after this sees the new rows.
    pub(crate) fn forget<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut keys = keys.peekable();
        if keys.peek().is_some() {
            self.generation.fetch_add(1, Ordering::SeqCst);
            keys.for_each(|key| self.shard(key).lock().remove(key));
        }
    }
}

struct Kept {
    entry: Entry,
    epoch: Epoch,
    /// It was given out since it was last looked at.
    used: bool,
    turn: u64,
}

impl Kept {
    fn bytes(&self, key: &[u8]) -> usize {
        let value = self.entry.inline.as_ref().map_or(0, bytes::Bytes::len);
        let attributes = self.entry.attributes.iter().map(|(name, value)| name.len() + value.len() + ATTRIBUTE_BYTES);
        let texts = self.entry.writer.len() + attributes.sum::<usize>();
        ENTRY_BYTES + 2 * key.len() + value + texts + self.entry.links.len() * size_of::<larder_base::ContentHash>()
    }
}

#[derive(Default)]
struct Shard {
    kept: HashMap<Arc<[u8]>, Kept>,
    /// The turns of the keys, in the order in which they are considered for going. A turn that is not the key's own is void.
    order: VecDeque<(u64, Arc<[u8]>)>,
    turns: u64,
    bytes: usize,
}

impl Shard {
    fn keep(&mut self, key: &[u8], entry: Entry, epoch: Epoch, most: usize) {
        let key: Arc<[u8]> = key.into();
        let kept = Kept { entry, epoch, used: false, turn: self.turns };
        let bytes = kept.bytes(&key);
        self.remove(&key);
        if bytes > most {
            return;
        }
        self.turns += 1;
        self.order.push_back((kept.turn, Arc::clone(&key)));
        self.kept.insert(key, kept);
        self.bytes += bytes;
        self.shrink(most);
        if self.order.len() > 2 * self.kept.len() + 16 {
            let kept = &self.kept;
            self.order.retain(|(turn, key)| kept.get(key).is_some_and(|kept| kept.turn == *turn));
        }
    }

    /// Lets go of what was not used since it was last looked at.
    fn shrink(&mut self, most: usize) {
        while self.bytes > most
            && let Some((turn, key)) = self.order.pop_front()
        {
            let Some(kept) = self.kept.get_mut(&key).filter(|kept| kept.turn == turn) else { continue };
            if std::mem::take(&mut kept.used) {
                self.order.push_back((turn, key));
            } else {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(kept) = self.kept.remove(key) {
            self.bytes -= kept.bytes(key);
        }
    }
}

#[cfg(test)]
mod tests;
