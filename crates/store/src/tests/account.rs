use std::time::Duration;

use larder_base::segment::RECORD_HEADER_LEN;
use larder_base::{Access, DoorName, EntryBody, NewEntry, PutIf, Scope, Timestamp};

use super::support::*;
use crate::{Account, AccountLimits, Store, Sum};

const DOOR: DoorName = DoorName::new("test");
const HEADER: u64 = RECORD_HEADER_LEN as u64;

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
    clock: std::sync::Arc<HandClock>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        Self { store: Store::open(options(dir.path()), clock.clone()).unwrap(), clock, _dir: dir }
    }

    /// An entry whose value is noise of so many bytes, and which needs other noise; a minute later than the one before.
    fn put(&self, scope: &str, key: &str, writer: &str, (seed, len): (u64, usize), links: &[u64]) {
        self.clock.advance(Duration::from_secs(60));
        let links = links.iter().map(|link| put(&self.store, "a", &noise(*link, 1000)).unwrap().hash).collect();
        let new = NewEntry { links, writer: writer.into(), body: EntryBody::Value(noise(seed, len)), ..value("") };
        self.store.put_entry(&address("a", scope, "test", key), new, PutIf::Always).unwrap();
    }

    fn serve(&self, key: &str, access: Access) {
        self.clock.advance(Duration::from_secs(60));
        assert!(self.store.get_entry(&address("a", "trusted", "test", key), access).unwrap().is_some(), "{key}");
    }

    fn account(&self, namespace: Option<u64>, owner: Option<u64>) -> Account {
        self.store.account(&ns("a"), &[DOOR], AccountLimits { namespace, owner }).unwrap()
    }

    /// Removes what is beyond the limits, and gives the keys that are left.
    fn trim(&self, namespace: Option<u64>, owner: Option<u64>) -> Vec<String> {
        let account = self.account(namespace, owner);
        assert_eq!(self.store.remove_unused(&account.excess).unwrap(), account.excess.len() as u64);
        let after = self.account(namespace, owner);
        assert_eq!(
            (after.all, after.excess.len()),
            (account.all, 0),
            "what was left fits, and doing it again does nothing"
        );
        let prefix =
            larder_base::EntryPrefix { namespace: ns("a"), scope: None, door: Some(DOOR), prefix: String::new() };
        let mut keys: Vec<_> = self.store.list_entries(&prefix, None, 100).unwrap().entries;
        keys.sort_by(|one, other| one.address.key.cmp(&other.address.key));
        keys.into_iter().map(|listed| listed.address.key.to_string()).collect()
    }
}

#[test]
fn what_two_entries_share_is_stored_once_and_held_twice() {
    let fixture = Fixture::new();
    fixture.put("trusted", "one", "ann", (1, 3000), &[10, 11]);
    fixture.put("trusted", "two", "ben", (2, 4000), &[11, 12]);
    // Another namespace, and another door: neither is counted.
    let other = NewEntry { body: EntryBody::Value(noise(3, 5000)), ..value("") };
    fixture.store.put_entry(&address("b", "trusted", "test", "k"), other.clone(), PutIf::Always).unwrap();
    fixture.store.put_entry(&address("a", "trusted", "other", "k"), other, PutIf::Always).unwrap();

    let account = fixture.account(None, None);
    let sum = |entries, logical_bytes, stored_bytes| Sum { entries, logical_bytes, stored_bytes };
    assert_eq!(account.all, sum(2, 3000 + 4000 + 4 * 1000, 3000 + 4000 + 3 * 1000 + 5 * HEADER));
    assert_eq!(account.owners["ann"], sum(1, 5000, 5000 + 3 * HEADER));
    assert_eq!(account.owners["ben"], sum(1, 6000, 6000 + 3 * HEADER));
    assert!(account.excess.is_empty());
    assert_eq!(fixture.store.namespaces(&[DOOR]).unwrap(), [ns("a"), ns("b")]);
}

#[test]
fn a_value_of_many_chunks_is_counted_with_all_of_them() {
    let fixture = Fixture::new();
    let large = put(&fixture.store, "a", &noise(1, 5 << 20)).unwrap();
    let entry = NewEntry { body: EntryBody::Stored(large), ..value("") };
    fixture.store.put_entry(&address("a", "trusted", "test", "large"), entry, PutIf::Always).unwrap();
    let account = fixture.account(None, None);
    assert_eq!(account.all.logical_bytes, 5 << 20);
    assert!((5 << 20..6 << 20).contains(&account.all.stored_bytes), "{account:?}");
}

