//! The promise under every fault: what was acknowledged is there, what was not is there whole or not at all, and no byte
//! is ever wrong. A script of operations runs against the store and a model; the disk fails, tears or forgets at every
//! step of it in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::segment::{Record, SEGMENT_HEADER};
use larder_base::{
    Access, ContentHash, EntryAddress, EntryBody, Error, ErrorKind, NewEntry, PartName, PutIf, PutOutcome, Result,
    UploadId, chunk,
};

use super::support::*;
use crate::checkpoint::{ROWS_LIMIT, WAITING_LIMIT};
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::{Durability, Options, Store};

/// One operation of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Blob {
        namespace: &'static str,
        content: Bytes,
    },
    Entry {
        key: u8,
        value: Bytes,
        link: Option<Bytes>,
        condition: PutIf,
    },
    Remove {
        key: u8,
    },
    Upload {
        number: u32,
        contents: Vec<Bytes>,
    },
    /// What is published goes into a run, and with enough of them into LMDB.
    Checkpoint,
    /// What is published goes into LMDB.
    Merge,
}

/// A namespace and the hash of a blob in it.
pub(crate) type Name = (&'static str, ContentHash);

/// What may be found.
#[derive(Default)]
pub(crate) struct Model {
    /// Blobs by namespace and hash, and whether they must be there.
    blobs: BTreeMap<Name, (Bytes, bool)>,
    /// Values that may be found at a key; `None` is nothing.
    entries: BTreeMap<u8, BTreeSet<Option<Bytes>>>,
    /// Parts received, whose adoption may have happened.
    pub(crate) parts: BTreeMap<u32, Vec<Bytes>>,
}

fn at(key: u8) -> EntryAddress {
    address("a", "trusted", "test", &format!("key-{key}"))
}

pub(crate) fn part(number: u32) -> PartName {
    PartName { upload: UploadId::from_random([7; 16]), number }
}

pub(crate) fn upload_body(contents: &[Bytes]) -> Bytes {
    let mut body = SEGMENT_HEADER.to_vec();
    for content in contents {
        let record = Record::chunk(ContentHash::of(content), content.clone(), 1);
        body.extend_from_slice(&record.header.encode());
        body.extend_from_slice(&record.body);
    }
    body.into()
}

impl Model {
    pub(crate) fn may_have(&mut self, namespace: &'static str, content: &Bytes) {
        self.blobs.entry((namespace, ContentHash::of(content))).or_insert((content.clone(), false));
    }

    pub(crate) fn must_have(&mut self, namespace: &'static str, content: &Bytes) {
        self.blobs.insert((namespace, ContentHash::of(content)), (content.clone(), true));
    }

    /// Runs a step against the store, and takes its answer, or its failure, into account.
    pub(crate) fn run(&mut self, store: &Store, step: &Step) -> Result<()> {
        match step {
            Step::Blob { namespace, content } => {
                self.may_have(namespace, content);
                put(store, namespace, content)?;
                self.must_have(namespace, content);
            }
            Step::Entry { key, value, link, condition } => {
                self.may_have("a", value);
                let links: Vec<_> = link.iter().map(|link| ContentHash::of(link)).collect();
                let states = self.entries.entry(*key).or_insert_with(|| BTreeSet::from([None]));
                let before = states.clone();
                states.insert(Some(value.clone()));
                let new = NewEntry { body: EntryBody::Value(value.clone()), ..linked("", &links) };
                match store.put_entry(&at(*key), new, *condition)? {
                    PutOutcome::Stored(_) => {
                        self.entries.insert(*key, BTreeSet::from([Some(value.clone())]));
                        self.must_have("a", value);
                    }
                    PutOutcome::Kept(entry) => {
                        let found = entry.map(|entry| entry.inline.unwrap());
                        assert!(before.contains(&found), "kept {found:?}, which was never there");
                        self.entries.insert(*key, BTreeSet::from([found]));
                    }
                    PutOutcome::Incomplete(_) => {
                        self.entries.insert(*key, before);
                    }
                }
            }
            Step::Remove { key } => {
                self.entries.entry(*key).or_insert_with(|| BTreeSet::from([None])).insert(None);
                store.delete_entry(&at(*key))?;
                self.entries.insert(*key, BTreeSet::from([None]));
            }
            Step::Upload { number, contents } => {
                contents.iter().for_each(|content| self.may_have("up", content));
                let body = upload_body(contents);
                store.receive(&part(*number), body.len() as u64, &mut [Ok(body.clone())].into_iter())?;
                self.parts.insert(*number, contents.clone());
                let adopted = store.adopt(&ns("up"), &part(*number))?.expect("the part waits");
                assert_eq!(adopted.records, contents.len() as u64);
                contents.iter().for_each(|content| self.must_have("up", content));
                self.parts.remove(number);
            }
            Step::Checkpoint => store.core().checkpoint()?,
            Step::Merge => store.checkpoint()?,
        }
        Ok(())
    }

    /// Compares the store with what may be found after an opening, which settles what was open.
    pub(crate) fn check(&mut self, store: &Store, context: &str) {
        let (blobs, entries) = self.look(store, context);
        for name in blobs {
            self.blobs.get_mut(&name).unwrap().1 = true;
        }
        self.entries = entries;
    }

    /// Compares the store with what may be found. A write that failed may be absent now and there after an opening, so
    /// nothing is settled.
    pub(crate) fn look(&self, store: &Store, context: &str) -> (Vec<Name>, BTreeMap<u8, BTreeSet<Option<Bytes>>>) {
        let (mut blobs, mut entries) = (Vec::new(), BTreeMap::new());
        for ((namespace, hash), (content, must)) in &self.blobs {
            match get(store, namespace, hash) {
                Some(found) => {
                    assert!(found == *content, "{context}: wrong bytes for {hash}");
                    blobs.push((*namespace, *hash));
                }
                None => assert!(!*must, "{context}: blob {hash} of {namespace} was acknowledged and is gone"),
            }
        }
        for (key, states) in &self.entries {
            let found = store.get_entry(&at(*key), Access::Check).unwrap();
            let found = found.map(|entry| get(store, "a", &entry.blob.hash).expect("an entry's value is there").into());
            assert!(states.contains(&found), "{context}: key {key} has {found:?}, which is none of {states:?}");
            entries.insert(*key, BTreeSet::from([found]));
        }
        for namespace in ["a", "b", "up"] {
            for (owner, hash) in self.blobs.keys() {
                if !self.blobs.contains_key(&(namespace, *hash)) {
                    assert_eq!(get(store, namespace, hash), None, "{context}: {namespace} got a blob of {owner}");
                }
            }
        }
        (blobs, entries)
    }
}

/// The step of a script that puts the large blob.
const LARGE_STEP: u32 = 3;

pub(crate) fn script(seed: u64, length: usize, large: &Bytes) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut steps: Vec<Step> = Vec::new();
    let mut contents: Vec<Bytes> = Vec::new();
    for number in 0..length as u32 {
        let content = noise(seed << 8 | u64::from(number), 100 + dice.roll(700) as usize);
        let key = dice.roll(3) as u8;
        let roll = dice.roll(14);
        steps.push(match roll {
            // A blob of several chunks, in a group that goes through the system's memory between others that do not.
            _ if number == LARGE_STEP => Step::Blob { namespace: "a", content: large.clone() },
            0..4 => {
                contents.push(content.clone());
                Step::Blob { namespace: "a", content }
            }
            4 if !contents.is_empty() => {
                let again = contents[dice.roll(contents.len() as u64) as usize].clone();
                Step::Blob { namespace: "b", content: again }
            }
            5..8 => {
                let condition = if dice.roll(2) == 0 { PutIf::Always } else { PutIf::Absent };
                let link = contents.last().cloned().filter(|_| dice.roll(2) == 0);
                Step::Entry { key, value: content, link, condition }
            }
            8 => Step::Remove { key },
            9 => Step::Upload {
                number,
                contents: vec![content, noise(seed ^ 0xffff, 3000), noise(u64::from(number), 20)],
            },
            10 => Step::Merge,
            11..13 => Step::Checkpoint,
            _ => Step::Blob { namespace: "b", content },
        });
    }
    steps
}

