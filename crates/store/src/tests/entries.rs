use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Access, ContentHash, Digest, DoorName, EntryBody, EntryPrefix, ErrorKind, NewEntry, PutIf, PutOutcome,
};

use super::support::*;
use crate::Store;
use crate::rows::Rows;

fn stored(outcome: PutOutcome) -> larder_base::Entry {
    match outcome {
        PutOutcome::Stored(entry) => entry,
        other => panic!("not stored: {other:?}"),
    }
}

fn prefix(namespace: &str, scope: Option<&str>, door: Option<&'static str>, prefix: &str) -> EntryPrefix {
    EntryPrefix {
        namespace: ns(namespace),
        scope: scope.map(|scope| scope.parse().unwrap()),
        door: door.map(DoorName::new),
        prefix: prefix.into(),
    }
}

fn keys(store: &Store, prefix: &EntryPrefix) -> Vec<String> {
    let page = store.list_entries(prefix, None, 1000).unwrap();
    assert_eq!(page.next, None);
    page.entries.into_iter().map(|listed| listed.address.key.to_string()).collect()
}

#[test]
fn an_entry_comes_back_with_all_it_was_put_with() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let link = put(&store, "a", &noise(1, 5000)).unwrap().hash;
    let at = address("a", "ref/main", "test", "key");
    let new = NewEntry { attributes: BTreeMap::from([("type".into(), "x/y".into())]), ..linked("value", &[link]) };
    let put_entry = stored(store.put_entry(&at, new, PutIf::Absent).unwrap());
    let mut store = store;
    for reopen in [false, true] {
        if reopen {
            drop(store);
            store = open(dir.path());
        }
        let entry = store.get_entry(&at, Access::Check).unwrap().unwrap();
        assert_eq!(entry, put_entry);
        assert_eq!(entry.inline.as_deref(), Some(&b"value"[..]));
        assert_eq!(*entry.links, [link]);
        assert_eq!(entry.attributes["type"], "x/y");
        assert_eq!(get(&store, "a", &entry.blob.hash).unwrap(), b"value");
    }
}

#[test]
fn namespaces_scopes_and_doors_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let places = [
        address("a", "trusted", "one", "key"),
        address("b", "trusted", "one", "key"),
        address("a", "pr/1", "one", "key"),
        address("a", "trusted", "two", "key"),
    ];
    for (n, at) in places.iter().enumerate() {
        for other in &places[n..] {
            assert_eq!(store.get_entry(other, Access::Serve).unwrap(), None);
        }
        stored(store.put_entry(at, value(format!("{n}")), PutIf::Absent).unwrap());
    }
    for (n, at) in places.iter().enumerate() {
        assert_eq!(store.get_entry(at, Access::Serve).unwrap().unwrap().inline.unwrap(), format!("{n}"));
    }
    assert!(store.delete_entry(&places[0]).unwrap());
    assert!(!store.delete_entry(&places[0]).unwrap());
    assert_eq!(store.get_entry(&places[0], Access::Serve).unwrap(), None);
    assert!(store.get_entry(&places[1], Access::Serve).unwrap().is_some());
}

#[test]
fn an_entry_whose_value_or_links_are_not_here_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let elsewhere = put(&store, "b", &noise(2, 100)).unwrap();
    let never = ContentHash::of(b"never put");
    let at = address("a", "trusted", "test", "key");
    let outcome = store.put_entry(&at, linked("v", &[never, elsewhere.hash]), PutIf::Always).unwrap();
    assert_eq!(outcome, PutOutcome::Incomplete(vec![never, elsewhere.hash]));
    let new = NewEntry { body: EntryBody::Stored(elsewhere), ..value("") };
    let outcome = store.put_entry(&at, new, PutIf::Always).unwrap();
    assert_eq!(outcome, PutOutcome::Incomplete(vec![elsewhere.hash]));
    assert_eq!(store.get_entry(&at, Access::Check).unwrap(), None);
    assert_eq!(store.missing(&ns("a"), &[ContentHash::of(b"v")]).unwrap().len(), 1);
}

