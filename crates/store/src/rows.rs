//! What records mean: the one place where a record becomes rows, for the write that is made now and for the log that is
//! read again after a crash.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::segment::RecordKind;
use larder_base::{ContentHash, Entry, EntryAddress, ErrorKind, Namespace, Result, Timestamp};

use crate::body::{Adoption, Origin, Placed, Recipe, Removal, Shipment, Trailer, TrailerLine};
use crate::codec::Reader;
use crate::core::Core;
use crate::heat::Touch;
use crate::index::{Table, meta};
use crate::overlay::Layer;
use crate::row::{BlobRow, EntryKey, EntryRow, ObjectRow, ObjectState, Place, SegmentRow, long_key};

/// Segments in which something was touched and which lack a durable mark of it.
pub(crate) type MarksDue = BTreeSet<u32>;

/// Times a record is looked for again that eviction moved between the look at its row and the look at it.
pub(crate) const MOVES_MAX: usize = 4;

/// What a look at the record that a row speaks of came to.
enum Found {
    Here,
    /// Not there; perhaps it is elsewhere by now.
    Moved,
    /// Not there for another reason.
    Absent,
}

impl Found {
    fn of(is_here: bool) -> Self {
        if is_here { Self::Here } else { Self::Moved }
    }
}

/// Who has a name that an adoption is about to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A record that is here.
    Held,
    /// Nobody, and the log says the same: at this point of it, or where it tells of the end of an eviction.
    Free,
    /// Nobody, as a record was found bad. The log does not tell of that: read again, it may have the name there still.
    Contested,
}