/// Bytes of a segment, so few that a script seals several.
const SMALL: u64 = 6000;

fn small(dir: &std::path::Path) -> Options {
    Options { segment_len: SMALL, ..options(dir) }
}

fn open_on(dir: &std::path::Path, disk: &FaultyDisk) -> Store {
    Store::open_on(small(dir), Arc::new(disk.clone()), HandClock::new()).unwrap()
}

/// Runs a script whose `k`th changing operation has a fault, and then what follows it; returns false when the script ended
/// before the fault's turn.
fn run_with_fault(steps: &[Step], segment_len: u64, seed: u64, k: u64, fault: Fault) -> bool {
    let context = format!("seed {seed}, fault {fault:?} at operation {k}");
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut model = Model::default();
    let open_on = |dir: &std::path::Path, disk: &FaultyDisk| {
        let options = Options { segment_len, ..small(dir) };
        Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap()
    };
    let store = open_on(dir.path(), &disk);
    disk.plan(k, fault);
    let begun = disk.operations();
    for step in steps {
        if model.run(&store, step).is_err() && disk.is_dead() {
            break;
        }
    }
    let reached = disk.operations() >= begun + k;
    if !disk.is_dead() {
        model.look(&store, &context);
    }
    drop(store);
    let mut dice = Dice(seed ^ k << 20);
    let disk = match fault {
        Fault::Fail | Fault::NoSpace | Fault::Full => disk.after_kill(),
        Fault::Cut | Fault::Tear => disk.after_power_cut(&mut || dice.roll(2) == 0),
    };
    let store = open_on(dir.path(), &disk);
    model.check(&store, &context);
    // The store goes on, and a part that was received can still be adopted or was.
    for (number, contents) in std::mem::take(&mut model.parts) {
        if store.adopt(&ns("up"), &part(number)).unwrap().is_some() {
            contents.iter().for_each(|content| model.must_have("up", content));
        }
    }
    let more = Step::Blob { namespace: "a", content: noise(seed + k, 3000) };
    model.run(&store, &more).unwrap();
    drop(store);
    // A second crash, of the process only, right after recovery; and once more without the index.
    let store = open_on(dir.path(), &disk.after_kill());
    model.check(&store, &format!("{context}, opened again"));
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = open_on(dir.path(), &disk.after_kill());
    model.check(&store, &format!("{context}, index made anew"));
    reached
}