#[test]
fn an_entry_that_was_found_whole_is_a_miss_once_a_link_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let link = put(&store, "a", &noise(1, 5000)).unwrap().hash;
    let at = address("a", "trusted", "test", "key");
    stored(store.put_entry(&at, linked("value", &[link]), PutIf::Absent).unwrap());
    for _ in 0..3 {
        assert!(store.get_entry(&at, Access::Serve).unwrap().is_some());
    }
    let place = Rows::new(store.core()).blob(&link).unwrap().unwrap().place;
    assert!(store.core().heat.condemn(place.segment, place.ordinal));
    assert_eq!(store.get_entry(&at, Access::Serve).unwrap(), None);
}

#[test]
fn a_stored_value_of_another_size_is_not_present() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = put(&store, "a", &noise(2, 100)).unwrap();
    let new = NewEntry { body: EntryBody::Stored(Digest { size: 99, ..digest }), ..value("") };
    let outcome = store.put_entry(&address("a", "trusted", "test", "k"), new, PutIf::Always).unwrap();
    assert_eq!(outcome, PutOutcome::Incomplete(vec![digest.hash]));
}

#[test]
fn writes_prepared_before_their_names_were_known_and_after_are_of_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = address("a", "pr/7", "test", "k");
    let prepare = |content: &str, condition| store.entry_write(&at, value(content.to_owned()), condition).unwrap();
    let unknown = [prepare("1", PutIf::Absent), prepare("2", PutIf::Absent)].map(|(terms, op)| {
        let outcome = store.core().queue.call(terms, op).unwrap();
        matches!(outcome, PutOutcome::Stored(_))
    });
    assert_eq!(unknown, [true, false], "the second finds what the first wrote");
    assert!(store.get_entry(&at, Access::Check).unwrap().is_some());
    assert!(store.core().known_entry_key(&at).is_some());
    let (terms, op) = prepare("3", PutIf::Absent);
    let PutOutcome::Kept(Some(kept)) = store.core().queue.call(terms, op).unwrap() else { panic!("it was there") };
    assert_eq!(kept.inline.as_deref(), Some(&b"1"[..]));
    let (terms, op) = prepare("4", PutIf::Unchanged(kept.revision));
    stored(store.core().queue.call(terms, op).unwrap());
}

#[test]
fn conditions_hold_or_show_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = address("a", "trusted", "test", "key");
    let missing = store.put_entry(&at, value("0"), PutIf::Unchanged(7)).unwrap();
    assert_eq!(missing, PutOutcome::Kept(None));
    let first = stored(store.put_entry(&at, value("1"), PutIf::Absent).unwrap());
    let kept = store.put_entry(&at, value("2"), PutIf::Absent).unwrap();
    assert_eq!(kept, PutOutcome::Kept(Some(first.clone())));
    let second = stored(store.put_entry(&at, value("2"), PutIf::Unchanged(first.revision)).unwrap());
    assert_ne!(second.revision, first.revision);
    let kept = store.put_entry(&at, value("3"), PutIf::Unchanged(first.revision)).unwrap();
    assert_eq!(kept, PutOutcome::Kept(Some(second.clone())));
    let third = stored(store.put_entry(&at, value("1"), PutIf::Always).unwrap());
    assert!(third.revision > second.revision);
}

