//! What the entries of a namespace take, and which of them to give up when that is too much.
//!
//! Nothing here counts as use: looking at an entry so keeps neither it nor its blobs from eviction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use larder_base::segment::RecordKind;
use larder_base::{ContentHash, DoorName, EntryAddress, Namespace, Result, Scope, Timestamp};

use crate::body::Removal;
use crate::committer::Terms;
use crate::entries::remove_unless_replaced;
use crate::group::{Group, weight};
use crate::index::Table;
use crate::row::{BlobRow, EntryRow, entry_scan_start, split_entry_key};
use crate::rows::Rows;
use crate::store::Store;

/// Entries that are removed in one commit.
const REMOVED_AT_ONCE: usize = 256;

/// How much the entries of a namespace may take, in bytes as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// All together.
    pub namespace: Option<u64>,
    /// Those of each writer.
    pub owner: Option<u64>,
}

/// What some entries take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Entries.
    pub entries: u64,
    /// Bytes of their blobs before compression, each entry by itself.
    pub logical_bytes: u64,
    /// Bytes of the records that they need, each counted once.
    pub stored_bytes: u64,
}

/// What the entries of a namespace take, once those that are too much are removed.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// All of them.
    pub all: Sum,
    /// Those of each writer.
    pub owners: BTreeMap<String, Sum>,
    /// Entries beyond a limit, for [`Store::remove_unused`]: those that were used least recently.
    pub excess: Vec<Stamp>,
}

/// An entry and its last use as it was seen: the time of its writing, or of its last service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    used: Timestamp,
    revision: u64,
    /// Its index key.
    key: Vec<u8>,
}

/// A scope whose entries nobody has used for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedScope {
    /// Its namespace.
    pub namespace: Namespace,
    /// The scope.
    pub scope: Scope,
    /// Its entries.
    pub entries: Vec<Stamp>,
}

impl Store {
    /// The namespaces that have entries of these doors.
    ///
    /// # Errors
    /// When the index fails.
    pub fn namespaces(&self, doors: &[DoorName]) -> Result<Vec<Namespace>> {
        let rows = Rows::new(self.core());
        let mut ids: Vec<u32> = Vec::new();
        self.scan_entries(&rows, &[], doors, |[namespace, ..], _, _| {
            if ids.last() != Some(&namespace) {
                ids.push(namespace);
            }
        })?;
        ids.dedup();
        ids.into_iter().map(|id| Ok(rows.name_of(id)?.parse()?)).collect()
    }

    /// What the entries of a namespace under these doors take within the limits, and which go beyond them.
    ///
    /// The entries used most recently stay: first as far as each writer's limit allows, then the namespace's. One that is
    /// beyond a limit by itself goes alone. It takes a look at every link of every entry, and memory for the name of each
    /// entry and of each blob.
    ///
    /// # Errors
    /// When the index fails.
    pub fn account(&self, namespace: &Namespace, doors: &[DoorName], limits: AccountLimits) -> Result<Account> {
        let rows = Rows::new(self.core());
        let Some(id) = rows.find_name(namespace.as_str())? else { return Ok(Account::default()) };
        let mut stamps = Vec::new();
        self.scan_entries(&rows, &[id], doors, |_, key, row| {
            stamps.push(Stamp { used: self.last_used(key, row), revision: row.revision, key: key.to_vec() });
        })?;
        stamps.sort_unstable_by(|one, other| other.cmp(one));
        let mut weights = Weights { rows: &rows, known: HashMap::new() };
        let mut all = Ledger::new(limits.namespace);
        let mut owners: BTreeMap<String, Ledger> = BTreeMap::new();
        let mut excess = Vec::new();
        for stamp in stamps {
            let Some(row) = rows.get(Table::Entries, &stamp.key)? else { continue };
            let row = EntryRow::decode(&row)?;
            let records = weights.records_of(&stamp.key, &row)?;
            let owner = owners.entry(row.writer).or_insert_with(|| Ledger::new(limits.owner));
            if owner.has_room(&records) && all.has_room(&records) {
                owner.add(&records);
                all.add(&records);
            } else {
                excess.push(stamp);
            }
        }
        let owners = owners.into_iter().filter(|(_, ledger)| ledger.sum.entries > 0);
        Ok(Account { all: all.sum, owners: owners.map(|(name, ledger)| (name, ledger.sum)).collect(), excess })
    }