#[test]
fn the_least_recently_served_go_first_and_neither_a_check_nor_a_save_is_use() {
    let fixture = Fixture::new();
    for (seed, key) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        fixture.put("trusted", key, "ann", (seed, 3000), &[]);
    }
    fixture.serve("a", Access::Serve);
    fixture.serve("b", Access::Check);
    // Never served: `b`, `c` and `d` age from when they were written, and `a` was used after them.
    assert_eq!(fixture.trim(Some(4 * (3000 + HEADER)), None), ["a", "b", "c", "d"]);
    assert_eq!(fixture.trim(Some(3 * (3000 + HEADER)), None), ["a", "c", "d"]);
    assert_eq!(fixture.trim(Some(3 * (3000 + HEADER) - 1), None), ["a", "d"]);
    fixture.serve("d", Access::Serve);
    assert_eq!(fixture.trim(Some(3000 + HEADER), None), ["d"]);
}

#[test]
fn a_smaller_one_does_not_outlive_one_that_was_used_later() {
    let fixture = Fixture::new();
    fixture.put("trusted", "small", "ann", (1, 2000), &[]);
    fixture.put("trusted", "large", "ann", (2, 9000), &[]);
    fixture.put("trusted", "newest", "ann", (3, 5000), &[]);
    assert_eq!(fixture.trim(Some(10_000), None), ["newest"]);
}

#[test]
fn one_that_could_never_fit_goes_alone() {
    let fixture = Fixture::new();
    fixture.put("trusted", "old", "ann", (1, 3000), &[]);
    fixture.put("trusted", "huge", "ann", (2, 50_000), &[]);
    assert_eq!(fixture.trim(Some(10_000), None), ["old"]);
}

#[test]
fn a_writer_beyond_its_share_loses_its_own_entries_only() {
    let fixture = Fixture::new();
    fixture.put("trusted", "ours", "ann", (1, 3000), &[]);
    for (seed, key) in [(2, "flood-1"), (3, "flood-2"), (4, "flood-3")] {
        fixture.put("pr/7", key, "fork", (seed, 3000), &[]);
    }
    assert_eq!(fixture.trim(Some(3 * 3500), Some(2 * 3500)), ["flood-2", "flood-3", "ours"]);
}

#[test]
fn what_is_served_or_replaced_after_the_look_stays() {
    let fixture = Fixture::new();
    for (seed, key) in [(1, "served"), (2, "replaced"), (3, "idle")] {
        fixture.put("trusted", key, "ann", (seed, 3000), &[]);
    }
    let excess = fixture.account(Some(0), None).excess;
    assert_eq!(excess.len(), 3);
    fixture.serve("served", Access::Serve);
    fixture.put("trusted", "replaced", "ann", (9, 3000), &[]);
    assert_eq!(fixture.store.remove_unused(&excess).unwrap(), 1);
    assert_eq!(fixture.account(None, None).all.entries, 2);
    assert_eq!(fixture.store.remove_unused(&excess).unwrap(), 0);
}

#[test]
fn a_scope_is_unused_when_none_of_its_entries_was_written_or_served() {
    let fixture = Fixture::new();
    fixture.put("trusted", "k", "ann", (1, 100), &[]);
    for scope in ["pr/7", "pr/8", "ref/x"] {
        fixture.put(scope, "one", "fork", (2, 100), &[]);
        fixture.put(scope, "two", "fork", (3, 100), &[]);
    }
    fixture.clock.advance(Duration::from_secs(3600));
    let later = |by: u64| Timestamp::from_millis(1_700_000_000_000 + by * 1000);
    let unused = |before| {
        let unused = fixture.store.unused_scopes(&[DOOR], |scope| matches!(scope, Scope::Pr(_)), before).unwrap();
        unused.into_iter().map(|unused| (unused.scope.to_string(), unused.entries.len())).collect::<Vec<_>>()
    };
    assert_eq!(unused(later(3000)), [("pr/7".to_owned(), 2), ("pr/8".to_owned(), 2)]);
    assert_eq!(unused(later(0)), []);
    fixture.store.get_entry(&address("a", "pr/7", "test", "one"), Access::Serve).unwrap().unwrap();
    fixture.store.get_entry(&address("a", "pr/8", "test", "one"), Access::Check).unwrap().unwrap();
    assert_eq!(unused(later(3000)), [("pr/8".to_owned(), 2)]);
}

#[test]
fn removals_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(options(dir.path()), clock.clone()).unwrap();
    for key in ["a", "b"] {
        clock.advance(Duration::from_secs(1));
        store.put_entry(&address("a", "trusted", "test", key), value(key), PutIf::Always).unwrap();
    }
    let limits = AccountLimits { namespace: Some(HEADER + 1), owner: None };
    let account = store.account(&ns("a"), &[DOOR], limits).unwrap();
    assert_eq!(store.remove_unused(&account.excess).unwrap(), 1);
    // Without a checkpoint, as after a crash.
    drop(store);
    let store = Store::open(options(dir.path()), clock).unwrap();
    assert!(store.get_entry(&address("a", "trusted", "test", "a"), Access::Check).unwrap().is_none());
    assert!(store.get_entry(&address("a", "trusted", "test", "b"), Access::Check).unwrap().is_some());
}