#[test]
fn of_racing_first_writes_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..20 {
        let at = address("a", "trusted", "test", &format!("race-{round}"));
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|n| {
                    let (store, at) = (&store, &at);
                    scope.spawn(move || store.put_entry(at, value(format!("{n}")), PutIf::Absent).unwrap())
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let won = outcomes.iter().filter(|outcome| matches!(outcome, PutOutcome::Stored(_))).count();
        assert_eq!(won, 1);
        let there = store.get_entry(&at, Access::Check).unwrap().unwrap();
        for outcome in outcomes {
            match outcome {
                PutOutcome::Stored(entry) | PutOutcome::Kept(Some(entry)) => assert_eq!(entry.revision, there.revision),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_listing_is_newest_first_and_takes_every_character_as_itself() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(options(dir.path()), clock.clone()).unwrap();
    let names = ["npm-%", "npm-_x", "npm-*", "npm-a", "npm-[a]", "npm-ä", "npm\\", "npm-%2"];
    for name in names {
        stored(store.put_entry(&address("a", "trusted", "test", name), value(name), PutIf::Absent).unwrap());
        clock.advance(Duration::from_secs(1));
    }
    let list = |start: &str| keys(&store, &prefix("a", Some("trusted"), Some("test"), start));
    assert_eq!(list("npm-%"), ["npm-%2", "npm-%"]);
    assert_eq!(list("npm-_"), ["npm-_x"]);
    assert_eq!(list("npm-*"), ["npm-*"]);
    assert_eq!(list("npm-["), ["npm-[a]"]);
    assert_eq!(list("npm-\u{e4}"), ["npm-ä"]);
    let mut all = names;
    all.reverse();
    assert_eq!(list(""), all);
    assert_eq!(list("npm"), all);
    // Rows that a checkpoint moved and rows that it did not list alike.
    store.checkpoint().unwrap();
    assert_eq!(list("npm"), all);
    stored(store.put_entry(&address("a", "trusted", "test", "npm-a"), value("new"), PutIf::Always).unwrap());
    assert_eq!(list("npm")[0], "npm-a");
    assert_eq!(list("npm").len(), all.len());
}

#[test]
fn a_listing_spans_scopes_and_doors_when_they_are_left_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (scope, door, key) in
        [("trusted", "one", "k1"), ("pr/1", "one", "k2"), ("trusted", "two", "k3"), ("pr/1", "two", "x")]
    {
        stored(store.put_entry(&address("a", scope, door, key), value("v"), PutIf::Absent).unwrap());
    }
    stored(store.put_entry(&address("b", "trusted", "one", "k4"), value("v"), PutIf::Absent).unwrap());
    assert_eq!(keys(&store, &prefix("a", None, None, "k")), ["k3", "k2", "k1"]);
    assert_eq!(keys(&store, &prefix("a", None, Some("one"), "k")), ["k2", "k1"]);
    assert_eq!(keys(&store, &prefix("a", Some("pr/1"), None, "")), ["x", "k2"]);
    assert_eq!(keys(&store, &prefix("a", Some("pr/2"), None, "")), Vec::<String>::new());
}

#[test]
fn pages_join_to_the_whole_listing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..25 {
        stored(
            store.put_entry(&address("a", "trusted", "test", &format!("k{n:02}")), value("v"), PutIf::Absent).unwrap(),
        );
    }
    let all = prefix("a", None, None, "");
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_entries(&all, after.as_deref(), 10).unwrap();
        assert!(page.entries.len() <= 10);
        assert!(page.entries.iter().all(|listed| listed.entry.inline.is_none() && listed.entry.links.is_empty()));
        seen.extend(page.entries.into_iter().map(|listed| listed.address.key.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).rev().map(|n| format!("k{n:02}")).collect::<Vec<_>>());
    assert_eq!(store.list_entries(&all, Some("nonsense"), 1).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn long_keys_that_differ_only_at_their_end_are_different() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let long = "ü".repeat(500);
    let ends = ["", "1", "2", "23"];
    for end in ends {
        let at = address("a", "trusted", "test", &format!("{long}{end}"));
        stored(store.put_entry(&at, value(format!("value {end}")), PutIf::Absent).unwrap());
    }
    for end in ends {
        let at = address("a", "trusted", "test", &format!("{long}{end}"));
        let entry = store.get_entry(&at, Access::Serve).unwrap().unwrap();
        assert_eq!(entry.inline.unwrap(), format!("value {end}"));
    }
    let found = keys(&store, &prefix("a", Some("trusted"), Some("test"), &format!("{long}2")));
    assert_eq!(found, [format!("{long}23"), format!("{long}2")]);
    assert_eq!(keys(&store, &prefix("a", None, None, "üü")).len(), 4);
}

#[test]
fn the_time_of_last_service_survives_a_checkpoint_and_a_check_is_not_a_service() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let at = address("a", "trusted", "test", "key");
    let served = {
        let store = Store::open(options(dir.path()), clock.clone()).unwrap();
        let put_entry = stored(store.put_entry(&at, value("v"), PutIf::Absent).unwrap());
        clock.advance(Duration::from_secs(100));
        store.get_entry(&at, Access::Check).unwrap().unwrap();
        let entry = store.get_entry(&at, Access::Serve).unwrap().unwrap();
        assert_eq!(entry.last_served, put_entry.created);
        let entry = store.get_entry(&at, Access::Check).unwrap().unwrap();
        assert_eq!(entry.last_served.since(entry.created), Duration::from_secs(100));
        store.checkpoint().unwrap();
        // The row itself was above LMDB at that checkpoint or in it: either way the time must arrive.
        store.checkpoint().unwrap();
        entry.last_served
    };
    let store = Store::open(options(dir.path()), clock).unwrap();
    assert_eq!(store.get_entry(&at, Access::Check).unwrap().unwrap().last_served, served);
}

#[test]
fn values_beyond_the_inline_limit_are_read_as_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content: Bytes = noise(9, 100_000);
    let at = address("a", "trusted", "test", "key");
    let entry = stored(store.put_entry(&at, value(content.clone()), PutIf::Absent).unwrap());
    assert_eq!(entry.inline, None);
    assert_eq!(get(&store, "a", &entry.blob.hash).unwrap(), content);
}

