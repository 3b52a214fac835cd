//! Entries: put under a condition, get if complete, list, delete.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;
use larder_base::segment::Record;
use larder_base::{
    AT_HAND_MAX_BYTES, ATTRIBUTES_MAX_BYTES, Access, ContentHash, Digest, Entry, EntryAddress, EntryBody, EntryPrefix,
    Error, ErrorKind, INLINE_MAX_BYTES, ListPage, Listed, NewEntry, PutIf, PutOutcome, Result, Timestamp,
    WRITER_MAX_BYTES, chunk,
};

use crate::blobs::put_chunk_in;
use crate::body::{Placed, Removal};
use crate::committer::Terms;
use crate::group::{Group, weight};
use crate::index::{Table, meta};
use crate::read::Attempt;
use crate::row::{BlobRow, EntryKey, EntryRow, entry_scan_start, split_entry_key};
use crate::rows::{MarksDue, Rows};
use crate::store::Store;

/// The most links of one entry.
const LINKS_MAX: usize = 1 << 20;

/// How old a time of last service is before another one is noted: well within what [`Entry::last_served`] allows.
const SERVED_EXACT: Duration = Duration::from_secs(20);

/// An entry write whose bytes are hashed and compressed, ready for the log.
pub(crate) struct PreparedPut {
    address: EntryAddress,
    /// The key of the address, if all of its names were known.
    key: Option<EntryKey>,
    new: NewEntry,
    blob: Digest,
    value: Option<(Bytes, Record)>,
    condition: PutIf,
}

impl Store {
    /// The entry at an address, if it and everything it links to is present; an incomplete one is removed. What is
    /// returned stays readable, links included, for the retention time.
    ///
    /// # Errors
    /// When the index fails.
    pub fn get_entry(&self, address: &EntryAddress, access: Access) -> Result<Option<Entry>> {
        let core = self.core();
        let rows = Rows::new(core);
        let mut due = MarksDue::new();
        let epoch = core.heat.epoch(rows.now);
        let Some(key) = rows.find_entry_key(address)? else { return Ok(None) };
        let Some(row) = rows.touched_entry(&key, &mut due)? else { return Ok(None) };
        let known = core.whole.lock().get(&key, row.revision, epoch);
        if let Some(links) = known.filter(|_| due.is_empty()) {
            let entry = rows.entry_with(&key, row, links);
            self.note_service(key.into_bytes(), &entry, access, rows.now);
            return Ok(Some(entry));
        }
        match look_further(&rows, key, row, &mut due)? {
            Look::Nothing => Ok(None),
            Look::Incomplete(_) => {
                let address = address.clone();
                let remove = move |group: &mut Group<'_>| remove_if_incomplete(group, address);
                match core.queue.call(Terms::housekeeping(weight([2048])), remove) {
                    Ok(None) => Ok(None),
                    Ok(Some((key, entry))) => {
                        self.note_service(key.into_bytes(), &entry, access, rows.now);
                        Ok(Some(entry))
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an incomplete entry could not be removed");
                        Ok(None)
                    }
                }
            }
            Look::Complete(Whole { key, entry, .. }) => {
                if due.is_empty() {
                    core.whole.lock().keep(&key, entry.revision, epoch, &entry.links);
                }
                core.make_marks(due, false);
                self.note_service(key.into_bytes(), &entry, access, rows.now);
                Ok(Some(entry))
            }
        }
    }

    /// As [`Store::get_entry`], if it can be answered without waiting for anything; else `None`. Entries with more links
    /// than `links_max` are too much work for that. An entry that is to be served carries a small value that is in memory.
    pub(crate) fn glance_entry(
        &self,
        address: &EntryAddress,
        access: Access,
        links_max: u32,
    ) -> Result<Option<Option<Entry>>> {
        let core = self.core();
        let rows = Rows::glancing(core);
        let Some(key) = rows.find_entry_key(address)? else { return Ok(Some(None)) };
        let (epoch, generation) = (core.heat.epoch(rows.now), core.at_hand.generation());
        if access == Access::Serve
            && let Some(entry) = core.at_hand.get(&key, epoch, |entry| self.note_service_at_hand(&key, entry, rows.now))
        {
            return Ok(Some(Some(entry)));
        }
        let mut due = MarksDue::new();
        let Some(row) = rows.touched_entry(&key, &mut due)? else { return Ok(Some(None)) };
        if row.links > links_max {
            return Ok(None);
        }
        match look_further(&rows, key, row, &mut due)? {
            Look::Complete(Whole { key, mut entry, value }) if due.is_empty() && !rows.would_wait() => {
                if access == Access::Serve && entry.inline.is_none() && value.size <= AT_HAND_MAX_BYTES as u64 {
                    entry.inline = match core.read_body_at_once(&entry.blob.hash, &value)? {
                        Attempt::Done(Some(content)) => Some(content),
                        // Gone or bad by now, so the entry is not whole any more; the way that waits sees to that.
                        Attempt::Done(None) => return Ok(None),
                        Attempt::WouldWait => None,
                    };
                }
                if access == Access::Serve && entry.inline.is_some() {
                    core.at_hand.keep(&key, &entry, epoch, generation);
                }
                self.note_service(key.into_bytes(), &entry, access, rows.now);
                Ok(Some(Some(entry)))
            }
            _ => Ok(None),
        }
    }

