//! The eviction of one segment.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use larder_base::segment::{Record, RecordHeader, RecordKind};
use larder_base::{ContentHash, EntryAddress, Error, ErrorKind, Namespace, Result, Timestamp};

use super::Evicted;
use crate::body::{
    Adoption, Grant, Origin, Placed, Removal, Shipment, TouchMark, Trailer, TrailerLine, decode_eviction,
    eviction_record,
};
use crate::committer::Terms;
use crate::core::Core;
use crate::disk::{DiskFile, OnDisk};
use crate::group::{Group, weight};
use crate::index::Table;
use crate::log::read_lines;
use crate::row::{BlobRow, EntryRow, ObjectRow, ObjectState};
use crate::rows::Rows;
use crate::scan::{Scanner, Step, read_body_at, read_trailer};
use crate::store::Store;

/// Grants written again in one operation of the committer: a few milliseconds, for which writers wait.
const GRANTS_AT_ONCE: usize = 2048;
/// Entries dropped in one operation: a thread that waits for each alone is switched to and from for each.
const ENTRIES_AT_ONCE: usize = 128;
/// Bytes of an entry whose rows are left to pruning. That goes by the number of rows, and the links of one entry may be
/// megabytes of the index.
const ENTRY_LEFT_MAX: u32 = 4096;
/// Bytes written again in one operation.
const COPY_AT_ONCE: u64 = 1 << 20;

/// What is to become of a segment's records.
#[derive(Default)]
pub(super) struct Plan {
    /// Blobs in use: offset, ordinal and line of their records.
    keep: Vec<(u64, u32, TrailerLine)>,
    /// Bytes of the records of these and of the entries in use.
    pub(super) keep_bytes: u64,
    /// Blobs that are not, if they were asked for: their ordinals.
    pub(super) drop: Vec<(ContentHash, u32)>,
    /// Entries in use: their ordinals and the bytes of their records.
    keep_entries: Vec<(EntryAddress, u32, u64)>,
    /// Entries that are not, if they were asked for: their ordinals and revisions.
    pub(super) drop_entries: Vec<(EntryAddress, u32, u64)>,
    grants: Vec<Grant>,
    adoptions: Vec<Adoption>,
    removals: Vec<Removal>,
    shipments: Vec<Shipment>,
    /// Evicted segments whose objects are not deleted yet.
    doomed: Vec<u32>,
}

/// Which records of a segment a plan tells of beside those in use. To find out costs a look at the index for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Large entries.
    InUse,
    /// Entries.
    Entries,
    /// Blobs and entries.
    All,
}

/// What the end of a segment's life must hand on.
#[derive(Clone)]
struct Legacy {
    removals: Vec<Removal>,
    shipments: Vec<Shipment>,
    doomed: Vec<u32>,
}

impl Store {
    /// Drops a segment, if that may be done and is worth it; returns the bytes of its file.
    pub(crate) fn evict_segment(&self, id: u32, evicted: &mut Evicted) -> Result<Option<u64>> {
        let core = self.core();
        if !core.heat.freeze(id, core.now()) {
            return Ok(None);
        }
        self.evict_or_thaw(id, evicted)
    }

    /// Drops a segment whose chunks are lost, whatever was promised of them.
    pub(crate) fn evict_lost_segment(&self, id: u32, evicted: &mut Evicted) -> Result<Option<u64>> {
        if self.core().heat.freeze_lost(id, self.core().now()) { self.evict_or_thaw(id, evicted) } else { Ok(None) }
    }

    fn evict_or_thaw(&self, id: u32, evicted: &mut Evicted) -> Result<Option<u64>> {
        match self.evict_frozen(id, evicted) {
            Ok(Some(length)) => Ok(Some(length)),
            other => {
                self.core().heat.thaw(id);
                other
            }
        }
    }