fn at_every_step(fault: Fault, seeds: std::ops::Range<u64>) {
    let large = noise(4711, (2 << 20) + 5000);
    for seed in seeds {
        let steps = script(seed, 14, &large);
        let is_large = |step: &Step| matches!(step, Step::Blob { content, .. } if content.len() > chunk::MAX_LEN);
        assert!(steps.iter().any(is_large), "the script of seed {seed} has no blob of several chunks");
        let mut k = 1;
        while run_with_fault(&steps, SMALL, seed, k, fault) {
            k += 1;
        }
        assert!(k > 10, "the script of seed {seed} has only {k} operations");
    }
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_acknowledged() {
    at_every_step(Fault::Cut, 0..3);
}

#[test]
fn a_torn_write_at_any_step_loses_nothing_acknowledged() {
    at_every_step(Fault::Tear, 10..13);
}

#[test]
fn a_failed_operation_at_any_step_loses_nothing_acknowledged() {
    at_every_step(Fault::Fail, 20..22);
}

#[test]
fn a_lack_of_space_at_any_step_loses_nothing_acknowledged() {
    at_every_step(Fault::NoSpace, 40..42);
}

#[test]
fn a_full_disk_at_any_step_loses_nothing_acknowledged() {
    at_every_step(Fault::Full, 30..32);
}

#[test]
fn a_fault_at_any_step_around_a_large_group_in_the_midst_of_a_segment_loses_nothing_acknowledged() {
    // Small groups go past the system's memory and large ones through it, to the same end of the same file: into the zeros
    // behind it, beyond them, and where there are none any more.
    let blob = |seed, length| Step::Blob { namespace: "a", content: noise(seed, length) };
    let steps = [
        blob(1, 500),
        blob(2, 300 << 10),
        blob(3, 500),
        blob(4, 3000),
        blob(5, 300 << 10),
        blob(6, 9000),
        blob(7, 500),
        blob(8, 20_000),
    ];
    for fault in [Fault::Cut, Fault::Tear, Fault::Fail, Fault::NoSpace, Fault::Full] {
        let mut k = 1;
        while run_with_fault(&steps, 8 << 20, 0, k, fault) {
            k += 1;
        }
        assert!(k > 10, "a write and a sync for each, and there were {k}");
    }
}

#[test]
fn an_adoption_that_the_index_knows_has_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    let mut model = Model::default();
    model.run(&store, &Step::Upload { number: 1, contents: vec![noise(1, 500)] }).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    // Nothing that was not synced is there.
    let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
    model.check(&store, "after the cut");
}

