//! Runs: changed rows that a checkpoint made durable and that LMDB does not have yet.
//!
//! LMDB writes a page for a row, and rows are found by hashes: of a store that takes small values one by one it would write
//! several times the bytes. So a checkpoint writes the rows that changed, one after the other, as a file; many of them go into LMDB
//! together, where rows that lie beside each other share a page. Until then memory has them as they are in the file.

use std::ops::{Bound, Range};

use bytes::Bytes;
use larder_base::{Error, ErrorKind, Result};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::codec::{Reader, Writer};
use crate::index::{TABLES, Table};
use crate::merged::RowChange;
use crate::overlay::Layer;

/// What the file of a run begins with: a magic word, the format's version.
const MAGIC: [u8; 8] = *b"LARDRUN\x01";
/// The length that stands for a deleted row.
const DELETED: u32 = u32::MAX;
/// Bytes before the key of a row: the lengths of key and row.
const ROW_HEAD: usize = 6;
/// The most bytes beside the rows: what is before them, their numbers, the checksum.
const FRAME_MAX: usize = 64 + 4 * TABLES.len();

/// A row, in the table by hashes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The upper half of the hash of its key, so that a row of another key is hardly ever looked at.
    tag: u32,
    row: u32,
}

/// No row.
const EMPTY: u32 = u32::MAX;

/// Changed rows of every table, in the order of tables and keys, as one piece of bytes.
#[derive(Debug)]
pub(crate) struct Run {
    /// Counts the runs of an index, from 1.
    pub(crate) number: u64,
    /// The position row before this run, empty when there was none: it changes an index of that position, and no other.
    before: Bytes,
    bytes: Bytes,
    /// Where the rows begin.
    offsets: Box<[usize]>,
    /// Which of the rows are those of a table.
    tables: [Range<usize>; TABLES.len()],
    /// How many rows of a table are deleted.
    deleted: [usize; TABLES.len()],
    /// The rows, each at or soon after the place that the hash of its key says.
    slots: Box<[Slot]>,
}

impl Run {
    /// The rows of a layer, which change an index with this position.
    pub(crate) fn new(number: u64, before: &[u8], layer: &Layer) -> Result<Self> {
        let rows = TABLES.iter().flat_map(|(table, _)| layer.rows(*table));
        let rows: usize = rows.map(|(key, row)| ROW_HEAD + key.len() + row.as_ref().map_or(0, Bytes::len)).sum();
        let mut bytes = Writer::with_capacity(rows + FRAME_MAX);
        bytes.bytes(&MAGIC);
        bytes.u64(number);
        bytes.u16(u16::try_from(before.len()).expect("a position has 16 bytes"));
        bytes.bytes(before);
        for (table, _) in TABLES {
            let rows = layer.rows(table);
            bytes.count(rows.len());
            for (key, row) in rows {
                bytes.u16(u16::try_from(key.len()).expect("a key has at most 511 bytes"));
                bytes.u32(row.as_ref().map_or(DELETED, |row| {
                    u32::try_from(row.len())
                        .ok()
                        .filter(|length| *length != DELETED)
                        .expect("a row is smaller than a record")
                }));
                bytes.bytes(key);
                bytes.bytes(row.as_deref().unwrap_or_default());
            }
        }
        let checksum = xxh3_64(&bytes.0);
        bytes.u64(checksum);
        Self::decode(bytes.0.into())
    }