    fn evict_frozen(&self, id: u32, evicted: &mut Evicted) -> Result<Option<u64>> {
        let core = self.core();
        let path = core.files.path(id);
        let lost = core.archive.as_ref().is_some_and(|archive| archive.is_vanished(id));
        let Some(file) = core.segment_file(id)? else { return Ok(None) };
        let length = file.size().at("measure segment", &path)?;
        let Some((trailer, hidden)) = table(&*file, length).at("read segment", &path)? else { return Ok(None) };
        if hidden && !core.heat.in_use(id, core.now()).is_empty() {
            // Some of its records cannot be found without the index, and one of them may be in use.
            return Ok(None);
        }
        let older = core.heat.ids().first().is_some_and(|oldest| *oldest < id);
        let scope = if lost || older { Scope::Entries } else { Scope::InUse };
        let plan = plan(core, &*file, id, &trailer, lost, scope)?;
        if plan.keep_bytes > length - length / 4 && !lost {
            return Ok(None);
        }
        // On the disk, that is: of a segment whose chunks are in the bucket only there is its stub.
        let length = core.files.stub(id).unwrap_or(length);
        let queue = &core.queue;
        let (blobs, entries) = (self.copy_blobs(&*file, id, &plan.keep)?, self.copy_entries(id, plan.keep_entries)?);
        let Plan { drop_entries, grants, adoptions, removals, shipments, doomed, .. } = plan;
        let legacy = Legacy { removals, shipments, doomed };
        self.drop_entries(id, &drop_entries, older)?;
        if !grants.is_empty() {
            let own: HashSet<ContentHash> = trailer.lines.iter().map(|line| line.hash).collect();
            grants.into_iter().try_for_each(|grant| self.renew_grant(grant, &own))?;
        }
        for adoption in adoptions {
            self.renew_adoption(adoption, id)?;
        }
        let blob_lines = of_kinds(&trailer, &[RecordKind::Chunk, RecordKind::Recipe]).count() as u64;
        let gone = (blob_lines - blobs, of_kinds(&trailer, &[RecordKind::Entry]).count() as u64 - entries);
        let terms = Terms::housekeeping(weight([4096]));
        // On the disk its file goes after a checkpoint, which syncs the log. An object may be deleted from now on.
        let terms = if core.archive.is_none() { terms.unsynced() } else { terms };
        let conclude = move || {
            let legacy = legacy.clone();
            move |group: &mut Group<'_>| conclude(group, id, older, gone.0 + gone.1, legacy)
        };
        let doomed = match queue.call(terms, conclude()) {
            Err(error) if error.kind() == ErrorKind::Full => {
                // Not even the record of it fits on the disk. What was in the segment may go, so its file goes first; but what
                // was written again must be durable before, as the checkpoint would have seen to.
                core.sync_active();
                core.health.check("evict segment")?;
                core.disk.remove(&path).at("remove segment", &path)?;
                core.files.forget(id);
                queue.call(terms, conclude()).unwrap_or_else(|error| {
                    tracing::warn!(%error, segment = id, "a segment was dropped without a record of it");
                    None
                })
            }
            other => other?,
        };
        core.files.forget(id);
        if let (Some(archive), Some(row)) = (&core.archive, doomed) {
            archive.set(id, Some(row));
        }
        evicted.segments += 1;
        evicted.kept += blobs + entries;
        evicted.blobs += gone.0;
        evicted.entries += gone.1;
        evicted.bytes += length;
        Ok(Some(length))
    }

    /// Writes blobs again at the end of the log, as they lie.
    fn copy_blobs(&self, file: &dyn DiskFile, id: u32, keep: &[(u64, u32, TrailerLine)]) -> Result<u64> {
        let core = self.core();
        // What comes from the bucket is believed only if it hashes to its name.
        let is_remote = core.files.stub(id).is_some();
        let mut copied = 0;
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (at, (offset, ordinal, line)) in keep.iter().enumerate() {
            let mut scanner = Scanner::new(file, *offset, offset + line.record_len());
            let step = scanner.next().inspect_err(|error| {
                if is_remote && error.kind() == std::io::ErrorKind::NotFound {
                    core.object_vanished(id);
                }
            });
            match step.at("read segment", &core.files.path(id))? {
                Some(Step::Record { header, body: Ok(body), .. })
                    if header.hash == line.hash && (!is_remote || is_whole(&header, &body)) =>
                {
                    bytes += header.record_len();
                    batch.push((Record { header, body }, *ordinal));
                }
                _ => tracing::warn!(segment = id, offset, "a record in use is damaged and cannot be kept"),
            }
            if bytes > COPY_AT_ONCE || at + 1 == keep.len() {
                let records = std::mem::take(&mut batch);
                let terms = Terms::housekeeping(bytes).unsynced();
                copied += core.queue.call(terms, move |group| copy_records(group, id, records))?;
                bytes = 0;
            }
        }
        Ok(copied)
    }

