use std::path::Path;
use std::sync::Arc;

use larder_base::segment::SEGMENT_HEADER;

use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::tests::crash::{part, upload_body};
use crate::tests::support::*;

fn open_on(dir: &Path, disk: &FaultyDisk) -> Store {
    Store::open_on(options(dir), Arc::new(disk.clone()), HandClock::new()).unwrap()
}

fn upload(store: &Store, number: u32, seed: u64) {
    let body = upload_body(&[noise(seed, 300), noise(seed + 1, 200)]);
    store.receive(&part(number), body.len() as u64, &mut [Ok(body)].into_iter()).unwrap();
    store.adopt(&ns("a"), &part(number)).unwrap().unwrap();
}

/// Where the record behind the last one begins: what is written past memory fills up its block with zeros.
fn end_of_records(bytes: &[u8]) -> usize {
    let mut at = SEGMENT_HEADER.len();
    while bytes[at..].starts_with(b"LREC") {
        at += 64 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    at
}

/// What a kill would leave of an open store: its disk, and a directory with its index as of the last checkpoint.
fn after_kill(dir: &Path, disk: &FaultyDisk, with_index: bool) -> (tempfile::TempDir, FaultyDisk) {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.join("format"), copy.path().join("format")).unwrap();
    if with_index {
        std::fs::create_dir(copy.path().join("index")).unwrap();
        std::fs::copy(dir.join("index/data.mdb"), copy.path().join("index/data.mdb")).unwrap();
    }
    (copy, disk.after_kill())
}

#[test]
fn a_torn_end_of_the_log_is_a_tail_though_an_adopted_segment_was_numbered_later() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let store = open_on(dir.path(), &disk);
    put(&store, "a", &noise(1, 500)).unwrap();
    upload(&store, 1, 10);
    for index_knows in [false, true] {
        if index_knows {
            store.checkpoint().unwrap();
        }
        let before = end_of_records(&disk.bytes(&segment_path(1)));
        put(&store, "a", &noise(2 + u64::from(index_knows), 500)).unwrap();
        let (copy, torn) = after_kill(dir.path(), &disk, true);
        let end = end_of_records(&torn.bytes(&segment_path(1))) - 30;
        torn.damage(&segment_path(1), |bytes| bytes.truncate(end));
        let report = check_on(copy.path(), &torn).unwrap();
        let found = (report.bad_records, report.tail_bytes);
        assert_eq!(found, (0, (end - before) as u64), "{:?}", report.problems);
        assert!(report.is_sound());
        assert_eq!(open_on(copy.path(), &torn).recovery().torn_bytes, report.tail_bytes);
    }
}

#[test]
fn an_adopted_segment_that_lost_its_trailer_is_not_taken_for_the_end_of_the_log() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let store = open_on(dir.path(), &disk);
    put(&store, "a", &noise(1, 500)).unwrap();
    upload(&store, 1, 10);
    store.checkpoint().unwrap();
    let (copy, damaged) = after_kill(dir.path(), &disk, true);
    damaged.damage(&segment_path(2), |bytes| bytes.truncate(bytes.len() - 1));
    let report = check_on(copy.path(), &damaged).unwrap();
    assert_eq!((report.bad_records, report.tail_bytes), (1, 0), "{:?}", report.problems);
}
