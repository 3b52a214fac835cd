//! Opening: from the index and the log to a store that is whole again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_base::segment::{RecordKind, SEGMENT_HEADER};
use larder_base::{ErrorKind, Result, Timestamp};

use crate::body::{Adoption, Grant, Origin, Placed, Recipe, Removal, Shipment, TouchMark, decode_eviction};
use crate::codec::Reader;
use crate::core::Core;
use crate::disk::{DiskFile, OnDisk, ReadAt};
use crate::files::{SEGMENTS, STAGING, segment_path, stub_path};
use crate::index::{Table, meta};
use crate::log::{ActiveLog, Replayed, read_lines, write_trailer};
use crate::row::{Place, Position, QuarantineRow, SegmentRow};
use crate::rows::Rows;
use crate::scan::read_trailer;
use crate::stub::Stub;
use crate::transfer::{staged_stub_path, verify};

pub(crate) mod groups;
mod tiered;

use groups::{Item, is_lost_before, read_groups, read_groups_of_stub};

/// Rows after which a long replay is written to the index.
const ROWS_MAX: usize = 64 << 10;

/// What an opening found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the last process closed the store.
    pub clean: bool,
    /// Records read again from the log.
    pub replayed_records: u64,
    /// Bytes of groups that a crash tore, cut off; none of them was acknowledged.
    pub torn_bytes: u64,
    /// Records found damaged, whose groups count without them.
    pub damaged_records: u64,
    /// Segments the index knew that have no file.
    pub lost_segments: u64,
    /// Segments of which the disk had nothing and whose stubs were made anew from the bucket.
    pub restored_segments: u64,
}

/// Brings the index up to the end of the log and returns the log, ready to be appended to.
pub(crate) fn recover(core: &Core) -> Result<(ActiveLog, Recovery)> {
    let mut replay = Replay {
        core,
        rows: Rows::new(core),
        files: BTreeMap::new(),
        log: BTreeSet::new(),
        evicted: Vec::new(),
        adoptions: Vec::new(),
        adopted_object: None,
        outcome: Recovery::default(),
    };
    // A process that died leaves names and bytes that only memory has. What is believed here is acknowledged later without
    // another sync, so it must reach the disk first.
    for directory in [SEGMENTS, STAGING] {
        core.disk.sync_directory(directory).at("sync directory", directory)?;
    }
    replay.load_segments()?;
    let log = replay.run()?;
    let Replay { rows, evicted, outcome, .. } = replay;
    core.publish(rows.changes);
    *core.active.write() = Some((log.segment, Arc::clone(&log.file)));
    if outcome.clean {
        // From now on the saved touches are old: they must not be believed after a crash.
        core.merge_at_open()?;
    } else if !evicted.is_empty() {
        core.checkpoint()?;
    }
    for id in evicted {
        let path = core.files.path(id);
        core.disk.remove(&path).at("remove evicted segment", &path)?;
        core.files.set_stub(id, None);
    }
    let staged = core.disk.list(STAGING).at("list", STAGING)?;
    let mut bytes = 0;
    for name in staged {
        let path = format!("{STAGING}/{name}");
        if name.ends_with(".new") || name.ends_with(".stub") {
            core.disk.remove(&path).at("remove unfinished part", &path)?;
        } else {
            bytes += core.disk.open(&path).and_then(|file| file.size()).at("measure part", &path)?;
        }
    }
    core.usage.staging.store(bytes, Ordering::Relaxed);
    core.measure_index()?;
    Ok((log, outcome))
}

struct Replay<'a> {
    core: &'a Core,
    rows: Rows<'a>,
    /// The segment files there are, with their lengths.
    files: BTreeMap<u32, u64>,
    /// Those that belong to the log, from the position on.
    log: BTreeSet<u32>,
    /// Files to be removed once the index has forgotten them.
    evicted: Vec<u32>,
    /// The adoptions read.
    adoptions: Vec<Adoption>,
    /// The segment whose object was told of last: an adoption of a part in the bucket follows its shipment.
    adopted_object: Option<u32>,
    outcome: Recovery,
}