    /// The scopes, of those that `which` picks, in which no entry under these doors was written or served since `before`.
    ///
    /// # Errors
    /// When the index fails.
    pub fn unused_scopes(
        &self,
        doors: &[DoorName],
        which: impl Fn(&Scope) -> bool,
        before: Timestamp,
    ) -> Result<Vec<UnusedScope>> {
        let rows = Rows::new(self.core());
        let mut last_uses: BTreeMap<(u32, u32), Timestamp> = BTreeMap::new();
        self.scan_entries(&rows, &[], doors, |[namespace, scope, _], key, row| {
            let last = last_uses.entry((namespace, scope)).or_default();
            *last = self.last_used(key, row).max(*last);
        })?;
        let mut unused = Vec::new();
        for ((namespace_id, scope_id), last) in last_uses {
            let scope: Scope = rows.name_of(scope_id)?.parse()?;
            if last < before && which(&scope) {
                let mut entries = Vec::new();
                // What was used since is seen as used, and spared by the removal or not even named here.
                self.scan_entries(&rows, &[namespace_id, scope_id], doors, |_, key, row| {
                    let used = self.last_used(key, row);
                    if used < before {
                        entries.push(Stamp { used, revision: row.revision, key: key.to_vec() });
                    }
                })?;
                unused.push(UnusedScope { namespace: rows.name_of(namespace_id)?.parse()?, scope, entries });
            }
        }
        Ok(unused)
    }

    /// Removes those of the entries that were neither replaced nor served since they were seen; says how many that were.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub fn remove_unused(&self, entries: &[Stamp]) -> Result<u64> {
        let mut removed = 0;
        for some in entries.chunks(REMOVED_AT_ONCE) {
            let (some, terms) = (some.to_vec(), Terms::housekeeping(weight(some.iter().map(|_| 2048))));
            removed += self.core().queue.call(terms, move |group| {
                let mut removed = 0;
                for stamp in &some {
                    removed += u64::from(remove_if_unused(group, stamp)?);
                }
                Ok(removed)
            })?;
        }
        Ok(removed)
    }

    /// Calls `each` with the ids, the index key and the row of every entry that is there, of those under some ids.
    fn scan_entries(
        &self,
        rows: &Rows<'_>,
        ids: &[u32],
        doors: &[DoorName],
        mut each: impl FnMut([u32; 3], &[u8], &EntryRow),
    ) -> Result<()> {
        let doors: Vec<u32> =
            doors.iter().filter_map(|door| rows.find_name(door.as_str()).transpose()).collect::<Result<_>>()?;
        let core = self.core();
        core.index.scan(Table::Entries, &entry_scan_start(ids, ""), |key, row| {
            let row = EntryRow::decode(row)?;
            let (ids, _) = split_entry_key(key, &row)?;
            if doors.contains(&ids[2]) && core.heat.is_alive(row.segment, row.ordinal) {
                each(ids, key, &row);
            }
            Ok(true)
        })
    }

    fn last_used(&self, key: &[u8], row: &EntryRow) -> Timestamp {
        let noted = self.core().served.lock().get(key);
        noted.map_or(row.last_served, |noted| noted.max(row.last_served))
    }
}

