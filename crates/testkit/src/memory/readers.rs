//! Readers in memory.

use larder_base::{BoxFuture, EntryAddress, Reader, Readers, Result, SeenEntry, WRITER_MAX_BYTES};

use super::Memory;

impl Readers for Memory {
    fn note(&self, address: &EntryAddress, revision: u64, reader: &str) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let is_there = state.entries.get(address).is_some_and(|entry| entry.revision == revision);
        if is_there && reader.len() <= WRITER_MAX_BYTES {
            let list = state.readers.entry((address.clone(), revision)).or_default();
            list.add(Reader { name: reader.into(), last: now, restores: 1 });
        }
    }

    fn readers<'a>(&'a self, entries: &'a [SeenEntry]) -> BoxFuture<'a, Result<Vec<Vec<Reader>>>> {
        let state = self.state.lock();
        let of = |seen: &SeenEntry| {
            let (address, revision) = seen;
            let is_there = state.entries.get(address).is_some_and(|entry| entry.revision == *revision);
            let list = state.readers.get(seen).filter(|_| is_there);
            list.map_or_else(Vec::new, |list| list.readers().to_vec())
        };
        let readers = entries.iter().map(of).collect();
        Box::pin(std::future::ready(Ok(readers)))
    }
}
