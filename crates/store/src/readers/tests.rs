use std::sync::Arc;
use std::time::Duration;

use larder_base::{Access, EntryAddress, PutIf, PutOutcome, Reader, ReaderList, Timestamp};

use super::ReadersRow;
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::index::Table;
use crate::tests::support::*;
use crate::{Options, Store};

const HOUR: Duration = Duration::from_secs(3600);

struct Fixture {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    clock: Arc<HandClock>,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), disk: FaultyDisk::default(), clock: HandClock::new() }
    }

    fn open(&self) -> Store {
        let options = Options { retention: HOUR, segment_len: 128 << 10, ..options(self.dir.path()) };
        Store::open_on(options, Arc::new(self.disk.clone()), self.clock.clone()).unwrap()
    }

    /// Some seconds later than the one before.
    fn restore(&self, store: &Store, key: &str, reader: &str) {
        self.clock.advance(Duration::from_secs(7));
        let entry = store.get_entry(&at(key), Access::Serve).unwrap().unwrap();
        store.note_reader(&at(key), entry.revision, reader);
    }
}

fn at(key: &str) -> EntryAddress {
    address("a", "trusted", "test", key)
}

fn write(store: &Store, key: &str, content: &'static str) -> u64 {
    match store.put_entry(&at(key), value(content), PutIf::Always).unwrap() {
        PutOutcome::Stored(entry) => entry.revision,
        other => panic!("{other:?}"),
    }
}

/// Name and number of restores of each reader, the last one first.
fn readers(store: &Store, key: &str) -> Vec<(String, u64)> {
    let Some(entry) = store.get_entry(&at(key), Access::Check).unwrap() else { return Vec::new() };
    let readers = store.readers(&[(at(key), entry.revision)]).unwrap().remove(0);
    readers.into_iter().map(|reader| (reader.name.to_string(), reader.restores)).collect()
}

fn named(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, restores)| ((*name).to_owned(), *restores)).collect()
}

fn rows(store: &Store) -> u64 {
    store.core().index.count(Table::Readers).unwrap()
}

#[test]
fn readers_are_told_at_once_and_after_a_checkpoint_and_after_a_restart() {
    let world = Fixture::new();
    let store = world.open();
    write(&store, "k", "v");
    assert!(readers(&store, "k").is_empty());
    for reader in ["one", "two", "one"] {
        world.restore(&store, "k", reader);
    }
    assert_eq!(readers(&store, "k"), named(&[("one", 2), ("two", 1)]));
    store.checkpoint().unwrap();
    assert_eq!(readers(&store, "k"), named(&[("one", 2), ("two", 1)]));
    world.restore(&store, "k", "two");
    assert_eq!(readers(&store, "k"), named(&[("two", 2), ("one", 2)]));
    let last = store.readers(&[(at("k"), store.get_entry(&at("k"), Access::Check).unwrap().unwrap().revision)]);
    assert_eq!(last.unwrap()[0][0].last, larder_base::Clock::now(&*world.clock));
    store.close().unwrap();
    drop(store);
    let store = world.open();
    assert_eq!(readers(&store, "k"), named(&[("two", 2), ("one", 2)]));
}

#[test]
fn a_restore_costs_no_write() {
    let world = Fixture::new();
    let store = world.open();
    write(&store, "k", "v");
    let (syncs, operations) = (store.status().unwrap().syncs, world.disk.operations());
    for turn in 0..5000 {
        world.clock.advance(Duration::from_millis(1));
        let entry = store.get_entry(&at("k"), Access::Serve).unwrap().unwrap();
        store.note_reader(&at("k"), entry.revision, if turn % 2 == 0 { "one" } else { "two" });
    }
    assert_eq!((store.status().unwrap().syncs, world.disk.operations()), (syncs, operations));
    assert_eq!(readers(&store, "k"), named(&[("two", 2500), ("one", 2500)]));
    store.checkpoint().unwrap();
    assert_eq!(rows(&store), 1);
}

#[test]
fn a_crash_loses_what_no_checkpoint_has_written_and_no_entry() {
    let world = Fixture::new();
    let store = world.open();
    write(&store, "k", "v");
    world.restore(&store, "k", "one");
    store.checkpoint().unwrap();
    world.restore(&store, "k", "two");
    drop(store);
    let store = world.open();
    assert_eq!(readers(&store, "k"), named(&[("one", 1)]));
    assert_eq!(store.get_entry(&at("k"), Access::Check).unwrap().unwrap().inline.unwrap(), "v");
    drop(store);
    std::fs::remove_dir_all(world.dir.path().join("index")).unwrap();
    let store = world.open();
    assert!(readers(&store, "k").is_empty());
    assert!(store.get_entry(&at("k"), Access::Check).unwrap().is_some());
}

#[test]
fn an_entry_that_goes_takes_its_readers_with_it_and_a_new_one_has_none() {
    let world = Fixture::new();
    let store = world.open();
    // Before, between and after checkpoints.
    for (noted, removed) in [(false, false), (false, true), (true, false), (true, true)] {
        write(&store, "k", "v");
        store.checkpoint().unwrap();
        world.restore(&store, "k", "one");
        if noted {
            store.checkpoint().unwrap();
            assert_eq!(rows(&store), 1);
        }
        assert!(store.delete_entry(&at("k")).unwrap());
        if removed {
            store.checkpoint().unwrap();
        }
        write(&store, "k", "w");
        assert!(readers(&store, "k").is_empty(), "{noted} {removed}");
        assert!(store.delete_entry(&at("k")).unwrap());
        store.checkpoint().unwrap();
        store.checkpoint().unwrap();
        assert_eq!(rows(&store), 0, "{noted} {removed}");
    }
}