#[test]
fn limits_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = address("a", "trusted", "test", "key");
    let attributes = BTreeMap::from([("n".to_owned(), "v".repeat(5000))]);
    for new in [
        NewEntry { attributes, ..value("v") },
        NewEntry { writer: "w".repeat(300), ..value("v") },
        value(noise(1, (2 << 20) + 1)),
    ] {
        let error = store.put_entry(&at, new, PutIf::Always).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains("at most"), "{error}");
    }
}

#[test]
fn entries_are_counted_whether_a_checkpoint_has_them_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let counted = || {
        let status = store.status().unwrap();
        (status.entries, status.blobs)
    };
    let at = |key: &str| address("a", "trusted", "test", key);
    store.put_entry(&at("one"), value("first"), PutIf::Always).unwrap();
    assert_eq!(counted(), (1, 1));
    store.checkpoint().unwrap();
    assert_eq!(counted(), (1, 1));
    store.put_entry(&at("one"), value("second"), PutIf::Always).unwrap();
    store.put_entry(&at("two"), value("second"), PutIf::Always).unwrap();
    assert_eq!(counted(), (2, 2), "a row that is changed is one row");
    store.delete_entry(&at("one")).unwrap();
    assert_eq!(counted(), (1, 2));
    store.checkpoint().unwrap();
    assert_eq!(counted(), (1, 2));
}

#[test]
fn entries_are_counted_while_many_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = |number: u32| address("a", "trusted", "test", &number.to_string());
    for number in 0..1200 {
        store.put_entry(&at(number), value(number.to_string()), PutIf::Always).unwrap();
    }
    assert_eq!(store.status().unwrap().entries, 1200);
    store.core().checkpoint().unwrap();
    for number in 0..100 {
        store.delete_entry(&at(number)).unwrap();
    }
    assert_eq!(store.status().unwrap().entries, 1100);
    store.checkpoint().unwrap();
    assert_eq!(store.status().unwrap().entries, 1100);
}
