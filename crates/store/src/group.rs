//! A group: what is appended to the log in one write and made durable in one sync, for everyone who waits.

use std::ops::{Deref, DerefMut};

use bytes::{Bytes, BytesMut};
use larder_base::segment::{RECORD_HEADER_LEN, Record, RecordKind};
use larder_base::{ContentHash, Namespace, Result};

use crate::body::{Commit, Grant, Placed, Recipe, TouchMark, TrailerLine};
use crate::core::Core;
use crate::row::{EntryKey, Place};
use crate::rows::{MarksDue, Rows};

/// Something to be done once a group is durable and before anyone sees it.
type AfterSync = Box<dyn FnOnce(&Core) -> Result<()> + Send>;

/// Records to be appended and the rows they make.
pub(crate) struct Group<'a> {
    rows: Rows<'a>,
    /// The segment appended to.
    pub(crate) segment: u32,
    start: u64,
    offset: u64,
    first_ordinal: u32,
    /// Room for the headers of the records to come.
    headers: BytesMut,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) lines: Vec<TrailerLine>,
    grants: Vec<(Grant, bool)>,
    /// Segments that need a durable touch mark with this group.
    pub(crate) due: MarksDue,
    pub(crate) held_due: MarksDue,
    /// Someone waits for this group to be on the disk.
    pub(crate) durable: bool,
    pub(crate) after_sync: Vec<AfterSync>,
}

impl<'a> Group<'a> {
    /// A group to be appended to `segment` at `start`, its first record having this ordinal; of about so many operations.
    pub(crate) fn new(core: &'a Core, segment: u32, start: u64, first_ordinal: u32, operations: usize) -> Self {
        // Most operations append two records at most, and the end of a group is as many.
        let records = 2 * (operations + 1);
        Self {
            rows: Rows::new(core),
            segment,
            start,
            offset: start,
            first_ordinal,
            headers: BytesMut::with_capacity(records * RECORD_HEADER_LEN),
            pieces: Vec::with_capacity(2 * records),
            lines: Vec::with_capacity(records),
            grants: Vec::new(),
            due: MarksDue::new(),
            held_due: MarksDue::new(),
            durable: false,
            after_sync: Vec::new(),
        }
    }

    /// Bytes of the records so far.
    pub(crate) fn len(&self) -> u64 {
        self.offset - self.start
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset
    }

    pub(crate) fn ordinals(&self) -> std::ops::Range<u32> {
        self.first_ordinal..self.next_ordinal()
    }

    fn next_ordinal(&self) -> u32 {
        self.first_ordinal + u32::try_from(self.lines.len()).expect("a group has fewer than 2^32 records")
    }

    /// Appends a record and says where it will be.
    pub(crate) fn append(&mut self, record: Record) -> Place {
        let ordinal = self.next_ordinal();
        let offset = u32::try_from(self.offset).expect("a segment is sealed long before 2^32 bytes");
        self.offset += record.len();
        self.lines.push(TrailerLine::from(&record.header));
        self.headers.extend_from_slice(&record.header.encode());
        self.pieces.push(self.headers.split().freeze());
        self.pieces.push(record.body);
        Place { segment: self.segment, offset, ordinal }
    }

    /// Appends a chunk or recipe of a blob of `size` bytes; nobody has it until it is granted.
    pub(crate) fn append_blob(&mut self, record: Record, size: u64) {
        self.append_blob_of(record, size, Vec::new());
    }

    /// Appends a chunk that a namespace, which has this id, has: as [`Group::append_blob`] and [`Group::grant`], with its row made once.
    pub(crate) fn append_granted_chunk(&mut self, record: Record, namespace: &Namespace, id: u32) {
        let (hash, size) = (record.header.hash, u64::from(record.header.raw_len));
        self.append_blob_of(record, size, vec![id]);
        self.note_grant(namespace, &[hash], true);
    }

    pub(crate) fn append_blob_of(&mut self, record: Record, size: u64, namespaces: Vec<u32>) {
        let line = TrailerLine::from(&record.header);
        if line.kind == RecordKind::Recipe
            && let Ok(recipe) = Recipe::decode(&record.body)
        {
            self.rows.keep_unwritten(line.hash, recipe);
        }
        let place = self.append(record);
        self.rows.take_blob(&line, place, size, namespaces);
    }

    /// Whether a record can be read back already: neither those of this group can, nor those of a segment that only exists
    /// once it is durable.
    pub(crate) fn is_written(&self, place: Place) -> bool {
        let is_own = place.segment == self.segment && place.ordinal >= self.first_ordinal;
        !is_own && !self.rows.coming.contains(&place.segment)
    }

    /// Gives a namespace blobs that are here. The records of all grants of a group are written together.
    pub(crate) fn grant(&mut self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<()> {
        self.rows.grant(namespace, hashes)?;
        self.note_grant(namespace, hashes, false);
        Ok(())
    }

    /// Adds to the records of grants; `is_local` if the blobs were appended to this group, with this namespace in their rows.
    pub(crate) fn note_grant(&mut self, namespace: &Namespace, hashes: &[ContentHash], is_local: bool) {
        let same = |(grant, local): &&mut (Grant, bool)| *local == is_local && grant.namespace == *namespace;
        match self.grants.iter_mut().find(same) {
            Some((grant, _)) => grant.hashes.extend_from_slice(hashes),
            None => self.grants.push((Grant { namespace: namespace.clone(), hashes: hashes.to_vec() }, is_local)),
        }
    }

    /// Appends an entry, whose address has this key.
    pub(crate) fn append_entry(&mut self, key: &EntryKey, placed: &Placed) -> Result<()> {
        let place = self.append(placed.to_record());
        self.rows.put_entry(key, placed, place.segment, place.ordinal)
    }

    /// Adds what ends a group: its grants, its marks and the commit. `synced` is how far the segment is durable.
    pub(crate) fn finish(&mut self, synced: u64) -> Result<()> {
        for (grant, is_local) in std::mem::take(&mut self.grants) {
            self.append(grant.to_record(is_local));
        }
        let time = self.rows.now;
        for (held, due) in [(false, std::mem::take(&mut self.due)), (true, std::mem::take(&mut self.held_due))] {
            let segments: Vec<u32> = due.iter().copied().collect();
            if held {
                self.held_due = due;
            } else {
                self.due = due;
            }
            if !segments.is_empty() {
                self.rows.mark(&segments, time, held)?;
                self.append(TouchMark { time, held, segments }.to_record());
            }
        }
        if !self.lines.is_empty() {
            self.append(Commit { start: self.start, synced, time }.to_record());
        }
        Ok(())
    }

    /// The changes of the rows, with nothing left behind.
    pub(crate) fn into_changes(self) -> crate::overlay::Layer {
        self.rows.changes
    }
}

impl<'a> Deref for Group<'a> {
    type Target = Rows<'a>;

    fn deref(&self) -> &Rows<'a> {
        &self.rows
    }
}

impl DerefMut for Group<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.rows
    }
}

/// About the bytes that records with bodies of these lengths take in the log, with what a group adds.
pub(crate) fn weight(bodies: impl IntoIterator<Item = usize>) -> u64 {
    bodies.into_iter().map(|body| body as u64 + 2 * RECORD_HEADER_LEN as u64 + 40).sum()
}