    /// Writes entries again at the end of the log.
    fn copy_entries(&self, id: u32, entries: Vec<(EntryAddress, u32, u64)>) -> Result<u64> {
        let mut copied = 0;
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut entries = entries.into_iter().peekable();
        while let Some((address, ordinal, length)) = entries.next() {
            bytes += length;
            batch.push((address, ordinal));
            if bytes > COPY_AT_ONCE || entries.peek().is_none() {
                let batch = std::mem::take(&mut batch);
                let terms = Terms::housekeeping(std::mem::take(&mut bytes)).unsynced();
                copied += self.core().queue.call(terms, move |group| {
                    let mut copied = 0;
                    for (address, ordinal) in batch {
                        copied += u64::from(copy_entry(group, address, id, ordinal)?);
                    }
                    Ok(copied)
                })?;
            }
        }
        Ok(copied)
    }

    /// Deletes the rows of entries, with a record of it where an `older` segment may hold an earlier value: that must not come
    /// back when the index is made anew.
    fn drop_entries(&self, id: u32, entries: &[(EntryAddress, u32, u64)], older: bool) -> Result<()> {
        for batch in entries.chunks(ENTRIES_AT_ONCE) {
            let batch = batch.to_vec();
            let terms = Terms::housekeeping(weight(batch.iter().map(|_| 2048))).unsynced();
            self.core().queue.call(terms, move |group| {
                for (address, ordinal, revision) in batch {
                    if group.drop_entry_at(&address, id, ordinal)? && older {
                        group.append(Removal { revision, address }.to_record());
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Grants to blobs in other segments must outlive the segment they were written in.
    fn renew_grant(&self, grant: Grant, own: &HashSet<ContentHash>) -> Result<()> {
        let others: Vec<ContentHash> = grant.hashes.into_iter().filter(|hash| !own.contains(hash)).collect();
        let namespace = grant.namespace;
        for batch in others.chunks(GRANTS_AT_ONCE) {
            let (batch, namespace) = (batch.to_vec(), namespace.clone());
            let terms = Terms::housekeeping(weight([batch.len() * ContentHash::KEY_LEN])).unsynced();
            self.core().queue.call(terms, move |group| {
                let Some(id) = group.find_name(namespace.as_str())? else { return Ok(()) };
                let mut still = Vec::new();
                for hash in batch {
                    if group.blob(&hash)?.is_some_and(|row| row.namespaces.contains(&id)) {
                        still.push(hash);
                    }
                }
                if still.is_empty() { Ok(()) } else { group.grant(&namespace, &still) }
            })?;
        }
        Ok(())
    }

    /// An adoption must outlive the segment that its record is in, here segment `id`. A grant counts for what is here at
    /// its point of the log, so that the grants of all who have a chunk of the adopted segment follow the adoption.
    fn renew_adoption(&self, adoption: Adoption, id: u32) -> Result<()> {
        let core = self.core();
        let adopted = adoption.segment;
        if adopted == id || !core.heat.exists(adopted) {
            return Ok(());
        }
        let path = core.files.path(adopted);
        let Some(file) = core.segment_file(adopted)? else { return Ok(()) };
        let length = file.size().at("measure segment", &path)?;
        let Some((trailer, _)) = table(&*file, length).at("read segment", &path)? else { return Ok(()) };
        let terms = Terms::housekeeping(weight([1024])).unsynced();
        core.queue.call(terms, move |group| {
            group.append(adoption.to_record());
            // Marks, too, count for what is here at their point of the log.
            if let Some(row) = group.segment(adopted)? {
                for (time, held) in [(row.touched, false), (row.held, true)] {
                    if time > Timestamp::default() {
                        group.append(TouchMark { time, held, segments: vec![adopted] }.to_record());
                    }
                }
            }
            Ok(())
        })?;
        for lines in trailer.lines.chunks(GRANTS_AT_ONCE) {
            let hashes: Vec<ContentHash> = lines.iter().map(|line| line.hash).collect();
            let terms = Terms::housekeeping(weight([hashes.len() * ContentHash::KEY_LEN])).unsynced();
            core.queue.call(terms, move |group| grant_again(group, adopted, &hashes))?;
        }
        Ok(())
    }
}

/// Grants those of these blobs that lie in a segment to all who have them.
fn grant_again(group: &mut Group<'_>, segment: u32, hashes: &[ContentHash]) -> Result<()> {
    let mut owners: BTreeMap<u32, Vec<ContentHash>> = BTreeMap::new();
    for hash in hashes {
        if let Some(row) = group.blob(hash)?.filter(|row| row.place.segment == segment) {
            row.namespaces.iter().for_each(|id| owners.entry(*id).or_default().push(*hash));
        }
    }
    for (id, hashes) in owners {
        let namespace: Namespace = group.name_of(id)?.parse()?;
        group.grant(&namespace, &hashes)?;
    }
    Ok(())
}

/// The table of a segment's records, and whether it lacks some; `None` when nothing can be told.
fn table(file: &dyn DiskFile, length: u64) -> std::io::Result<Option<(Trailer, bool)>> {
    if let Some((_, trailer)) = read_trailer(file, length)? {
        return Ok(Some((trailer, false)));
    }
    let lines = read_lines(file, length)?;
    let hidden = lines.is_none();
    Ok(Some((Trailer { origin: Origin::Log, lines: lines.unwrap_or_default() }, hidden)))
}

/// Whether the content of a record that is copied is what its name says.
fn is_whole(header: &RecordHeader, body: &Bytes) -> bool {
    header.kind != RecordKind::Chunk || header.open_chunk(body).is_ok()
}

/// Records of these kinds.
fn of_kinds<'a>(trailer: &'a Trailer, kinds: &[RecordKind]) -> impl Iterator<Item = &'a TrailerLine> {
    trailer.lines.iter().filter(|line| kinds.contains(&line.kind))
}

/// What becomes of a segment, whose chunks may be `lost`.
pub(super) fn plan(
    core: &Core,
    file: &dyn DiskFile,
    id: u32,
    trailer: &Trailer,
    lost: bool,
    scope: Scope,
) -> Result<Plan> {
    let rows = Rows::new(core);
    let in_use = core.heat.in_use(id, rows.now);
    let mut plan = Plan::default();
    let path = core.files.path(id);
    for (ordinal, offset, line) in trailer.placed() {
        let body = || read_body_at(file, offset, line).at("read segment", &path);
        match line.kind {
            RecordKind::Chunk | RecordKind::Recipe if scope != Scope::All && !in_use.contains(ordinal) => {}
            RecordKind::Entry
                if scope == Scope::InUse && !in_use.contains(ordinal) && line.raw_len <= ENTRY_LEFT_MAX => {}
            // What it grants goes, or was granted again where it was copied to.
            RecordKind::Grant if line.hash == Grant::LOCAL => {}
            RecordKind::Chunk | RecordKind::Recipe => {
                let row = rows.get(Table::Blobs, &line.hash.to_key())?;
                let place = row.map(|row| BlobRow::decode(&row)).transpose()?.map(|row| row.place);
                if place.is_none_or(|place| place.segment != id || place.ordinal != ordinal) {
                    continue;
                }
                let is_lost = lost && line.kind == RecordKind::Chunk;
                if !is_lost && in_use.contains(ordinal) {
                    plan.keep_bytes += line.record_len();
                    plan.keep.push((offset, ordinal, *line));
                } else {
                    plan.drop.push((line.hash, ordinal));
                }
            }
            RecordKind::Entry => {
                let Some(Placed { address, entry }) = body()?.and_then(|body| Placed::decode(&body).ok()) else {
                    continue;
                };
                let Some(key) = rows.find_entry_key(&address)? else { continue };
                let row = rows.get(Table::Entries, &key)?.map(|row| EntryRow::decode(&row)).transpose()?;
                if row.is_none_or(|row| row.segment != id || row.ordinal != ordinal) {
                    continue;
                }
                if lost || in_use.contains(ordinal) {
                    plan.keep_bytes += line.record_len();
                    plan.keep_entries.push((address, ordinal, line.record_len()));
                } else {
                    plan.drop_entries.push((address, ordinal, entry.revision));
                }
            }
            RecordKind::Grant => plan.grants.extend(body()?.and_then(|body| Grant::decode(&body).ok())),
            RecordKind::Adoption => plan.adoptions.extend(body()?.and_then(|body| Adoption::decode(&body).ok())),
            RecordKind::Removal => plan.removals.extend(body()?.and_then(|body| Removal::decode(&body).ok())),
            RecordKind::Shipment => plan.shipments.extend(body()?.and_then(|body| Shipment::decode(&body).ok())),
            RecordKind::Eviction => plan.doomed.extend(body()?.and_then(|body| decode_eviction(&body).ok())),
            RecordKind::Commit | RecordKind::Touch | RecordKind::Trailer | RecordKind::Stub => {}
        }
    }
    Ok(plan)
}

fn copy_records(group: &mut Group<'_>, id: u32, records: Vec<(Record, u32)>) -> Result<u64> {
    let mut copied = 0;
    for (record, ordinal) in records {
        let hash = record.header.hash;
        let Some(row) = group.get(Table::Blobs, &hash.to_key())? else { continue };
        let row = BlobRow::decode(&row)?;
        if row.place.segment != id || row.place.ordinal != ordinal {
            continue;
        }
        group.append_copy(record, row)?;
        copied += 1;
    }
    Ok(copied)
}

fn copy_entry(group: &mut Group<'_>, address: EntryAddress, id: u32, ordinal: u32) -> Result<bool> {
    let Some(key) = group.find_entry_key(&address)? else { return Ok(false) };
    let Some(row) = group.get(Table::Entries, &key)? else { return Ok(false) };
    let row = EntryRow::decode(&row)?;
    if row.segment != id || row.ordinal != ordinal {
        return Ok(false);
    }
    let entry = group.entry(&key, row)?;
    group.append_entry(&key, &Placed { address, entry })?;
    Ok(true)
}

/// The last record of a segment's life, with what other segments still need of it. Returns what is known of its object.
fn conclude(group: &mut Group<'_>, id: u32, older: bool, stale: u64, legacy: Legacy) -> Result<Option<ObjectRow>> {
    if id == group.segment {
        // It is pinned, so nothing comes here; but what is acknowledged from now on would lie in an unlinked file.
        let message = format!("segment {id} is the end of the log");
        return Err(Error::new(ErrorKind::Failed, "evict segment", message));
    }
    for removal in legacy.removals.into_iter().filter(|_| older) {
        if !group.has_entry(&removal.address)? {
            group.append(removal.to_record());
        }
    }
    for shipment in legacy.shipments {
        // Objects of other segments must stay known. One that came since to be there has a later record elsewhere.
        let row = group.object(shipment.segment)?.filter(|row| row.name == shipment.object);
        let made = row.filter(|_| shipment.segment != id).map(|row| row.state);
        if let Some(state) = made.filter(|state| *state != ObjectState::Doomed) {
            let made = state == ObjectState::Stored;
            group.append(Shipment { made, ..shipment }.to_record());
        }
    }
    for evicted in legacy.doomed {
        // Made anew, the index must not find the object of an evicted segment and take it for one that is not.
        if group.object(evicted)?.is_some_and(|row| row.state == ObjectState::Doomed) {
            group.append(eviction_record(evicted));
        }
    }
    group.append(eviction_record(id));
    let object = group.doom(id)?;
    // Nothing of it is served from here on: rows that still speak of it count as absent.
    group.retire_segment(id, stale)?;
    group.core.heat.remove(id);
    Ok(object)
}

impl Group<'_> {
    /// Appends a blob that was here already; all who have it keep it.
    fn append_copy(&mut self, record: Record, row: BlobRow) -> Result<()> {
        let hash = record.header.hash;
        for id in &row.namespaces {
            let namespace: Namespace = self.name_of(*id)?.parse()?;
            self.note_grant(&namespace, &[hash], true);
        }
        self.append_blob_of(record, row.size, row.namespaces);
        Ok(())
    }
}
