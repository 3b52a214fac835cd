use std::time::Duration;

use larder_base::{Access, ErrorKind, PutIf, PutOutcome};

use super::support::*;
use crate::Store;

#[test]
fn what_was_acknowledged_is_there_after_a_stop_without_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let blobs: Vec<_> = (0..200).map(|n| noise(n, 5000)).chain([noise(900, 6 << 20)]).collect();
    let at = address("a", "trusted", "test", "key");
    {
        let store = open(dir.path());
        for blob in &blobs {
            put(&store, "a", blob).unwrap();
        }
        assert!(matches!(store.put_entry(&at, value("v"), PutIf::Absent).unwrap(), PutOutcome::Stored(_)));
    }
    let store = open(dir.path());
    assert!(store.recovery().replayed_records > 0);
    for blob in &blobs {
        let hash = larder_base::ContentHash::of(blob);
        assert_eq!(get(&store, "a", &hash).unwrap(), *blob);
        assert_eq!(get(&store, "b", &hash), None);
    }
    let entry = store.get_entry(&at, Access::Serve).unwrap().unwrap();
    assert_eq!(entry.inline.unwrap(), "v");
}

#[test]
fn a_closed_store_has_nothing_to_replay() {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(1, 5000);
    {
        let store = open(dir.path());
        put(&store, "a", &content).unwrap();
        store.close().unwrap();
        assert_eq!(put(&store, "a", &noise(2, 10)).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let store = open(dir.path());
    assert!(store.recovery().clean);
    assert_eq!(store.recovery().replayed_records, 0);
    assert_eq!(get(&store, "a", &larder_base::ContentHash::of(&content)).unwrap(), content);
}

#[test]
fn a_second_opening_of_a_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = Store::open(options(dir.path()), HandClock::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(dir.path().to_str().unwrap()), "{error}");
    assert!(error.hint().is_some());
    drop(store);
    open(dir.path());
}

#[test]
fn a_directory_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("format"), "larder store 99\n").unwrap();
    let error = Store::open(options(dir.path()), HandClock::new()).unwrap_err();
    assert!(error.message().contains("larder store 99") && error.message().contains("larder store 1"), "{error}");
}

#[test]
fn writing_goes_on_after_many_reopenings() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    for round in 0..6_u64 {
        let store = Store::open(options(dir.path()), clock.clone()).unwrap();
        for n in 0..30 {
            put(&store, "a", &noise(round * 100 + n, 20_000)).unwrap();
        }
        for earlier in 0..=round {
            for n in 0..30 {
                let content = noise(earlier * 100 + n, 20_000);
                assert_eq!(get(&store, "a", &larder_base::ContentHash::of(&content)).unwrap(), content);
            }
        }
        if round % 2 == 0 {
            store.close().unwrap();
        }
        clock.advance(Duration::from_secs(60));
    }
}
