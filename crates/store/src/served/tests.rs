use std::sync::Arc;

use larder_base::{Access, PutIf, Timestamp};

use super::{NOTED_MAX, Served};
use crate::Store;
use crate::disk::faulty::FaultyDisk;
use crate::index::ROWS_A_COMMIT;
use crate::tests::support::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

#[test]
fn the_latest_time_counts_in_whatever_order_they_are_noted() {
    let mut served = Served::default();
    served.note(b"b".to_vec(), at(5));
    served.note(b"a".to_vec(), at(1));
    served.note(b"b".to_vec(), at(3));
    assert_eq!(served.get(b"b"), Some(at(5)));
    served.note(b"b".to_vec(), at(7));
    assert_eq!(served.take(), [(b"a".to_vec(), at(1)), (b"b".to_vec(), at(7))]);
    assert_eq!(served.len(), 0);
}

#[test]
fn no_more_are_noted_than_there_is_memory_for() {
    let mut served = Served::default();
    let key = |n: usize| n.to_be_bytes().to_vec();
    (0..NOTED_MAX + 100).for_each(|n| served.note(key(n), at(1)));
    assert_eq!(served.len(), NOTED_MAX);
    served.note(key(0), at(2));
    assert_eq!(served.get(&key(0)), Some(at(2)), "what is noted already is brought up to date");
    served.forget(&key(0));
    served.note(key(NOTED_MAX), at(3));
    assert_eq!(served.get(&key(NOTED_MAX)), Some(at(3)), "there is room again");
}

#[test]
fn times_are_written_in_transactions_of_bounded_size() {
    let (dir, disk, clock) = (tempfile::tempdir().unwrap(), FaultyDisk::default(), HandClock::new());
    let store = Store::open_on(options(dir.path()), Arc::new(disk.clone()), clock.clone()).unwrap();
    let keys: Vec<_> =
        (0..5 * ROWS_A_COMMIT).map(|n| address("a", "trusted", "test", &format!("key-{n:02}"))).collect();
    for key in &keys {
        store.put_entry(key, value("v"), PutIf::Always).unwrap();
    }
    store.checkpoint().unwrap();
    clock.advance(std::time::Duration::from_secs(60));
    let of_a_checkpoint = |count: usize| {
        for (n, key) in keys.iter().enumerate().take(count) {
            assert!(store.get_entry(key, Access::Serve).unwrap().is_some(), "{n}");
        }
        let before = disk.operations();
        store.checkpoint().unwrap();
        disk.operations() - before
    };
    let one = of_a_checkpoint(1);
    clock.advance(std::time::Duration::from_secs(60));
    let all = of_a_checkpoint(keys.len());
    assert_eq!(all - one, 4, "five transactions in place of one");
    let listed = store.get_entry(keys.last().unwrap(), Access::Check).unwrap().unwrap();
    assert_eq!(listed.last_served, larder_base::Clock::now(&*clock));
}