#[test]
fn what_an_opening_believes_is_on_the_disk_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    let content = noise(1, 500);
    // The process dies between the write and its sync.
    disk.plan(2, Fault::Cut);
    put(&store, "a", &content).unwrap_err();
    drop(store);
    let disk = disk.after_kill();
    let store = open_on(dir.path(), &disk);
    let length = disk.bytes("segments/00000001.seg").len();
    let digest = put(&store, "a", &content).unwrap();
    assert_eq!(disk.bytes("segments/00000001.seg").len(), length, "it was there, so nothing was written");
    drop(store);
    let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), content);
}

#[test]
fn a_segment_of_which_only_the_name_reached_the_disk_gets_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    drop(open_on(dir.path(), &disk));
    let disk = disk.after_kill();
    disk.damage("segments/00000001.seg", Vec::clear);
    let store = open_on(dir.path(), &disk);
    let digest = put(&store, "a", &noise(1, 500)).unwrap();
    assert!(disk.bytes("segments/00000001.seg").starts_with(&SEGMENT_HEADER));
    drop(store);
    let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), noise(1, 500));
}

#[test]
fn zeros_behind_the_log_are_not_torn_and_are_gone_when_the_segment_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = Options { segment_len: 10_000, ..small(dir.path()) };
    let store = Store::open_on(options.clone(), Arc::new(disk.clone()), HandClock::new()).unwrap();
    put(&store, "a", &noise(1, 500)).unwrap();
    // Before the store is dropped, which takes them off.
    let disk = disk.after_kill();
    drop(store);
    assert_eq!(disk.bytes("segments/00000001.seg").len(), 3 * 4096, "to the block in which it is to be sealed");
    let store = Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap();
    assert_eq!(store.recovery().torn_bytes + store.recovery().damaged_records, 0);
    put(&store, "a", &noise(2, 10_000)).unwrap();
    put(&store, "a", &noise(3, 500)).unwrap();
    let sealed = disk.bytes("segments/00000001.seg");
    let trailer = u64::from_le_bytes(*sealed.last_chunk().unwrap());
    assert_eq!(sealed[trailer as usize..][..4], *b"LREC");
    // Segment 2 was begun with the put that came after.
    assert_eq!(disk.bytes("segments/00000002.seg").len(), 3 * 4096);
}

#[test]
fn zeros_behind_the_log_count_neither_as_used_nor_after_a_kill_as_torn() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = FaultyDisk::default();
    let options = Options { segment_len: 1 << 20, ..small(dir.path()) };
    // A stretch ends here and there, and a kill finds any length of it.
    for seed in 0..12 {
        let store = Store::open_on(options.clone(), Arc::new(disk.clone()), HandClock::new()).unwrap();
        let segments = || store.core().usage.segments.load(Ordering::Relaxed);
        put(&store, "a", &noise(seed, 1900)).unwrap();
        let (end, bytes) = (segments() as usize, disk.bytes("segments/00000001.seg"));
        assert!(bytes.len() - end > 4096, "{} bytes of which {end} are used", bytes.len());
        assert!(bytes[end..].iter().all(|byte| *byte == 0));
        let killed = disk.after_kill();
        drop(store);
        disk = killed;
        let store = Store::open_on(options.clone(), Arc::new(disk.clone()), HandClock::new()).unwrap();
        assert_eq!(store.recovery().torn_bytes, 0);
        assert_eq!(store.core().usage.segments.load(Ordering::Relaxed) as usize, end);
        assert_eq!(disk.bytes("segments/00000001.seg").len(), end, "the opening cut them off");
        assert_eq!(get(&store, "a", &ContentHash::of(&noise(seed, 1900))).unwrap(), noise(seed, 1900));
    }
}