#[test]
fn what_is_noted_of_an_entry_that_is_gone_or_replaced_leaves_nothing() {
    let world = Fixture::new();
    let store = world.open();
    let first = write(&store, "k", "v");
    let second = write(&store, "k", "w");
    store.note_reader(&at("k"), first, "late");
    store.note_reader(&at("k"), second, "one");
    store.note_reader(&at("k"), first, "late");
    assert_eq!(readers(&store, "k"), named(&[("one", 1)]));
    assert!(store.readers(&[(at("k"), first)]).unwrap()[0].is_empty());
    store.checkpoint().unwrap();
    assert_eq!(readers(&store, "k"), named(&[("one", 1)]));
    assert!(store.readers(&[(at("k"), first)]).unwrap()[0].is_empty());
    store.delete_entry(&at("k")).unwrap();
    store.note_reader(&at("k"), second, "late");
    store.note_reader(&at("never"), 1, "late");
    for _ in 0..3 {
        store.checkpoint().unwrap();
    }
    assert_eq!((rows(&store), store.core().readers.lock().is_waiting()), (0, false));
}

/// A merge in the middle of which something else is done.
fn merge_around(store: &Store, meanwhile: impl FnOnce()) {
    let core = store.core();
    core.write_run().unwrap();
    meanwhile();
    core.merge_runs(|flush| Ok(flush)).unwrap();
    assert!(core.readers.lock().flushing.is_empty(), "what LMDB has needs no memory");
}

#[test]
fn what_goes_or_is_replaced_while_a_checkpoint_is_made_is_the_next_one_s() {
    let world = Fixture::new();
    let store = world.open();
    let keys = ["gone", "replaced", "stays"];
    for key in keys {
        write(&store, key, "v");
    }
    store.checkpoint().unwrap();
    for key in keys {
        world.restore(&store, key, "one");
    }
    merge_around(&store, || {
        assert!(store.delete_entry(&at("gone")).unwrap());
        write(&store, "replaced", "w");
        world.restore(&store, "replaced", "two");
        write(&store, "new", "v");
        world.restore(&store, "new", "two");
    });
    let check = |context: &str| {
        assert_eq!(readers(&store, "replaced"), named(&[("two", 1)]), "{context}");
        assert_eq!(readers(&store, "new"), named(&[("two", 1)]), "{context}");
        assert_eq!(readers(&store, "stays"), named(&[("one", 1)]), "{context}");
    };
    check("at once");
    assert_eq!(rows(&store), 1, "of the others LMDB does not know yet what they are");
    merge_around(&store, || world.restore(&store, "stays", "one"));
    assert_eq!((rows(&store), readers(&store, "stays")), (3, named(&[("one", 2)])));
    assert!(!store.core().readers.lock().is_waiting());
}

#[test]
fn an_entry_that_eviction_writes_again_keeps_its_readers() {
    let world = Fixture::new();
    let store = world.open();
    write(&store, "k", "v");
    world.restore(&store, "k", "one");
    store.checkpoint().unwrap();
    world.restore(&store, "k", "two");
    for n in 0..60 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    let place = |store: &Store| {
        let key = crate::rows::Rows::new(store.core()).find_entry_key(&at("k")).unwrap().unwrap();
        let row = store.core().index.get(Table::Entries, &key).unwrap().unwrap();
        crate::row::EntryRow::decode(&row).unwrap().segment
    };
    let before = place(&store);
    world.clock.advance(3 * HOUR);
    assert!(store.get_entry(&at("k"), Access::Serve).unwrap().is_some());
    store.set_quota(2 << 20);
    while store.evict_step().unwrap().segments > 0 {}
    assert_ne!(place(&store), before);
    for _ in 0..2 {
        assert_eq!(readers(&store, "k"), named(&[("two", 1), ("one", 1)]));
        store.checkpoint().unwrap();
    }
}

#[test]
fn a_checkpoint_that_fails_loses_and_doubles_nothing() {
    // Fails at each of its steps in turn, until it has no more.
    for step in 1.. {
        let world = Fixture::new();
        let store = world.open();
        for key in ["a", "b", "c"] {
            write(&store, key, "v");
            world.restore(&store, key, "one");
        }
        store.checkpoint().unwrap();
        for key in ["b", "c", "d"] {
            write(&store, "d", "new");
            world.restore(&store, key, "one");
        }
        world.disk.plan(step, Fault::Fail);
        let failed = store.checkpoint().is_err();
        for round in 0..3 {
            assert_eq!(readers(&store, "a"), named(&[("one", 1)]), "step {step}, round {round}");
            assert_eq!(readers(&store, "b"), named(&[("one", 2)]), "step {step}, round {round}");
            assert_eq!(readers(&store, "d"), named(&[("one", 1)]), "step {step}, round {round}");
            // After a failed sync the store takes no more checkpoints.
            let _ = store.checkpoint();
        }
        if !failed {
            assert!(step > 1);
            return;
        }
    }
}

#[test]
fn rows_are_read_as_they_were_written_and_names_beyond_the_limit_are_not_noted() {
    let mut list = ReaderList::default();
    for number in 0..20 {
        let name = format!("reader {number}").into();
        list.add(Reader { name, last: Timestamp::from_millis(number), restores: number + 1 });
    }
    let row = ReadersRow { revision: 77, readers: list };
    assert_eq!(ReadersRow::decode(&row.encode()).unwrap(), row);
    assert!(ReadersRow::decode(&row.encode()[..30]).is_err());

    let world = Fixture::new();
    let store = world.open();
    write(&store, "k", "v");
    world.restore(&store, "k", &"x".repeat(257));
    world.restore(&store, "k", &"x".repeat(256));
    assert_eq!(readers(&store, "k"), named(&[("x".repeat(256).as_str(), 1)]));
}
