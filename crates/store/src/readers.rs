//! Who restored entries: noted in memory, and written beside their rows with the next checkpoint.
//!
//! A row of the table `readers` is of the entry whose index key it has, if that has still the row's revision. It goes with
//! the entry's own row. No record of the log speaks of it, so that it is lost with the index.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::{EntryAddress, Reader, ReaderList, Result, SeenEntry, Timestamp, WRITER_MAX_BYTES};

use crate::codec::{Reader as RowReader, Writer};
use crate::core::Core;
use crate::index::{Flush, Table};
use crate::row::EntryRow;
use crate::rows::Rows;
use crate::store::Store;

/// Entries of which something is noted at once. Beyond that notes are lost until a checkpoint has been made.
const NOTED_MAX: usize = 128 << 10;

/// The readers of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadersRow {
    /// Of the entry.
    pub(crate) revision: u64,
    pub(crate) readers: ReaderList,
}

impl ReadersRow {
    fn new(revision: u64) -> Self {
        Self { revision, readers: ReaderList::default() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(64);
        row.u64(self.revision);
        for Reader { name, last, restores } in self.readers.readers() {
            row.u64(last.as_millis());
            row.u64(*restores);
            row.text(name);
        }
        row.0.into()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut reader = RowReader::new(row, "row of table readers");
        let mut row = Self::new(reader.u64()?);
        while reader.remaining() > 0 {
            let (last, restores) = (Timestamp::from_millis(reader.u64()?), reader.u64()?);
            row.readers.add(Reader { name: reader.text()?.into(), last, restores });
        }
        Ok(row)
    }

    /// Takes in what came later, if it is about the same entry.
    fn absorb(&mut self, later: &Self) {
        if later.revision == self.revision {
            later.readers.readers().iter().for_each(|reader| self.readers.add(reader.clone()));
        }
    }
}

/// What is noted and not in LMDB yet, by the index keys of entries.
#[derive(Default)]
pub(crate) struct ReaderNotes {
    /// Beyond what the rows say.
    fresh: HashMap<Vec<u8>, ReadersRow>,
    /// Whole rows, as the checkpoint that is being made leaves them.
    flushing: HashMap<Vec<u8>, ReadersRow>,
}

impl ReaderNotes {
    /// Whether something waits for a checkpoint.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.fresh.is_empty()
    }
}

impl Store {
    /// Notes that somebody restored the entry of this revision at an address, now.
    pub fn note_reader(&self, address: &EntryAddress, revision: u64, reader: &str) {
        if reader.len() > WRITER_MAX_BYTES {
            return;
        }
        let core = self.core();
        let rows = Rows::new(core);
        // An index that fails says so to whoever asks it for more than a note.
        let Ok(Some(key)) = rows.find_entry_key(address) else { return };
        // Before it is noted: a removal that sees no readers has none to remove.
        core.has_readers.store(true, Ordering::SeqCst);
        let waiting = {
            let mut notes = core.readers.lock();
            let is_full = notes.fresh.len() >= NOTED_MAX;
            let row = match notes.fresh.entry(key.into_bytes()) {
                Slot::Occupied(slot) => slot.into_mut(),
                Slot::Vacant(_) if is_full => return,
                Slot::Vacant(slot) => slot.insert(ReadersRow::new(revision)),
            };
            if row.revision < revision {
                *row = ReadersRow::new(revision);
            }
            if row.revision == revision {
                row.readers.add(Reader { name: reader.into(), last: rows.now, restores: 1 });
            }
            notes.fresh.len()
        };
        self.inner.checkpointer.served(waiting);
    }

    /// Who restored these entries, of each those that did last, the last one first. One that was replaced or removed since
    /// it was seen has no readers.
    ///
    /// # Errors
    /// When the index fails.
    pub fn readers(&self, entries: &[SeenEntry]) -> Result<Vec<Vec<Reader>>> {
        let rows = Rows::new(self.core());
        entries.iter().map(|(address, revision)| readers_of(&rows, address, *revision)).collect()
    }
}

fn readers_of(rows: &Rows<'_>, address: &EntryAddress, revision: u64) -> Result<Vec<Reader>> {
    let Some(key) = rows.find_entry_key(address)? else { return Ok(Vec::new()) };
    // Held while the row is read: between the two a checkpoint could take what is noted into the row.
    let notes = rows.core.readers.lock();
    let row = match notes.flushing.get(&*key) {
        Some(row) => Some(row.clone()),
        None => rows.get(Table::Readers, &key)?.map(|row| ReadersRow::decode(&row)).transpose()?,
    };
    let mut row = row.filter(|row| row.revision == revision).unwrap_or_else(|| ReadersRow::new(revision));
    notes.fresh.get(&*key).into_iter().for_each(|fresh| row.absorb(fresh));
    drop(notes);
    let is_there = rows.get(Table::Entries, &key)?.is_some_and(|entry| EntryRow::has_revision(&entry, revision));
    Ok(if is_there { row.readers.into_readers() } else { Vec::new() })
}

impl Core {
    /// Writes what is noted, as a part of a merge of so many of the oldest runs.
    pub(crate) fn flush_readers<'a>(&self, mut flush: Flush<'a>, runs: usize) -> Result<Flush<'a>> {
        let keys: Vec<Vec<u8>> = {
            let notes = self.readers.lock();
            // Those that a checkpoint which failed was to write, too.
            notes.fresh.keys().chain(notes.flushing.keys()).cloned().collect()
        };
        for key in keys {
            // LMDB has not heard of its present state; it is the next checkpoint's.
            if self.index.overlay.changed_after(runs, Table::Entries, &key) {
                continue;
            }
            flush = flush.with_room()?;
            let entry = flush.get(Table::Entries, &key)?.map(<[u8]>::to_vec);
            let kept = flush.get(Table::Readers, &key)?.and_then(|row| ReadersRow::decode(row).ok());
            let row = {
                let mut notes = self.readers.lock();
                let notes = &mut *notes;
                let fresh = notes.fresh.remove(&key);
                let known = notes.flushing.remove(&key).or(kept);
                let all = [known, fresh].into_iter().flatten();
                let mut all =
                    all.filter(|row| entry.as_ref().is_some_and(|entry| EntryRow::has_revision(entry, row.revision)));
                let Some(mut row) = all.next() else { continue };
                all.for_each(|later| row.absorb(&later));
                let encoded = row.encode();
                notes.flushing.insert(key.clone(), row);
                encoded
            };
            flush.put(Table::Readers, &key, &row)?;
        }
        Ok(flush)
    }

    /// LMDB has what [`Core::flush_readers`] wrote.
    pub(crate) fn readers_flushed(&self) {
        self.readers.lock().flushing.clear();
    }
}

#[cfg(test)]
mod tests;