#[test]
fn zeros_that_cannot_be_written_refuse_nothing() {
    for fault in [Fault::NoSpace, Fault::Fail] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let store = open_on(dir.path(), &disk);
        // The group, and then its zeros.
        disk.plan(2, fault);
        put(&store, "a", &noise(1, 500)).unwrap();
        let status = store.status().unwrap();
        assert!(status.poisoned.is_none() && !status.disk_full, "{fault:?}");
        assert_eq!(disk.bytes("segments/00000001.seg").len(), 4096, "what was written of them is no loss of room");
        put(&store, "a", &noise(2, 500)).unwrap();
        drop(store);
        let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
        for seed in 1..3 {
            assert_eq!(get(&store, "a", &ContentHash::of(&noise(seed, 500))).unwrap(), noise(seed, 500));
        }
    }
}

#[test]
fn after_a_write_that_failed_the_next_one_has_zeros_behind_it_again() {
    // Past the system's memory, and through it.
    for length in [500, 300 << 10] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let store = open_on(dir.path(), &disk);
        put(&store, "a", &noise(1, 500)).unwrap();
        disk.plan(1, Fault::NoSpace);
        assert_eq!(put(&store, "a", &noise(2, length)).unwrap_err().kind(), ErrorKind::Full);
        assert!(disk.bytes("segments/00000001.seg").len() < 4096, "it was cut off, and all that lay behind it");
        put(&store, "a", &noise(3, 500)).unwrap();
        assert_eq!(disk.bytes("segments/00000001.seg").len(), 2 * 4096);
    }
}

#[test]
fn a_disk_that_is_full_when_a_segment_is_to_be_sealed_takes_writes_again_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = Options { segment_len: 10_000, ..small(dir.path()) };
    let store = Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap();
    put(&store, "a", &noise(1, 500)).unwrap();
    // The write, the sync, and then the cut of the zeros behind.
    disk.plan(3, Fault::NoSpace);
    let digest = put(&store, "a", &noise(2, 10_000)).unwrap();
    disk.heal();
    put(&store, "a", &noise(3, 500)).unwrap();
    assert!(store.status().unwrap().poisoned.is_none());
    drop(store);
    let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), noise(2, 10_000));
    assert_eq!(get(&store, "a", &ContentHash::of(&noise(3, 500))).unwrap(), noise(3, 500));
}

#[test]
fn a_store_that_was_closed_has_nothing_behind_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    put(&store, "a", &noise(1, 500)).unwrap();
    assert!(disk.bytes("segments/00000001.seg").ends_with(&[0; 1000]));
    store.close().unwrap();
    let length = disk.bytes("segments/00000001.seg").len();
    assert!(!length.is_multiple_of(4096), "{length} bytes");
}

#[test]
fn an_adoption_that_an_opening_believes_is_on_the_disk_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let contents = [noise(1, 500)];
    let body = upload_body(&contents);
    let mut finished = 0;
    for k in 1.. {
        let disk = FaultyDisk::default();
        let store = open_on(dir.path(), &disk);
        store.receive(&part(1), body.len() as u64, &mut [Ok(body.clone())].into_iter()).unwrap();
        disk.plan(k, Fault::Cut);
        let adopted = store.adopt(&ns("up"), &part(1));
        drop(store);
        let disk = disk.after_kill();
        let store = open_on(dir.path(), &disk);
        if adopted.is_err() && store.adopt(&ns("up"), &part(1)).unwrap().is_none() {
            finished += 1;
        }
        let digest = put(&store, "up", &contents[0]).unwrap();
        drop(store);
        let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
        assert_eq!(get(&store, "up", &digest.hash).unwrap(), contents[0], "killed at operation {k}");
        drop(store);
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        if adopted.is_ok() {
            break;
        }
    }
    assert!(finished > 1, "an opening finished {finished} adoptions");
}

#[test]
fn after_a_failed_sync_writes_are_refused_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    let content = noise(1, 500);
    let digest = put(&store, "a", &content).unwrap();
    // The write, then the sync.
    disk.plan(2, Fault::Fail);
    assert_eq!(put(&store, "a", &noise(2, 500)).unwrap_err().kind(), ErrorKind::Failed);
    let refused = put(&store, "a", &noise(3, 500)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Failed);
    assert!(refused.message().contains("no writes"), "{refused}");
    assert!(refused.hint().is_some());
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), content);
    assert!(store.missing(&ns("a"), &[digest.hash]).unwrap().is_empty());
    assert!(store.status().unwrap().poisoned.is_some());
}