    /// Reads a run from the bytes of its file.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when they are not whole.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self> {
        let malformed = || Error::new(ErrorKind::Corrupt, "decode", "a damaged run of the index");
        let (content, checksum) = bytes.split_last_chunk::<8>().ok_or_else(malformed)?;
        if xxh3_64(content) != u64::from_le_bytes(*checksum) {
            return Err(malformed());
        }
        let mut reader = Reader::new(content, "run of the index");
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(reader.malformed());
        }
        let number = reader.u64()?;
        let before = usize::from(reader.u16()?);
        let before = bytes.slice_ref(reader.bytes(before)?);
        let mut offsets = Vec::new();
        let mut tables = TABLES.map(|_| 0..0);
        let mut deleted = TABLES.map(|_| 0);
        for (rows, deleted) in tables.iter_mut().zip(&mut deleted) {
            let first = offsets.len();
            for _ in 0..reader.count(ROW_HEAD)? {
                offsets.push(content.len() - reader.remaining());
                let key = usize::from(reader.u16()?);
                let row = reader.u32()?;
                reader.bytes(key)?;
                if row == DELETED {
                    *deleted += 1;
                } else {
                    reader.bytes(row as usize)?;
                }
            }
            *rows = first..offsets.len();
        }
        reader.end()?;
        let mut run = Self { number, before, bytes, offsets: offsets.into(), tables, deleted, slots: Box::default() };
        run.fill_slots();
        Ok(run)
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The position row of the index that this changes.
    pub(crate) fn before(&self) -> &[u8] {
        &self.before
    }

    /// How many rows it changes.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// How many rows of a table it changes.
    pub(crate) fn len_of(&self, table: Table) -> usize {
        self.tables[table as usize].len()
    }

    /// How many of these are deleted.
    pub(crate) fn deleted_of(&self, table: Table) -> usize {
        self.deleted[table as usize]
    }

    /// The change of a row, if it was changed.
    pub(crate) fn find(&self, table: Table, key: &[u8]) -> Option<Option<Bytes>> {
        self.get(table, key, slot_hash(table, key))
    }

    /// As [`Run::find`], of a row with this [`slot_hash`].
    pub(crate) fn get(&self, table: Table, key: &[u8], hash: u64) -> Option<Option<Bytes>> {
        let rows = &self.tables[table as usize];
        if rows.is_empty() {
            return None;
        }
        let mut at = self.first_slot(hash);
        while self.slots[at].row != EMPTY {
            let Slot { tag, row } = self.slots[at];
            if tag == tag_of(hash)
                && rows.contains(&(row as usize))
                && let (found, row) = self.row(row as usize)
                && found == key
            {
                return Some(row.map(|row| self.bytes.slice_ref(row)));
            }
            at = self.next_slot(at);
        }
        None
    }

    /// The changed rows of a table from a key on, in the order of their keys.
    pub(crate) fn rows_from<'a>(
        &'a self,
        table: Table,
        from: Bound<&[u8]>,
    ) -> impl Iterator<Item = RowChange<'a>> + use<'a> {
        let rows = self.tables[table as usize].clone();
        let before = |at: &usize| match from {
            Bound::Unbounded => false,
            Bound::Included(key) => self.row_at(*at).0 < key,
            Bound::Excluded(key) => self.row_at(*at).0 <= key,
        };
        let skipped = self.offsets[rows.clone()].partition_point(before);
        (rows.start + skipped..rows.end).map(|row| self.row(row))
    }

    fn row(&self, row: usize) -> RowChange<'_> {
        self.row_at(self.offsets[row])
    }

    fn row_at(&self, offset: usize) -> RowChange<'_> {
        let (head, rest) = self.bytes[offset..].split_at(ROW_HEAD);
        let key = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let row = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let (key, rest) = rest.split_at(key);
        (key, (row != DELETED).then(|| &rest[..row as usize]))
    }

    /// Where the search for a row begins.
    fn first_slot(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    fn fill_slots(&mut self) {
        // At least half of them stay empty, so that a search meets few other rows, and ends.
        self.slots = vec![Slot { tag: 0, row: EMPTY }; (2 * self.offsets.len()).next_power_of_two()].into();
        for (table, _) in TABLES {
            for row in self.tables[table as usize].clone() {
                let hash = slot_hash(table, self.row(row).0);
                let mut at = self.first_slot(hash);
                while self.slots[at].row != EMPTY {
                    at = self.next_slot(at);
                }
                let row = u32::try_from(row).expect("a run has fewer than 2^32 rows");
                self.slots[at] = Slot { tag: tag_of(hash), row };
            }
        }
    }
}

/// What finds a row in every run.
pub(crate) fn slot_hash(table: Table, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, table as u64)
}

/// The part of a hash that does not say where the search begins.
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests;
