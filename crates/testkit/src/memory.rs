//! The memory tier: everything the storage traits promise, except surviving the process.

mod blobs;
mod entries;
mod readers;
mod segments;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use larder_base::{
    Clock, ContentHash, Digest, Entry, EntryAddress, Located, Namespace, PartName, ReaderList, SeenEntry,
};
use parking_lot::Mutex;

/// Keeps blobs, entries and segments in memory; clones are handles on the same tier.
///
/// It holds to the letter of the traits, so that a door or wrapper which works on it works on any tier that passes
/// [`crate::suite`]. It has no quota and drops nothing by itself; [`Memory::forget`] does what eviction would. To see a
/// caller meet faults, wrap it in [`crate::faulty::Faulty`].
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    /// Keyed by namespace first: what a namespace did not put is not there to be found.
    blobs: HashMap<Namespace, HashMap<ContentHash, Bytes>>,
    entries: BTreeMap<EntryAddress, Entry>,
    /// Of each revision of an entry that was restored.
    readers: BTreeMap<SeenEntry, ReaderList>,
    /// One count for all addresses, so that no revision comes twice and the later write has the higher one.
    last_revision: u64,
    /// A segment's number is its place here. Segments are only ever added, so that what was located stays readable.
    segments: Vec<Bytes>,
    records: HashMap<ContentHash, Located>,
    waiting: BTreeMap<PartName, Bytes>,
}

impl Memory {
    /// An empty tier that takes the time of its entries from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// Makes a blob absent in a namespace, as eviction would; says whether it was there.
    pub fn forget(&self, namespace: &Namespace, hash: &ContentHash) -> bool {
        self.state.lock().blobs.get_mut(namespace).is_some_and(|blobs| blobs.remove(hash).is_some())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl State {
    fn blob(&self, namespace: &Namespace, hash: &ContentHash) -> Option<&Bytes> {
        self.blobs.get(namespace)?.get(hash)
    }

    fn keep(&mut self, namespace: &Namespace, hash: ContentHash, content: Bytes) {
        self.blobs.entry(namespace.clone()).or_default().insert(hash, content);
    }

    /// Those of `hashes` that the namespace does not have, in the order given.
    fn missing<'a>(
        &self,
        namespace: &Namespace,
        hashes: impl IntoIterator<Item = &'a ContentHash>,
    ) -> Vec<ContentHash> {
        hashes.into_iter().filter(|hash| self.blob(namespace, hash).is_none()).copied().collect()
    }
}

fn digest_of_kept(hash: ContentHash, content: &Bytes) -> Digest {
    Digest { hash, size: content.len() as u64 }
}

#[cfg(test)]
mod tests;