    /// As [`Store::note_service`], of an entry that is at hand and tells that time from now on.
    fn note_service_at_hand(&self, key: &[u8], entry: &mut Entry, now: Timestamp) {
        if !is_exact(entry, now) {
            self.note_service(key.to_vec(), entry, Access::Serve, now);
            entry.last_served = entry.last_served.max(now);
        }
    }

    /// Remembers that an entry was served, unless the time it says already is exact enough.
    fn note_service(&self, key: Vec<u8>, entry: &Entry, access: Access, now: Timestamp) {
        if access == Access::Serve && !is_exact(entry, now) {
            let waiting = {
                let mut served = self.core().served.lock();
                served.note(key, now);
                served.len()
            };
            self.inner.checkpointer.served(waiting);
        }
    }

    /// Writes an entry. When this returns [`PutOutcome::Stored`] the entry and its value are durable.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond a limit, [`ErrorKind::Full`], or a failure of the disk.
    pub fn put_entry(&self, address: &EntryAddress, new: NewEntry, condition: PutIf) -> Result<PutOutcome> {
        let (terms, op) = self.entry_write(address, new, condition)?;
        self.make_room(terms.weight)?;
        self.core().queue.call(terms, op)
    }

    /// The write of an entry, for [`crate::committer::Queue::submit`].
    pub(crate) fn entry_write(
        &self,
        address: &EntryAddress,
        new: NewEntry,
        condition: PutIf,
    ) -> Result<(Terms, impl FnOnce(&mut Group<'_>) -> Result<PutOutcome> + Send + 'static)> {
        check_limits(&new)?;
        let (blob, value) = match &new.body {
            EntryBody::Stored(digest) => (*digest, None),
            EntryBody::Value(value) => {
                let digest = Digest::of(value);
                let record = Record::chunk(digest.hash, value.clone(), self.core().options.level);
                (digest, Some((value.clone(), record)))
            }
        };
        let stored = value.as_ref().map_or(0, |(_, record)| record.body.len());
        let terms = Terms::write(weight([stored, 2 * ATTRIBUTES_MAX_BYTES + new.links.len() * ContentHash::KEY_LEN]));
        let key = self.core().known_entry_key(address);
        let put = PreparedPut { address: address.clone(), key, new, blob, value, condition };
        Ok((terms, move |group: &mut Group<'_>| put_in(group, put)))
    }

    /// Entries whose key begins with a prefix, newest first: at most `limit` of them, from `after` (a page's `next`).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when `after` is not a page's `next`, and when the index fails.
    pub fn list_entries(&self, prefix: &EntryPrefix, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let core = self.core();
        let rows = Rows::new(core);
        let after = after.map(read_cursor).transpose()?;
        let Some(namespace) = rows.find_name(prefix.namespace.as_str())? else { return Ok(ListPage::default()) };
        let Some(scope) = find(&rows, prefix.scope.as_ref())? else { return Ok(ListPage::default()) };
        let Some(door) = find(&rows, prefix.door.as_ref())? else { return Ok(ListPage::default()) };
        let start = match (scope, door) {
            (Some(scope), Some(door)) => entry_scan_start(&[namespace, scope, door], &prefix.prefix),
            (Some(scope), None) => entry_scan_start(&[namespace, scope], ""),
            (None, _) => entry_scan_start(&[namespace], ""),
        };
        // The newest `limit + 1` of what is older than the cursor; the one more tells whether a page follows.
        let mut newest: BinaryHeap<Reverse<Found>> = BinaryHeap::new();
        core.index.scan(Table::Entries, &start, |key, row| {
            let decoded = EntryRow::decode(row)?;
            let (ids, full) = split_entry_key(key, &decoded)?;
            let age = (decoded.created, decoded.revision);
            if full.starts_with(&prefix.prefix)
                && door.is_none_or(|door| ids[2] == door)
                && after.is_none_or(|after| age < after)
                && core.heat.is_alive(decoded.segment, decoded.ordinal)
            {
                newest.push(Reverse((age, key.to_vec(), Bytes::copy_from_slice(row))));
                if newest.len() > limit.saturating_add(1) {
                    newest.pop();
                }
            }
            Ok(true)
        })?;
        let mut found = newest.into_sorted_vec();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|Reverse((age, _, _))| write_cursor(*age));
        let entries = found
            .into_iter()
            .map(|Reverse((_, key, row))| {
                let mut row = EntryRow::decode(&row)?;
                let ([_, scope, door], full) = split_entry_key(&key, &row)?;
                (row.links, row.inline) = (0, None);
                let address = EntryAddress {
                    namespace: prefix.namespace.clone(),
                    scope: rows.name_of(scope)?.parse()?,
                    door: rows.name_of(door)?.parse()?,
                    key: full.parse()?,
                };
                Ok(Listed { address, entry: rows.entry(&key, row)? })
            })
            .collect::<Result<_>>()?;
        Ok(ListPage { entries, next })
    }

    /// Removes an entry; says whether there was one.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub fn delete_entry(&self, address: &EntryAddress) -> Result<bool> {
        let address = address.clone();
        self.core().queue.call(Terms::housekeeping(weight([2048])), move |group| {
            let Some(key) = group.find_entry_key(&address)? else { return Ok(false) };
            let Some(row) = group.get(Table::Entries, &key)? else { return Ok(false) };
            let row = EntryRow::decode(&row)?;
            let was_there = group.core.heat.is_alive(row.segment, row.ordinal);
            remove_unless_replaced(group, &Removal { revision: row.revision, address })?;
            Ok(was_there)
        })
    }
}

/// Whether the time of last service that an entry says will do.
fn is_exact(entry: &Entry, now: Timestamp) -> bool {
    entry.last_served > entry.created && now.since(entry.last_served) < SERVED_EXACT
}

/// A row of a listing: when its entry was put and its revision, which order listings, then its index key and the row.
type Found = ((Timestamp, u64), Vec<u8>, Bytes);

/// What is at an address.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made, and most lookups end in the large one"
)]
enum Look {
    Nothing,
    /// An entry of this revision that lacks something.
    Incomplete(u64),
    /// An entry; all of it was touched.
    Complete(Whole),
}