fn remove_if_unused(group: &mut Group<'_>, stamp: &Stamp) -> Result<bool> {
    let Some(row) = group.get(Table::Entries, &stamp.key)? else { return Ok(false) };
    let row = EntryRow::decode(&row)?;
    let noted = group.core.served.lock().get(&stamp.key);
    let used = noted.map_or(row.last_served, |noted| noted.max(row.last_served));
    if row.revision != stamp.revision || used > stamp.used {
        return Ok(false);
    }
    let ([namespace, scope, door], key) = split_entry_key(&stamp.key, &row)?;
    let address = EntryAddress {
        namespace: group.name_of(namespace)?.parse()?,
        scope: group.name_of(scope)?.parse()?,
        door: group.name_of(door)?.parse()?,
        key: key.parse()?,
    };
    remove_unless_replaced(group, &Removal { revision: row.revision, address })?;
    Ok(true)
}

/// A record that an entry needs.
#[derive(Clone, Copy)]
struct Weight {
    /// Where it lay when it was looked up: what tells it from others.
    place: (u32, u32),
    /// Bytes of the record, header included.
    stored: u64,
    /// Bytes of content in it.
    raw: u64,
}

impl Weight {
    fn of(row: &BlobRow) -> Self {
        Self { place: (row.place.segment, row.place.offset), stored: row.record_len(), raw: row.size }
    }
}

/// The records behind blobs, looked up once each: one that is moved meanwhile stays the same.
struct Weights<'a> {
    rows: &'a Rows<'a>,
    known: HashMap<ContentHash, Arc<[Weight]>>,
}

impl Weights<'_> {
    /// The records that an entry needs, each once: what is not here any more weighs nothing.
    fn records_of(&mut self, key: &[u8], row: &EntryRow) -> Result<Vec<Weight>> {
        let mut seen = HashSet::new();
        let mut records = Vec::new();
        let links = self.rows.links(key, row)?;
        for blob in std::iter::once(&row.blob.hash).chain(links.iter()) {
            let of_blob = self.of(blob)?;
            records.extend(of_blob.iter().copied().filter(|record| seen.insert(record.place)));
        }
        Ok(records)
    }

    fn of(&mut self, blob: &ContentHash) -> Result<Arc<[Weight]>> {
        if let Some(known) = self.known.get(blob) {
            return Ok(Arc::clone(known));
        }
        let mut weights = Vec::new();
        if let Some(row) = self.rows.blob(blob)? {
            let is_recipe = row.kind == RecordKind::Recipe;
            // What a recipe stands for is counted with its chunks.
            weights.push(Weight { raw: if is_recipe { 0 } else { row.size }, ..Weight::of(&row) });
            let recipe = if is_recipe { self.rows.core.recipe(blob, &row)? } else { None };
            for (chunk, _) in recipe.iter().flat_map(|recipe| &recipe.chunks) {
                if let Some(row) = self.rows.blob(chunk)? {
                    weights.push(Weight::of(&row));
                }
            }
        }
        let weights: Arc<[Weight]> = weights.into();
        self.known.insert(*blob, Arc::clone(&weights));
        Ok(weights)
    }
}

/// Entries added up, from the most to the least recently used.
struct Ledger {
    limit: Option<u64>,
    /// An entry did not fit: neither does any that was used less recently.
    is_full: bool,
    counted: HashSet<(u32, u32)>,
    sum: Sum,
}

impl Ledger {
    fn new(limit: Option<u64>) -> Self {
        Self { limit, is_full: false, counted: HashSet::new(), sum: Sum::default() }
    }

    /// Whether an entry with these records fits.
    fn has_room(&mut self, records: &[Weight]) -> bool {
        let Some(limit) = self.limit else { return true };
        if self.is_full || records.iter().map(|record| record.stored).sum::<u64>() > limit {
            return false;
        }
        let new: u64 = records.iter().filter(|new| !self.counted.contains(&new.place)).map(|new| new.stored).sum();
        self.is_full = self.sum.stored_bytes + new > limit;
        !self.is_full
    }

    fn add(&mut self, records: &[Weight]) {
        self.sum.entries += 1;
        for record in records {
            self.sum.logical_bytes += record.raw;
            if self.counted.insert(record.place) {
                self.sum.stored_bytes += record.stored;
            }
        }
    }
}