impl Replay<'_> {
    /// Takes in the segments that the index knows, and sorts out those that it does not.
    fn load_segments(&mut self) -> Result<()> {
        let mut known = BTreeMap::new();
        self.core.index.scan(Table::Segments, &[], |key, row| {
            let id = Reader::new(key, "key of table segments").u32()?.swap_bytes();
            known.insert(id, SegmentRow::decode(row)?);
            Ok(true)
        })?;
        for id in self.find_files(&known)? {
            // Of a sealed segment the index knows the length: there may be thousands.
            let length = match known.get(&id).filter(|row| row.sealed) {
                Some(row) => row.length,
                None => {
                    let path = self.core.files.path(id);
                    let file = self.core.files.get(id).at("open segment", &path)?;
                    file.size().at("measure segment", &path)?
                }
            };
            self.files.insert(id, length);
        }
        let position = self.position()?;
        self.outcome.clean = self.core.index.get(Table::Meta, meta::CLEAN)?.is_some();
        for (id, row) in &known {
            if self.files.contains_key(id) {
                self.admit(*id, row);
            } else {
                tracing::error!(segment = id, "a segment is missing; what was in it is absent");
                self.outcome.lost_segments += 1;
                self.rows.retire_segment(*id, row.records.into())?;
            }
        }
        if self.outcome.clean {
            self.load_heat()?;
        }
        for (id, length) in &self.files {
            let origin = match known.get(id) {
                Some(row) => row.origin,
                None => self.origin(*id, *length)?,
            };
            match origin {
                Origin::Log if position.is_none_or(|position| *id >= position.segment) => {
                    self.log.insert(*id);
                }
                // The position is past the eviction of this file: only its removal was missing.
                _ if !known.contains_key(id) && position.is_some_and(|position| *id < position.segment) => {
                    self.evicted.push(*id);
                }
                _ => {}
            }
        }
        let ids: Vec<u32> = self.files.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.rows.reserve_segment_id(id))
    }

    fn position(&self) -> Result<Option<Position>> {
        self.rows.get(Table::Meta, meta::POSITION)?.map(|row| Position::decode(&row)).transpose()
    }

    /// Makes a segment of the index live.
    fn admit(&self, id: u32, row: &SegmentRow) {
        self.core.heat.add(id);
        self.core.usage.segments.fetch_add(self.on_disk(id), Ordering::Relaxed);
        if row.held > Timestamp::default() {
            self.core.heat.marked(id, row.held, true);
        }
        self.core.heat.marked(id, row.touched, false);
        if !self.outcome.clean {
            self.core.heat.touch_whole(id, row.touched);
        }
    }

    /// Bytes that the disk has of a segment.
    fn on_disk(&self, id: u32) -> u64 {
        self.core.files.stub(id).or_else(|| self.files.get(&id).copied()).unwrap_or_default()
    }

    fn load_heat(&self) -> Result<()> {
        self.core.index.scan(Table::Heat, &[], |key, row| {
            let mut reader = Reader::new(key, "key of table heat");
            let segment = reader.u32()?.swap_bytes();
            let time = Timestamp::from_millis(reader.u64()?.swap_bytes());
            let mut words = Reader::new(row, "row of table heat");
            let bits = (0..row.len() / 8).map(|_| words.u64()).collect::<Result<_>>()?;
            self.core.heat.load((segment, time, bits));
            Ok(true)
        })
    }

    /// Whose a segment is that the index does not know: only an adopted one has a trailer that says so.
    fn origin(&self, id: u32, length: u64) -> Result<Origin> {
        let path = self.core.files.path(id);
        let file = self.core.files.get(id).at("open segment", &path)?;
        let trailer = read_trailer(&*file, length).at("read segment", &path)?;
        Ok(trailer.map_or(Origin::Log, |(_, trailer)| trailer.origin))
    }

    fn run(&mut self) -> Result<ActiveLog> {
        let position = self.position()?;
        let last = self.log.last().copied();
        let mut resumed = None;
        for id in self.log.clone() {
            let from = match position {
                Some(position) if position.segment == id => position,
                _ => Position { segment: id, offset: SEGMENT_HEADER.len() as u64, ordinal: 0 },
            };
            resumed = self.segment(from, last == Some(id))?;
            if self.rows.changes.len() > ROWS_MAX {
                let changes = std::mem::take(&mut self.rows.changes);
                self.core.publish(changes);
                self.core.checkpoint()?;
            }
        }
        self.adopt_again()?;
        if position.is_none() {
            // The index was lost, and with it what was promised: all of it counts as promised now.
            let (ids, now) = (self.core.heat.ids(), self.rows.now);
            ids.iter().for_each(|id| self.mark(*id, now, false));
            self.rows.mark(&ids, now, false)?;
        }
        self.believe_stubs()?;
        self.doom_lost_objects()?;
        match resumed {
            Some(log) => Ok(log),
            None => ActiveLog::begin(self.core, &mut self.rows),
        }
    }

    /// Replays a segment of the log; returns the log if it can go on in this one.
    fn segment(&mut self, from: Position, is_last: bool) -> Result<Option<ActiveLog>> {
        let id = from.segment;
        let path = self.core.files.path(id);
        let file = self.core.files.get(id).at("open segment", &path)?;
        let length = self.files[&id];
        file.sync().at("sync segment", &path)?;
        if self.rows.segment(id)?.is_none() {
            self.core.heat.add(id);
            self.core.usage.segments.fetch_add(self.on_disk(id), Ordering::Relaxed);
        }
        let is_stub = self.core.files.stub(id).is_some();
        let direct = if is_stub { None } else { self.core.disk.open_direct(&path) };
        let replayed = direct.clone().map(|direct| Replayed::new(Arc::clone(&file), direct));
        let reader: &dyn ReadAt = replayed.as_ref().map_or(&*file, |replayed| replayed);
        let trailer = read_trailer(reader, length).at("read segment", &path)?;
        let sealed = trailer.is_some();
        let read = match trailer.as_ref().filter(|_| is_stub) {
            Some((_, trailer)) => read_groups_of_stub(reader, from, trailer),
            None => read_groups(reader, from, length, trailer.as_ref()),
        };
        let read = read.at("read segment", &path)?;
        let proven = if sealed || !is_last { length } else { read.proven };
        let counted = read.counted(from.offset, proven);
        let mut ordinal = from.ordinal;
        for item in counted.groups.iter().flat_map(|group| &group.items) {
            self.apply(id, item)?;
            ordinal = item.ordinal + 1;
        }
        let header = SEGMENT_HEADER.len() as u64;
        // The name of a segment may reach the disk before its first bytes; all else that the index has was durable.
        let is_short = length < from.offset && !(from.offset == header && length < header);
        let is_lost = !sealed
            && length >= from.offset
            && counted.groups.is_empty()
            && is_lost_before(reader, from).at("read segment", &path)?;
        // Nor can the log go on behind what is gone.
        let blocked = is_short || is_lost || counted.is_blocked;
        let cut = if blocked { length } else { counted.end };
        let mut row = self.rows.segment(id)?.unwrap_or(SegmentRow {
            origin: Origin::Log,
            sealed: false,
            length,
            records: 0,
            touched: self.rows.now,
            held: Timestamp::default(),
        });
        let mut resumed = None;
        if sealed {
            (row.sealed, row.length) = (true, length);
        } else if blocked {
            self.outcome.damaged_records += 1;
            (row.sealed, row.length) = (true, length);
        } else {
            if length > cut {
                self.outcome.torn_bytes += length - cut - read.padding;
                self.cut(&*file, cut, length, &path)?;
            }
            row.length = cut;
            if is_last {
                self.core.heat.add_active(id);
                if length < header && cut == header {
                    // Its name had reached the disk before its first bytes.
                    self.core.usage.segments.fetch_add(header - length, Ordering::Relaxed);
                    file.write_at(&[IoSlice::new(&SEGMENT_HEADER)], 0).at("begin segment", &path)?;
                    file.sync().at("sync segment", &path)?;
                }
                resumed = Some(ActiveLog::resume(id, Arc::clone(&file), direct, cut, ordinal));
            } else if let Some(lines) = read_lines(&*file, cut).at("read segment", &path)? {
                let end = write_trailer(&*file, cut, Origin::Log, lines).at("seal segment", &path)?;
                self.core.usage.segments.fetch_add(end - cut, Ordering::Relaxed);
                (row.sealed, row.length) = (true, end);
            }
        }
        row.records = ordinal;
        if self.evicted.contains(&id) {
            return Ok(resumed);
        }
        self.rows.set(Table::Segments, &id.to_be_bytes(), row.encode());
        let position = Position { segment: id, offset: row.length, ordinal };
        self.rows.set(Table::Meta, meta::POSITION, position.encode());
        Ok(resumed)
    }

    /// Cuts off what was torn, durably: it must not come back when later groups lie behind it.
    fn cut(&self, file: &dyn DiskFile, end: u64, length: u64, path: &str) -> Result<()> {
        file.truncate(end).and_then(|()| file.sync()).at("cut torn tail", path)?;
        self.core.usage.segments.fetch_sub(length - end, Ordering::Relaxed);
        Ok(())
    }

    fn apply(&mut self, segment: u32, item: &Item) -> Result<()> {
        self.outcome.replayed_records += 1;
        if !item.good {
            self.outcome.damaged_records += 1;
            self.set_aside(segment, item);
            return Ok(());
        }
        match self.take_in(segment, item) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // Its checksum is right, so it was written so: by a newer Larder or a wrong one. It must not stop the rest.
                tracing::error!(segment, offset = item.offset, %error, "a record makes no sense and is left out");
                self.outcome.damaged_records += 1;
                Ok(())
            }
            other => other,
        }
    }

    /// Notes a bad record of a blob, so that an adoption knows of it: with its segment it may be shipped as it is, and in a
    /// stub it counts as good.
    fn set_aside(&mut self, segment: u32, item: &Item) {
        if matches!(item.line.kind, RecordKind::Chunk | RecordKind::Recipe) {
            let row = QuarantineRow { segment, offset: offset_of(item), time: self.rows.now };
            self.rows.set(Table::Quarantine, &item.line.hash.to_key(), row.encode());
        }
    }

    fn take_in(&mut self, segment: u32, item: &Item) -> Result<()> {
        let offset = offset_of(item);
        let place = Place { segment, offset, ordinal: item.ordinal };
        let body = &item.body;
        match item.line.kind {
            RecordKind::Chunk => self.rows.take_blob(&item.line, place, u64::from(item.line.raw_len), Vec::new()),
            RecordKind::Recipe => self.rows.take_blob(&item.line, place, Recipe::decode(body)?.size, Vec::new()),
            RecordKind::Entry => {
                let placed = Placed::decode(body)?;
                let key = self.rows.entry_key(&placed.address)?;
                self.rows.put_entry(&key, &placed, segment, item.ordinal)?;
            }
            RecordKind::Removal => self.rows.remove_entry(&Removal::decode(body)?)?,
            RecordKind::Grant => {
                let grant = Grant::decode(body)?;
                self.rows.grant(&grant.namespace, &grant.hashes)?;
            }
            RecordKind::Adoption => {
                let adoption = Adoption::decode(body)?;
                self.adopt(&adoption)?;
                self.adoptions.push(adoption);
            }
            RecordKind::Eviction => self.evict(decode_eviction(body)?)?,
            RecordKind::Touch => {
                let mark = TouchMark::decode(body)?;
                self.rows.mark(&mark.segments, mark.time, mark.held)?;
                for id in &mark.segments {
                    self.mark(*id, mark.time, mark.held);
                }
            }
            RecordKind::Commit => {
                let time = crate::body::Commit::decode(body)?.time;
                self.mark(segment, time, false);
                self.rows.mark(&[segment], time, false)?;
            }
            RecordKind::Shipment => self.ship(&Shipment::decode(body)?),
            RecordKind::Trailer | RecordKind::Stub => {}
        }
        Ok(())
    }

    fn mark(&self, segment: u32, time: Timestamp, held: bool) {
        self.core.heat.touch_whole(segment, time);
        self.core.heat.marked(segment, time, held);
    }

    fn adopt(&mut self, adoption: &Adoption) -> Result<()> {
        self.rows.reserve_segment_id(adoption.segment)?;
        if !self.files.contains_key(&adoption.segment) && !self.finish_adoption(adoption)? {
            return Ok(());
        }
        let path = self.core.files.path(adoption.segment);
        let length = self.files[&adoption.segment];
        let file = self.core.files.get(adoption.segment).at("open segment", &path)?;
        file.sync().at("sync segment", &path)?;
        let Some((_, trailer)) = read_trailer(&*file, length).at("read segment", &path)? else {
            tracing::error!(segment = adoption.segment, "an adopted segment has lost its trailer; it is absent");
            self.outcome.damaged_records += 1;
            return Ok(());
        };
        if !self.core.heat.exists(adoption.segment) {
            self.core.heat.add(adoption.segment);
            self.core.usage.segments.fetch_add(self.on_disk(adoption.segment), Ordering::Relaxed);
        }
        self.mark(adoption.segment, adoption.time, false);
        self.rows.adopt(adoption, &trailer, |rows, hash| Ok(rows.blob(hash)?.is_some()))
    }

    /// While a segment was being evicted an adopted one may have taken over chunks from it that the log, which tells of the
    /// eviction only at its end, still has there at the point of the adoption.
    fn adopt_again(&mut self) -> Result<()> {
        if self.evicted.is_empty() {
            return Ok(());
        }
        for adoption in std::mem::take(&mut self.adoptions) {
            if self.core.heat.exists(adoption.segment) {
                self.adopt(&adoption)?;
            }
        }
        Ok(())
    }

    /// Moves what was adopted from staging to its place; false when it is not there.
    fn finish_adoption(&mut self, adoption: &Adoption) -> Result<bool> {
        let staged = format!("{STAGING}/{}", adoption.part);
        let staged_stub = staged_stub_path(&adoption.part);
        let (from, to) = if let Ok(file) = self.core.disk.open(&staged_stub)
            && let Ok(stub) = Stub::open(Arc::clone(&file), &staged_stub)
            && stub.spans.length == adoption.length
            && self.adopted_object == Some(adoption.segment)
        {
            file.sync().at("sync stub", &staged_stub)?;
            self.core.files.set_stub(adoption.segment, Some(stub.spans.stub_len()));
            (staged_stub, stub_path(adoption.segment))
        } else {
            let Ok(file) = self.core.disk.open(&staged) else {
                // Evicted since: its eviction follows in the log, or went with the segment that had it.
                return Ok(false);
            };
            if file.size().at("measure part", &staged)? != adoption.length {
                // Received again since; the adopted one is gone.
                return Ok(false);
            }
            if !self.is_adopted_part(&file, adoption)? {
                tracing::error!(
                    part = staged,
                    "a part is not what was adopted; it waits, and what was in it is absent"
                );
                return Ok(false);
            }
            (staged, segment_path(adoption.segment))
        };
        self.core.disk.rename(&from, &to).at("adopt part", &to)?;
        self.core.disk.sync_directory(SEGMENTS).at("sync directory", SEGMENTS)?;
        self.core.disk.sync_directory(STAGING).at("sync directory", STAGING)?;
        self.files.insert(adoption.segment, adoption.length);
        Ok(true)
    }

    /// Whether a staged part is what an adoption was of. One of that name and length may have been received since, and
    /// nobody has verified it.
    fn is_adopted_part(&self, file: &Arc<dyn DiskFile>, adoption: &Adoption) -> Result<bool> {
        let path = format!("{STAGING}/{}", adoption.part);
        let checked = match verify(self.core, file, adoption.length, &adoption.part) {
            Ok(checked) => checked,
            Err(error) if error.kind() == ErrorKind::Invalid => return Ok(false),
            Err(error) => return Err(error),
        };
        let trailer = read_trailer(&**file, adoption.length).at("read part", &path)?;
        Ok(trailer.is_some_and(|(offset, trailer)| {
            offset == checked.end && trailer.origin == Origin::Adopted && trailer.lines == checked.lines
        }))
    }

    fn evict(&mut self, id: u32) -> Result<()> {
        self.rows.reserve_segment_id(id)?;
        let records = self.rows.segment(id)?.map_or(0, |row| row.records.into());
        self.rows.retire_segment(id, records)?;
        self.core.heat.remove(id);
        let doomed = self.rows.doom(id)?;
        if let (Some(archive), Some(row)) = (&self.core.archive, doomed) {
            archive.set(id, Some(row));
        }
        if !self.files.contains_key(&id) {
            return Ok(());
        }
        self.core.files.forget(id);
        if !self.evicted.contains(&id) {
            self.core.usage.segments.fetch_sub(self.on_disk(id), Ordering::Relaxed);
            self.evicted.push(id);
        }
        Ok(())
    }
}

fn offset_of(item: &Item) -> u32 {
    u32::try_from(item.offset).expect("a segment has fewer than 2^32 bytes")
}