/// An entry with everything it needs.
struct Whole {
    /// Its index key.
    key: EntryKey,
    entry: Entry,
    /// Where its value is.
    value: BlobRow,
}

fn look(rows: &Rows<'_>, key: EntryKey, due: &mut MarksDue) -> Result<Look> {
    let Some(row) = rows.touched_entry(&key, due)? else { return Ok(Look::Nothing) };
    look_further(rows, key, row, due)
}

/// What is at an address whose entry has this row; the entry itself was touched.
fn look_further(rows: &Rows<'_>, key: EntryKey, row: EntryRow, due: &mut MarksDue) -> Result<Look> {
    let revision = row.revision;
    let entry = rows.entry(&key, row)?;
    let value = rows.present(key.namespace, &entry.blob.hash, due)?;
    let mut whole = value.is_some();
    for link in entry.links.iter() {
        // All of them are touched, whatever the others are.
        whole &= rows.present(key.namespace, link, due)?.is_some();
    }
    Ok(match value {
        Some(value) if whole => Look::Complete(Whole { key, entry, value }),
        _ => Look::Incomplete(revision),
    })
}

/// Removes an entry that was found incomplete, unless it proves whole or replaced when nothing moves under the look; one
/// that is whole is promised and given back.
fn remove_if_incomplete(group: &mut Group<'_>, address: EntryAddress) -> Result<Option<(EntryKey, Entry)>> {
    let mut due = MarksDue::new();
    let Some(key) = group.find_entry_key(&address)? else { return Ok(None) };
    match look(group, key, &mut due)? {
        Look::Nothing => Ok(None),
        Look::Incomplete(revision) => {
            remove_unless_replaced(group, &Removal { revision, address })?;
            Ok(None)
        }
        Look::Complete(Whole { key, entry, .. }) => {
            group.due.append(&mut due);
            Ok(Some((key, entry)))
        }
    }
}

/// The id of a name that may be left open: outer `None` when it was given and never used.
fn find(rows: &Rows<'_>, name: Option<&impl ToString>) -> Result<Option<Option<u32>>> {
    match name {
        None => Ok(Some(None)),
        Some(name) => Ok(rows.find_name(&name.to_string())?.map(Some)),
    }
}