#[test]
fn after_a_failed_sync_of_any_kind_the_index_stays_behind_the_log() {
    for fault in [Fault::Fail, Fault::NoSpace] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let relaxed = Options { durability: Durability::Relaxed, segment_len: 100_000, ..small(dir.path()) };
        let store = Store::open_on(relaxed, Arc::new(disk.clone()), HandClock::new()).unwrap();
        // A group that nobody waits for is written without a sync, and with it the segment is long enough to be sealed.
        let log = store.core().active.read().clone().unwrap();
        let content = noise(1, 120_000);
        let record = Record::chunk(ContentHash::of(&content), content.clone(), 1);
        // The write, the cut of the zeros behind, and the sync.
        disk.plan(3, fault);
        let terms = crate::committer::Terms::housekeeping(0).unsynced();
        store
            .core()
            .queue
            .call(terms, move |group| {
                group.append_blob(record, 120_000);
                Ok(())
            })
            .unwrap();
        assert_eq!(put(&store, "a", &noise(2, 500)).unwrap_err().kind(), ErrorKind::Failed, "{fault:?}");
        assert!(store.status().unwrap().poisoned.is_some(), "{fault:?}");
        assert_eq!(store.core().active.read().as_ref().unwrap().0, log.0);
        let checkpoints = store.core().health.checkpoints.load(Ordering::Relaxed);
        store.checkpoint().unwrap_err();
        store.close().unwrap_err();
        assert_eq!(store.core().health.checkpoints.load(Ordering::Relaxed), checkpoints);
        drop(store);
        let store = open_on(dir.path(), &disk.after_power_cut(&mut || false));
        assert!(!store.recovery().clean);
        assert_eq!(get(&store, "a", &ContentHash::of(&content)), None);
        let digest = put(&store, "a", &content).unwrap();
        assert_eq!(get(&store, "a", &digest.hash).unwrap(), content);
    }
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    let content = noise(1, 500);
    let digest = put(&store, "a", &content).unwrap();
    disk.plan(1, Fault::Full);
    let error: Error = put(&store, "a", &noise(2, 500)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.hint().is_some());
    assert!(store.status().unwrap().disk_full);
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), content);
    disk.heal();
    let digest = put(&store, "a", &noise(2, 500)).unwrap();
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), noise(2, 500));
    assert!(!store.status().unwrap().disk_full);
}

#[test]
fn a_mark_counts_as_made_when_it_is_durable() {
    use crate::committer::Terms;
    use crate::heat::Touch;
    for durability in [Durability::Synced, Durability::Relaxed] {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let options = Options { durability, ..small(dir.path()) };
        let store = Store::open_on(options, Arc::new(FaultyDisk::default()), clock.clone()).unwrap();
        put(&store, "a", &noise(1, 500)).unwrap();
        let core = store.core();
        let mark_due = || core.heat.touch(1, 0, core.now()) == Touch::Kept { mark_due: true };
        let relaxed = durability == Durability::Relaxed;
        assert!(!mark_due());
        clock.advance(core.options.retention);
        assert!(mark_due());
        // A mark, and then a record, in groups that nobody waits for.
        let unsynced = Terms::housekeeping(0).unsynced();
        core.queue.call(unsynced, |group| Ok(group.due.insert(1))).unwrap();
        assert_eq!(mark_due(), !relaxed);
        let content = noise(2, 500);
        let record = Record::chunk(ContentHash::of(&content), content, 1);
        let append = move |group: &mut crate::group::Group<'_>| {
            group.append_blob(record, 500);
            Ok(())
        };
        core.queue.call(unsynced, append).unwrap();
        assert_eq!(mark_due(), !relaxed);
        core.queue.call(Terms::housekeeping(0), |group| Ok(group.due.insert(1))).unwrap();
        assert!(!mark_due());
    }
}