/// The rows as they will be once `changes` are published.
pub(crate) struct Rows<'a> {
    pub(crate) core: &'a Core,
    pub(crate) changes: Layer,
    pub(crate) now: Timestamp,
    /// Segments that exist once `changes` are published: what lies in them is as good as there.
    pub(crate) coming: BTreeSet<u32>,
    /// Recipes whose records are not written yet and cannot be read back.
    unwritten: HashMap<ContentHash, Arc<Recipe>>,
    /// Looks only at what is at hand, and notes in `would_wait` when that did not do.
    glancing: bool,
    would_wait: Cell<bool>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        let now = core.now();
        Self {
            core,
            changes: Layer::default(),
            now,
            coming: BTreeSet::new(),
            unwritten: HashMap::new(),
            glancing: false,
            would_wait: Cell::new(false),
        }
    }

    /// Rows for an answer without waiting for the disk; it holds only if [`Rows::would_wait`] is false in the end.
    pub(crate) fn glancing(core: &'a Core) -> Self {
        Self { glancing: true, ..Self::new(core) }
    }

    /// Whether something would have had to be read from the disk.
    pub(crate) fn would_wait(&self) -> bool {
        self.would_wait.get()
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        match self.changes.get(table, key) {
            Some(row) => Ok(row.clone()),
            None => self.core.index.get(table, key),
        }
    }

    pub(crate) fn set(&mut self, table: Table, key: &[u8], row: Bytes) {
        self.changes.set(table, key, Some(row));
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) {
        self.changes.set(table, key, None);
    }

    /// A number in the table `meta`.
    pub(crate) fn number(&self, name: &[u8]) -> Result<u64> {
        self.get(Table::Meta, name)?.map_or(Ok(0), |row| Reader::new(&row, "number in table meta").u64())
    }

    pub(crate) fn set_number(&mut self, name: &[u8], value: u64) {
        self.set(Table::Meta, name, Bytes::copy_from_slice(&value.to_le_bytes()));
    }

    /// An id for a new segment.
    pub(crate) fn new_segment_id(&mut self) -> Result<u32> {
        let id = self.number(meta::NEXT_SEGMENT)?.max(1);
        self.set_number(meta::NEXT_SEGMENT, id + 1);
        u32::try_from(id).map_err(|_| {
            larder_base::Error::new(ErrorKind::Failed, "begin segment", "the store has used up all 2^32 segment ids")
        })
    }

    /// Segments up to this id are taken.
    pub(crate) fn reserve_segment_id(&mut self, id: u32) -> Result<()> {
        if self.number(meta::NEXT_SEGMENT)? <= u64::from(id) {
            self.set_number(meta::NEXT_SEGMENT, u64::from(id) + 1);
        }
        Ok(())
    }

    /// The id of a name, if it was ever used.
    pub(crate) fn find_name(&self, name: &str) -> Result<Option<u32>> {
        let known = self.core.known_name(name);
        if known.is_some() {
            return Ok(known);
        }
        let key = name_key(name);
        if let Some(row) = self.changes.get(Table::Names, &key) {
            return row.as_ref().map(|row| Reader::new(row, "row of table names").u32()).transpose();
        }
        let id = self.core.index.get(Table::Names, &key)?;
        let id = id.map(|row| Reader::new(&row, "row of table names").u32()).transpose()?;
        if let Some(id) = id {
            // Only what is published may be remembered: a group that fails takes its new names with it.
            self.core.names.write().insert(name.into(), id);
        }
        Ok(id)
    }

    /// The id of a name, given now if it has none.
    pub(crate) fn name_id(&mut self, name: &str) -> Result<u32> {
        if let Some(id) = self.find_name(name)? {
            return Ok(id);
        }
        let next = self.number(meta::NEXT_NAME)?.max(1);
        let id = u32::try_from(next).expect("fewer than 2^32 names fit into any store");
        self.set_number(meta::NEXT_NAME, next + 1);
        self.set(Table::Names, &name_key(name), Bytes::copy_from_slice(&id.to_le_bytes()));
        self.set(Table::Names, &id_key(id), Bytes::copy_from_slice(name.as_bytes()));
        Ok(id)
    }

    /// The name with an id.
    pub(crate) fn name_of(&self, id: u32) -> Result<String> {
        let row = self.get(Table::Names, &id_key(id))?;
        let name = row.and_then(|row| String::from_utf8(row.to_vec()).ok());
        name.ok_or_else(|| Reader::new(&[], "index: an id without a name").malformed())
    }

    /// Where a blob is, whoever has it; `None` when it is not here or was given up by eviction.
    pub(crate) fn blob(&self, hash: &ContentHash) -> Result<Option<BlobRow>> {
        self.settled_blob(hash, |row| Ok(Found::of(self.is_alive(row.place.segment, row.place.ordinal))))
    }

    fn is_alive(&self, segment: u32, ordinal: u32) -> bool {
        self.coming.contains(&segment) || self.core.heat.is_alive(segment, ordinal)
    }

    /// A blob that a namespace has, with all its chunks, touched. Segments that need a durable mark before this may be
    /// promised to anyone are added to `due`.
    pub(crate) fn present(&self, namespace: u32, hash: &ContentHash, due: &mut MarksDue) -> Result<Option<BlobRow>> {
        self.settled_blob(hash, |row| {
            if !row.namespaces.contains(&namespace) {
                return Ok(Found::Absent);
            }
            if !self.touch(row.place.segment, row.place.ordinal, due) {
                return Ok(Found::Moved);
            }
            if row.kind != RecordKind::Recipe {
                return Ok(Found::Here);
            }
            if self.glancing && self.core.recipes.lock().get(hash).is_none() {
                self.would_wait.set(true);
                return Ok(Found::Absent);
            }
            let recipe = match self.unwritten.get(hash) {
                Some(recipe) => Some(Arc::clone(recipe)),
                None => self.core.recipe(hash, row)?,
            };
            let Some(recipe) = recipe else { return Ok(Found::Moved) };
            for (chunk, _) in &recipe.chunks {
                if self.touched(chunk, due)?.is_none() {
                    return Ok(Found::Absent);
                }
            }
            Ok(Found::Here)
        })
    }

    /// A blob, touched, whoever has it.
    pub(crate) fn touched(&self, hash: &ContentHash, due: &mut MarksDue) -> Result<Option<BlobRow>> {
        self.settled_blob(hash, |row| Ok(Found::of(self.touch(row.place.segment, row.place.ordinal, due))))
    }

    /// The row of a blob whose record `look` finds. A row may be old by the time its record is looked for: eviction writes
    /// the record again elsewhere, publishes that and only then lets go of the first. So what is gone is gone for good
    /// only if its row still says the same.
    fn settled_blob(
        &self,
        hash: &ContentHash,
        mut look: impl FnMut(&BlobRow) -> Result<Found>,
    ) -> Result<Option<BlobRow>> {
        let mut before = None;
        for _ in 0..MOVES_MAX {
            let Some(row) = self.get(Table::Blobs, &hash.to_key())? else { return Ok(None) };
            let row = BlobRow::decode(&row)?;
            match look(&row)? {
                Found::Here => return Ok(Some(row)),
                Found::Absent => return Ok(None),
                Found::Moved if before == Some(row.place) => return Ok(None),
                Found::Moved => before = Some(row.place),
            }
        }
        Ok(None)
    }

    /// The row of an entry whose record `look` finds, as with [`Rows::settled_blob`].
    fn settled_entry(&self, key: &[u8], mut look: impl FnMut(&EntryRow) -> bool) -> Result<Option<EntryRow>> {
        let mut before = None;
        for _ in 0..MOVES_MAX {
            let Some(row) = self.get(Table::Entries, key)? else { return Ok(None) };
            let row = EntryRow::decode(&row)?;
            let place = (row.segment, row.ordinal);
            if look(&row) {
                return Ok(Some(row));
            }
            if before == Some(place) {
                return Ok(None);
            }
            before = Some(place);
        }
        Ok(None)
    }

    /// Counts a record as used; false when it is gone.
    pub(crate) fn touch(&self, segment: u32, ordinal: u32, due: &mut MarksDue) -> bool {
        if self.coming.contains(&segment) {
            // All of it counts as used from the moment it exists.
            return true;
        }
        match self.core.heat.touch(segment, ordinal, self.now) {
            Touch::Gone => false,
            Touch::Kept { mark_due } => {
                if mark_due {
                    due.insert(segment);
                }
                true
            }
        }
    }

    /// A chunk or recipe record takes over its name; only these namespaces have it from now on.
    pub(crate) fn take_blob(&mut self, line: &TrailerLine, place: Place, size: u64, namespaces: Vec<u32>) {
        let row = BlobRow { kind: line.kind, codec: line.codec, place, stored_len: line.stored_len, size, namespaces };
        self.set(Table::Blobs, &line.hash.to_key(), row.encode());
    }

    /// A recipe whose record was taken over and is not written yet.
    pub(crate) fn keep_unwritten(&mut self, blob: ContentHash, recipe: Recipe) {
        self.unwritten.insert(blob, Arc::new(recipe));
    }

    /// A namespace has these, as far as they are here.
    pub(crate) fn grant(&mut self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<()> {
        let id = self.name_id(namespace.as_str())?;
        for hash in hashes {
            if let Some(mut row) = self.blob(hash)?
                && !row.namespaces.contains(&id)
            {
                row.namespaces.push(id);
                self.set(Table::Blobs, &hash.to_key(), row.encode());
            }
        }
        Ok(())
    }

    /// The index key of an address, if all of its names were ever used.
    pub(crate) fn find_entry_key(&self, address: &EntryAddress) -> Result<Option<EntryKey>> {
        let known = self.core.known_entry_key(address);
        if known.is_some() {
            return Ok(known);
        }
        let Some(namespace) = self.find_name(address.namespace.as_str())? else { return Ok(None) };
        let Some(scope) = self.find_name(&address.scope.to_string())? else { return Ok(None) };
        let Some(door) = self.find_name(address.door.as_str())? else { return Ok(None) };
        Ok(Some(EntryKey::new(namespace, scope, door, address.key.as_str())))
    }

    /// The index key of an address, whose names are given ids if they have none.
    pub(crate) fn entry_key(&mut self, address: &EntryAddress) -> Result<EntryKey> {
        let namespace = self.name_id(address.namespace.as_str())?;
        let scope = self.name_id(&address.scope.to_string())?;
        let door = self.name_id(address.door.as_str())?;
        Ok(EntryKey::new(namespace, scope, door, address.key.as_str()))
    }

    /// The row of an entry whose record is still there; the record is touched.
    pub(crate) fn touched_entry(&self, key: &[u8], due: &mut MarksDue) -> Result<Option<EntryRow>> {
        self.settled_entry(key, |row| self.touch(row.segment, row.ordinal, due))
    }

    /// Whether an entry is at an address, looking only.
    pub(crate) fn has_entry(&self, address: &EntryAddress) -> Result<bool> {
        let Some(key) = self.find_entry_key(address)? else { return Ok(false) };
        Ok(self.settled_entry(&key, |row| self.is_alive(row.segment, row.ordinal))?.is_some())
    }

    /// The links of an entry.
    pub(crate) fn links(&self, key: &[u8], row: &EntryRow) -> Result<Arc<[ContentHash]>> {
        if row.links == 0 {
            return Ok(Arc::default());
        }
        let links = self.get(Table::Links, key)?.unwrap_or_default();
        let mut reader = Reader::new(&links, "row of table links");
        (0..row.links).map(|_| reader.hash()).collect()
    }

    /// The entry that a row is of.
    pub(crate) fn entry(&self, key: &[u8], row: EntryRow) -> Result<Entry> {
        let links = self.links(key, &row)?;
        Ok(self.entry_with(key, row, links))
    }

    /// As [`Rows::entry`], of an entry whose links are known.
    pub(crate) fn entry_with(&self, key: &[u8], row: EntryRow, links: Arc<[ContentHash]>) -> Entry {
        let served = self.core.served.lock().get(key);
        Entry {
            links,
            blob: row.blob,
            inline: row.inline,
            attributes: row.attributes,
            writer: row.writer,
            created: row.created,
            last_served: served.map_or(row.last_served, |served| served.max(row.last_served)),
            revision: row.revision,
        }
    }

    /// An entry replaces what was at its address, which has this key.
    pub(crate) fn put_entry(&mut self, key: &EntryKey, placed: &Placed, segment: u32, ordinal: u32) -> Result<()> {
        let Placed { address, entry } = placed;
        let row = EntryRow {
            last_served: entry.last_served,
            revision: entry.revision,
            created: entry.created,
            segment,
            ordinal,
            links: u32::try_from(entry.links.len()).expect("links fit into one record"),
            blob: entry.blob,
            writer: entry.writer.clone(),
            attributes: entry.attributes.clone(),
            inline: entry.inline.clone(),
            long_key: long_key(address.key.as_str()),
        };
        if entry.links.is_empty() {
            if self.get(Table::Links, key)?.is_some() {
                self.delete(Table::Links, key);
            }
        } else {
            self.set(Table::Links, key, entry.links.iter().flat_map(ContentHash::to_key).collect());
        }
        self.set(Table::Entries, key, row.encode());
        if self.number(meta::REVISION)? < entry.revision {
            self.set_number(meta::REVISION, entry.revision);
        }
        Ok(())
    }

    /// The address is empty, unless a newer entry is there.
    pub(crate) fn remove_entry(&mut self, removal: &Removal) -> Result<()> {
        if let Some(key) = self.find_entry_key(&removal.address)?
            && let Some(row) = self.get(Table::Entries, &key)?
            && EntryRow::decode(&row)?.revision <= removal.revision
        {
            self.delete_entry(&key);
        }
        if self.number(meta::REVISION)? < removal.revision {
            self.set_number(meta::REVISION, removal.revision);
        }
        Ok(())
    }

    /// Deletes the rows of an entry.
    pub(crate) fn delete_entry(&mut self, key: &[u8]) {
        self.delete(Table::Entries, key);
        self.delete(Table::Links, key);
        if self.core.has_readers.load(Ordering::SeqCst) {
            self.delete(Table::Readers, key);
        }
    }

    /// Who has a name; a record that has it is touched.
    pub(crate) fn claim(&self, hash: &ContentHash, due: &mut MarksDue) -> Result<Claim> {
        if self.touched(hash, due)?.is_some() {
            return Ok(Claim::Held);
        }
        let key = hash.to_key();
        let was_set_aside = self.get(Table::Quarantine, &key)?.is_some();
        let row = self.get(Table::Blobs, &key)?.map(|row| BlobRow::decode(&row)).transpose()?;
        let is_bad = row.is_some_and(|row| self.core.heat.is_condemned(row.place.segment, row.place.ordinal));
        Ok(if was_set_aside || is_bad { Claim::Contested } else { Claim::Free })
    }

    /// The chunks of an adopted segment are here, where no record holds the name, and its namespace has all of them.
    pub(crate) fn adopt(
        &mut self,
        adoption: &Adoption,
        trailer: &Trailer,
        is_held: impl Fn(&Self, &ContentHash) -> Result<bool>,
    ) -> Result<()> {
        let id = self.name_id(adoption.namespace.as_str())?;
        let mut records = 0;
        for (ordinal, offset, line) in trailer.placed().filter(|(_, _, line)| line.kind == RecordKind::Chunk) {
            records = ordinal + 1;
            let key = line.hash.to_key();
            let row = self.get(Table::Blobs, &key)?.map(|row| BlobRow::decode(&row)).transpose()?;
            let mut row = match row {
                // Of two records of one name the first has it.
                Some(row) if row.place.segment == adoption.segment || is_held(self, &line.hash)? => row,
                _ => BlobRow {
                    kind: line.kind,
                    codec: line.codec,
                    place: Place {
                        segment: adoption.segment,
                        offset: u32::try_from(offset).expect("a segment has fewer than 2^32 bytes"),
                        ordinal,
                    },
                    stored_len: line.stored_len,
                    size: u64::from(line.raw_len),
                    namespaces: Vec::new(),
                },
            };
            if !row.namespaces.contains(&id) {
                row.namespaces.push(id);
                self.set(Table::Blobs, &key, row.encode());
            }
        }
        // The record of an adoption is written again when the segment that it is in goes: newer marks stay.
        let before = self.segment(adoption.segment)?;
        let row = SegmentRow {
            origin: Origin::Adopted,
            sealed: true,
            length: adoption.length,
            records,
            touched: before.map_or(adoption.time, |row| row.touched.max(adoption.time)),
            held: before.map_or(Timestamp::default(), |row| row.held),
        };
        self.set(Table::Segments, &adoption.segment.to_be_bytes(), row.encode());
        self.reserve_segment_id(adoption.segment)
    }

    /// Deletes the row of a blob whose record lies at this place; says whether it did.
    pub(crate) fn drop_blob_at(&mut self, hash: &ContentHash, segment: u32, ordinal: u32) -> Result<bool> {
        let key = hash.to_key();
        let Some(row) = self.get(Table::Blobs, &key)? else { return Ok(false) };
        let place = BlobRow::decode(&row)?.place;
        let here = place.segment == segment && place.ordinal == ordinal;
        if here {
            self.delete(Table::Blobs, &key);
        }
        Ok(here)
    }

    /// Deletes the row of an entry whose record lies at this place.
    pub(crate) fn drop_entry_at(&mut self, address: &EntryAddress, segment: u32, ordinal: u32) -> Result<bool> {
        let Some(key) = self.find_entry_key(address)? else { return Ok(false) };
        let Some(row) = self.get(Table::Entries, &key)? else { return Ok(false) };
        let row = EntryRow::decode(&row)?;
        let here = row.segment == segment && row.ordinal == ordinal;
        if here {
            self.delete_entry(&key);
        }
        Ok(here)
    }

    /// A segment's row.
    pub(crate) fn segment(&self, id: u32) -> Result<Option<SegmentRow>> {
        self.get(Table::Segments, &id.to_be_bytes())?.map(|row| SegmentRow::decode(&row)).transpose()
    }

    /// A segment is no more. Rows of its records, at most `stale` of them, stay and count as absent; they are counted, and
    /// pruned when they are many.
    pub(crate) fn retire_segment(&mut self, id: u32, stale: u64) -> Result<()> {
        self.delete(Table::Segments, &id.to_be_bytes());
        self.set_number(meta::STALE, self.number(meta::STALE)? + stale);
        Ok(())
    }

    /// What is known of the object of a segment.
    pub(crate) fn object(&self, segment: u32) -> Result<Option<ObjectRow>> {
        self.get(Table::Objects, &segment.to_be_bytes())?.map(|row| ObjectRow::decode(&row)).transpose()
    }

    /// A segment has a copy in the bucket, or is about to.
    pub(crate) fn ship(&mut self, shipment: &Shipment) -> ObjectRow {
        let state = if shipment.made { ObjectState::Stored } else { ObjectState::Intended };
        let row = ObjectRow { state, length: shipment.length, name: shipment.object.clone() };
        self.set(Table::Objects, &shipment.segment.to_be_bytes(), row.encode());
        row
    }

    /// A segment was evicted: its object is to be deleted.
    pub(crate) fn doom(&mut self, segment: u32) -> Result<Option<ObjectRow>> {
        let Some(row) = self.object(segment)? else { return Ok(None) };
        let row = ObjectRow { state: ObjectState::Doomed, ..row };
        self.set(Table::Objects, &segment.to_be_bytes(), row.encode());
        Ok(Some(row))
    }

    /// Something in these segments was promised.
    pub(crate) fn mark(&mut self, segments: &[u32], time: Timestamp, held: bool) -> Result<()> {
        for id in segments {
            if let Some(mut row) = self.segment(*id)? {
                row.touched = row.touched.max(time);
                if held {
                    row.held = row.held.max(time);
                }
                self.set(Table::Segments, &id.to_be_bytes(), row.encode());
            }
        }
        Ok(())
    }
}

impl Core {
    /// The recipe of a blob; `None` when its record is bad.
    pub(crate) fn recipe(&self, blob: &ContentHash, row: &BlobRow) -> Result<Option<Arc<Recipe>>> {
        let kept = self.recipes.lock().get(blob);
        if kept.is_some() {
            return Ok(kept);
        }
        let Some(body) = self.read_body(blob, row)? else { return Ok(None) };
        let recipe = Arc::new(Recipe::decode(&body)?);
        self.recipes.lock().keep(*blob, &recipe);
        Ok(Some(recipe))
    }
}

fn name_key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(b's');
    key.extend_from_slice(name.as_bytes());
    key
}

fn id_key(id: u32) -> Vec<u8> {
    let mut key = vec![b'i'];
    key.extend_from_slice(&id.to_be_bytes());
    key
}

#[cfg(test)]
mod tests;
