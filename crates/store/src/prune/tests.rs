use std::time::Duration;

use larder_base::{Access, ContentHash, PutIf};

use super::{Pruned, ROWS_A_STEP};
use crate::index::{Table, meta};
use crate::tests::support::*;
use crate::{Options, Store};

const RETENTION: Duration = Duration::from_secs(3600);
const LONG: Duration = Duration::from_secs(2 * 3600);
const BLOBS: u64 = 60;

fn key(n: u64) -> larder_base::EntryAddress {
    address("a", "trusted", "test", &format!("key-{n:02}"))
}

fn content(n: u64) -> bytes::Bytes {
    noise(n, 20_000)
}

/// A store of which the older half was evicted, and how many blobs that were.
fn half_evicted(dir: &std::path::Path) -> (Store, u64) {
    let clock = HandClock::new();
    let options = Options { quota: 16 << 20, retention: RETENTION, segment_len: 128 << 10, ..options(dir) };
    let store = Store::open(options, clock.clone()).unwrap();
    for n in 0..BLOBS {
        put(&store, "a", &content(n)).unwrap();
        let linked = linked(format!("value {n}"), &[ContentHash::of(&content(n))]);
        store.put_entry(&key(n), linked, PutIf::Always).unwrap();
    }
    clock.advance(LONG);
    let used = store.status().unwrap().bytes;
    store.set_quota(used * 10 / 18);
    while store.evict_step().unwrap().segments > 0 {}
    store.set_quota(16 << 20);
    let gone = (0..BLOBS).filter(|n| get(&store, "a", &ContentHash::of(&content(*n))).is_none()).count() as u64;
    assert!((10..50).contains(&gone), "{gone} of {BLOBS} blobs are gone");
    (store, gone)
}

fn check(store: &Store, gone: u64) {
    for n in 0..BLOBS {
        let found = get(store, "a", &ContentHash::of(&content(n)));
        assert_eq!(found.is_some(), n >= gone, "blob {n}");
        let entry = store.get_entry(&key(n), Access::Check).unwrap();
        assert_eq!(entry.is_some(), n >= gone, "entry {n}");
        assert!(entry.is_none_or(|entry| entry.links.len() == 1));
    }
}

#[test]
fn evicted_rows_are_absent_at_once_and_deleted_by_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    let (store, gone) = half_evicted(dir.path());
    // A look at an entry that lacks something removes it.
    check(&store, gone);
    store.checkpoint().unwrap();
    let (blobs, entries) = (store.status().unwrap().blobs, store.status().unwrap().entries);
    let stale = stale_rows(&store) as u64;
    assert!(stale >= 2 * gone - 1, "{stale} rows of {gone} blobs");

    let step = store.prune_step().unwrap();
    assert!(!step.wrapped && step.rows <= ROWS_A_STEP as u64, "a step is bounded: {step:?}");
    assert_eq!(step.rows + prune_all(&store).unwrap(), stale);
    assert_eq!(stale_rows(&store), 0);
    let status = store.status().unwrap();
    assert_eq!(blobs + entries - status.blobs - status.entries, stale);
    let links = store.core().index.count(Table::Links).unwrap();
    assert_eq!(links, status.entries, "links go with their entries");
    check(&store, gone);
    assert_eq!(store.prune_step().unwrap(), Pruned { rows: 0, wrapped: true }, "one pass is enough");

    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    check(&open(dir.path()), gone);
}

#[test]
fn links_that_take_much_go_with_their_segment() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let options = Options { quota: 16 << 20, retention: RETENTION, segment_len: 128 << 10, ..options(dir.path()) };
    let store = Store::open(options, clock.clone()).unwrap();
    let links: Vec<ContentHash> = (0..300).map(|n| put(&store, "a", &noise(n, 100)).unwrap().hash).collect();
    store.put_entry(&key(0), linked("large", &links), PutIf::Always).unwrap();
    store.put_entry(&key(1), linked("small", &links[..2]), PutIf::Always).unwrap();
    for n in 1000..1010 {
        put(&store, "a", &content(n)).unwrap();
    }
    clock.advance(LONG);
    store.checkpoint().unwrap();
    assert_eq!(store.core().index.count(Table::Links).unwrap(), 2);
    store.set_quota(store.status().unwrap().bytes / 2);
    while store.evict_step().unwrap().segments > 0 {}
    store.checkpoint().unwrap();
    assert_eq!(store.core().index.count(Table::Links).unwrap(), 1, "the small one waits to be pruned");
}

#[test]
fn what_is_put_again_during_a_pass_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, gone) = half_evicted(dir.path());
    let mut n = 0;
    while !store.prune_step().unwrap().wrapped {
        // Before and behind the place where the pass is, in LMDB and above it.
        put(&store, "a", &content(n)).unwrap();
        store.put_entry(&key(n), value(format!("again {n}")), PutIf::Absent).unwrap();
        if n % 3 == 0 {
            store.checkpoint().unwrap();
        }
        n = (n + 1).min(gone - 1);
    }
    assert!(n > 5);
    let check = |store: &Store| {
        for n in 0..n {
            assert!(get(store, "a", &ContentHash::of(&content(n))).is_some(), "{n}");
            let entry = store.get_entry(&key(n), Access::Check).unwrap().unwrap();
            assert_eq!(entry.inline.as_deref(), Some(format!("again {n}").as_bytes()));
            assert!(entry.links.is_empty(), "{n}");
        }
    };
    check(&store);
    store.close().unwrap();
    drop(store);
    check(&open(dir.path()));
}

#[test]
fn rows_stay_until_lmdb_itself_knows_that_their_segment_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = put(&store, "a", &content(1)).unwrap();
    store.checkpoint().unwrap();
    let core = store.core();
    // As an eviction does, whose record may not be durable yet.
    core.heat.remove(1);
    core.publish({
        let mut changes = crate::overlay::Layer::default();
        changes.set(Table::Meta, meta::STALE, Some(9_u64.to_le_bytes().to_vec().into()));
        changes
    });
    assert_eq!(stale_rows(&store), 1);
    assert_eq!(prune_all(&store).unwrap(), 0);
    drop(store);
    assert!(get(&open(dir.path()), "a", &digest.hash).is_some());
}

#[test]
fn a_pass_waits_until_it_is_worth_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..40 {
        put(&store, "a", &noise(n, 100)).unwrap();
    }
    store.checkpoint().unwrap();
    let due = |stale: u64| {
        let mut changes = crate::overlay::Layer::default();
        changes.set(Table::Meta, meta::STALE, Some(stale.to_le_bytes().to_vec().into()));
        store.core().publish(changes);
        store.core().due_pass().unwrap().is_some()
    };
    assert_eq!([due(0), due(1), due(2), due(1000)], [false, false, true, true]);
}