#[test]
fn relaxed_writes_may_be_forgotten_by_a_power_cut_but_never_wrong() {
    for seed in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let relaxed = Options { durability: Durability::Relaxed, ..small(dir.path()) };
        let store = Store::open_on(relaxed, Arc::new(disk.clone()), HandClock::new()).unwrap();
        let contents: Vec<_> = (0..20).map(|n| noise(n, 700)).collect();
        for content in &contents {
            put(&store, "a", content).unwrap();
        }
        let mut dice = Dice(seed);
        let cut = disk.after_power_cut(&mut || dice.roll(2) == 0);
        drop(store);
        let killed = disk.after_kill();
        let dir = tempfile::tempdir().unwrap();
        let store = open_on(dir.path(), &killed);
        for content in &contents {
            assert!(get(&store, "a", &ContentHash::of(content)).is_some(), "a kill of the process forgets nothing");
        }
        drop(store);
        let dir = tempfile::tempdir().unwrap();
        let store = open_on(dir.path(), &cut);
        for content in &contents {
            if let Some(found) = get(&store, "a", &ContentHash::of(content)) {
                assert_eq!(found, *content);
            }
        }
    }
}

#[test]
fn a_disk_that_takes_no_next_segment_is_full_before_the_last_one_grows_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = Options { segment_len: 10_000, ..small(dir.path()) };
    let store = Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap();
    disk.set_no_names(true);
    let taken = (1..100).take_while(|seed| put(&store, "a", &noise(*seed, 1000)).is_ok()).count() as u64;
    assert!((10..20).contains(&taken), "{taken}");
    let error = put(&store, "a", &noise(200, 1000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.message().contains("another segment"), "{error}");
    // What frees space is still taken.
    store.put_entry(&at(1), value("value"), PutIf::Always).unwrap_err();
    assert!(!store.delete_entry(&at(1)).unwrap());
    assert!(disk.bytes("segments/00000001.seg").len() < 30_000);
    disk.set_no_names(false);
    put(&store, "a", &noise(201, 1000)).expect("the segment is sealed before");
    for seed in 1..=taken {
        let content = noise(seed, 1000);
        assert_eq!(get(&store, "a", &ContentHash::of(&content)).unwrap(), content);
    }
}

#[test]
fn a_segment_that_is_longer_than_it_should_be_is_followed_by_another_before_a_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let large = Options { segment_len: 100_000, ..small(dir.path()) };
    let store = Store::open_on(large, Arc::new(disk.clone()), HandClock::new()).unwrap();
    put(&store, "a", &noise(1, 50_000)).unwrap();
    drop(store);
    // As after a kill between a large group and the end of its segment, or with a smaller quota.
    let store = open_on(dir.path(), &disk.after_kill());
    put(&store, "a", &noise(2, 500)).unwrap();
    assert_eq!(store.core().active.read().as_ref().unwrap().0, 2);
    assert_eq!(get(&store, "a", &ContentHash::of(&noise(1, 50_000))).unwrap(), noise(1, 50_000));
}

#[test]
fn what_the_index_does_not_take_waits_counted_and_bounded_and_is_tried_again() {
    // A run that cannot be written leaves its rows waiting; what LMDB does not take stays in runs.
    type Refuse = fn(&FaultyDisk, bool);
    let refusals: [(Refuse, bool); 2] = [(FaultyDisk::set_no_runs, false), (FaultyDisk::set_no_index, true)];
    for (refuse, has_runs) in refusals {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let store = open_on(dir.path(), &disk);
        let core = store.core();
        put(&store, "a", &noise(1, 100)).unwrap();
        refuse(&disk, true);
        store.checkpoint().unwrap_err();
        let put_entry = |number: usize| {
            if has_runs && number.is_multiple_of(500) {
                let _one_at_a_time = core.checkpoint.lock();
                core.write_run().unwrap();
            }
            let at = address("a", "trusted", "test", &format!("{number}"));
            store.put_entry(&at, value(number.to_string()), PutIf::Always)
        };
        let refused = (0..2 * ROWS_LIMIT).find_map(|number| put_entry(number).err());
        assert_eq!(refused.unwrap().kind(), ErrorKind::Unavailable);
        let (rows, limit) = match has_runs {
            true => (core.index.overlay.unmerged(), ROWS_LIMIT),
            false => (core.index.overlay.waiting(), WAITING_LIMIT),
        };
        assert!((limit..limit + 10).contains(&rows), "{rows} of {limit}");
        refuse(&disk, false);
        store.checkpoint().unwrap();
        put(&store, "a", &noise(2, 100)).unwrap();
        assert_eq!(get(&store, "a", &ContentHash::of(&noise(1, 100))).unwrap(), noise(1, 100));
    }
}