fn check_limits(new: &NewEntry) -> Result<()> {
    let too_large = |what: &str, most: usize| {
        Err(Error::new(ErrorKind::TooLarge, "put entry", format!("{what}: at most {most} are allowed")))
    };
    let attributes: usize = new.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    if attributes > ATTRIBUTES_MAX_BYTES || new.attributes.len() > ATTRIBUTES_MAX_BYTES {
        return too_large("bytes of attributes", ATTRIBUTES_MAX_BYTES);
    }
    if new.writer.len() > WRITER_MAX_BYTES {
        return too_large("bytes of the writer's name", WRITER_MAX_BYTES);
    }
    if new.links.len() > LINKS_MAX {
        return too_large("links", LINKS_MAX);
    }
    match &new.body {
        EntryBody::Value(value) if value.len() > chunk::MAX_LEN => {
            too_large("bytes of a value put with its entry", chunk::MAX_LEN)
        }
        _ => Ok(()),
    }
}

fn put_in(group: &mut Group<'_>, put: PreparedPut) -> Result<PutOutcome> {
    let PreparedPut { address, key, new, blob, value, condition } = put;
    let key = key.map_or_else(|| group.entry_key(&address), Ok)?;
    let mut due = MarksDue::new();
    if condition != PutIf::Always {
        let existing = match look(group, key.clone(), &mut due)? {
            Look::Complete(whole) => Some(whole.entry),
            Look::Nothing | Look::Incomplete(_) => None,
        };
        let holds = match (condition, &existing) {
            (PutIf::Absent, existing) => existing.is_none(),
            (PutIf::Unchanged(revision), Some(existing)) => existing.revision == revision,
            (PutIf::Unchanged(_), None) | (PutIf::Always, _) => false,
        };
        if !holds {
            // What is there is shown to the caller, so it is promised.
            group.due.append(&mut due);
            return Ok(PutOutcome::Kept(existing));
        }
    }
    let mut lacking = Vec::new();
    let stored = match &value {
        Some(_) => None,
        None => {
            let row = group.present(key.namespace, &blob.hash, &mut due)?;
            if row.as_ref().is_none_or(|row| row.size != blob.size) {
                lacking.push(blob.hash);
            }
            row
        }
    };
    for link in new.links.iter() {
        let is_value = value.is_some() && *link == blob.hash;
        if !is_value && group.present(key.namespace, link, &mut due)?.is_none() {
            lacking.push(*link);
        }
    }
    if !lacking.is_empty() {
        return Ok(PutOutcome::Incomplete(lacking));
    }
    group.due.append(&mut due);
    let inline = match (&value, stored) {
        (Some((value, _)), _) => Some(value.clone()).filter(|value| value.len() <= INLINE_MAX_BYTES),
        // What is in the bucket is not waited for here, where all writers would wait.
        (None, Some(row))
            if row.size <= INLINE_MAX_BYTES as u64
                && group.is_written(row.place)
                && group.core.files.stub(row.place.segment).is_none() =>
        {
            group.core.read_body(&blob.hash, &row)?
        }
        _ => None,
    };
    if let Some((_, record)) = value {
        put_chunk_in(group, &address.namespace, key.namespace, blob.hash, record)?;
    }
    // By the clock, so that it is never used again even if the index is made anew after the last entry was evicted.
    let revision = (group.number(meta::REVISION)? + 1).max(group.now.as_millis() << 10);
    let NewEntry { attributes, links, writer, .. } = new;
    let now = group.now;
    let entry = Entry { blob, inline, attributes, links, writer, created: now, last_served: now, revision };
    // A new value was not served yet.
    group.core.served.lock().forget(&key);
    let placed = Placed { address, entry };
    group.append_entry(&key, &placed)?;
    Ok(PutOutcome::Stored(placed.entry))
}

/// Removes what is at an address, unless it is newer than what was looked at.
pub(crate) fn remove_unless_replaced(group: &mut Group<'_>, removal: &Removal) -> Result<()> {
    group.remove_entry(removal)?;
    group.append(removal.to_record());
    Ok(())
}

fn write_cursor((created, revision): (Timestamp, u64)) -> String {
    format!("{:x}-{revision:x}", created.as_millis())
}

fn read_cursor(cursor: &str) -> Result<(Timestamp, u64)> {
    let parse = || {
        let (created, revision) = cursor.split_once('-')?;
        let created = u64::from_str_radix(created, 16).ok()?;
        Some((Timestamp::from_millis(created), u64::from_str_radix(revision, 16).ok()?))
    };
    parse().ok_or_else(|| Error::invalid("list entries", "the cursor is not one that a listing gave"))
}
