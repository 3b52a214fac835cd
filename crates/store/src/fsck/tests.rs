use std::path::Path;
use std::sync::Arc;

use larder_base::segment::SEGMENT_HEADER;

use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::files::segment_path;
use crate::log::AHEAD;
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

/// Where the records of a segment begin, and where the last one ends: zeros may lie behind it.
fn borders(bytes: &[u8]) -> Vec<usize> {
    let mut borders = vec![SEGMENT_HEADER.len()];
    loop {
        let at = *borders.last().unwrap();
        if !bytes[at..].starts_with(b"LREC") {
            return borders;
        }
        borders.push(at + 64 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize);
    }
}

fn end_of_records(bytes: &[u8]) -> usize {
    *borders(bytes).last().unwrap()
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

/// What is done to the last segment of the log.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// These bytes are zeros: sectors that did not reach the disk.
    Zeros {
        from: usize,
        to: usize,
    },
    /// The file ends here.
    Cut(usize),
    /// The log ends here, and zeros fill up the block, and so many bytes more.
    FilledUp(usize, usize),
    Flip(usize),
}

impl Harm {
    fn all(bytes: &[u8], first: usize) -> Vec<Self> {
        let borders = borders(bytes);
        let end = *borders.last().unwrap();
        let zeros = |size: usize| {
            (first / size..end.div_ceil(size))
                .map(move |n| Self::Zeros { from: first.max(n * size), to: bytes.len().min((n + 1) * size) })
        };
        let mut all: Vec<_> = zeros(512).chain(zeros(64)).collect();
        let borders = borders.into_iter().filter(|at| *at >= first);
        all.extend((first..end).step_by(7).chain(borders.clone()).map(Self::Cut));
        for ahead in [0, AHEAD / 2, AHEAD] {
            all.extend((first..end).step_by(67).chain(borders.clone()).map(|end| Self::FilledUp(end, ahead)));
        }
        all.extend((first..end).step_by(29).map(Self::Flip));
        all
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Zeros { from, to } => bytes[from..to].fill(0),
            Self::Cut(end) => bytes.truncate(end),
            Self::FilledUp(end, ahead) => {
                bytes.truncate(end);
                bytes.resize(end.next_multiple_of(4096) + ahead, 0);
            }
            Self::Flip(at) => bytes[at] ^= 0x40,
        }
    }
}

#[test]
fn a_check_and_the_next_opening_find_the_same_in_every_damaged_end_of_the_log() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let store =
        Store::open_on(Options { segment_len: 8192, ..options(dir.path()) }, Arc::new(disk.clone()), HandClock::new())
            .unwrap();
    for n in 0..8 {
        put(&store, "a", &noise(n, 1300)).unwrap();
    }
    store.checkpoint().unwrap();
    let last = store.core().active.read().as_ref().unwrap().0;
    let path = segment_path(last);
    let position = end_of_records(&disk.bytes(&path));
    assert!(last > 1 && position > SEGMENT_HEADER.len());
    upload(&store, 1, 50);
    for n in 100..103 {
        put(&store, "a", &noise(n, 150)).unwrap();
        store
            .put_entry(&address("a", "trusted", "test", &format!("{n}")), value("v"), larder_base::PutIf::Always)
            .unwrap();
    }
    assert_eq!(store.core().active.read().as_ref().unwrap().0, last);
    // One image for all rounds: the store makes a checkpoint by itself when it is idle for long.
    let (dir, disk) = after_kill(dir.path(), &disk, true);
    drop(store);
    let whole = disk.bytes(&path);
    let (mut torn, mut bad, mut neither) = (0, 0, 0);
    for (with_index, first) in [(true, position), (false, SEGMENT_HEADER.len())] {
        for harm in Harm::all(&whole, first) {
            let (copy, harmed) = after_kill(dir.path(), &disk, with_index);
            harmed.damage(&path, |bytes| harm.apply(bytes));
            let report = check_on(copy.path(), &harmed).unwrap();
            let opened = open_on(copy.path(), &harmed).recovery();
            let context = format!("{harm:?}, index: {with_index}, {report:?}, {opened:?}");
            assert_eq!(report.tail_bytes, opened.torn_bytes, "{context}");
            assert_eq!(report.bad_records, opened.damaged_records, "{context}");
            assert_eq!(report.is_sound(), opened.damaged_records == 0, "{context}");
            assert!(
                report.tail_bytes as usize <= end_of_records(&whole) - first,
                "zeros behind count as torn: {context}"
            );
            torn += u32::from(report.tail_bytes > 0);
            bad += u32::from(report.bad_records > 0);
            neither += u32::from(report.tail_bytes == 0 && report.is_sound());
            // What the opening made of it.
            let after = check_on(copy.path(), &harmed).unwrap();
            assert_eq!((after.tail_bytes, after.bad_records), (0, report.bad_records), "{context}, then {after:?}");
        }
    }
    assert!(torn > 100 && bad > 100 && neither > 10, "{torn} torn, {bad} damaged, {neither} neither");
}

#[test]
fn a_last_segment_that_never_got_its_first_bytes_is_sound() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    drop(open_on(dir.path(), &disk));
    for (with_index, length) in [(true, 0), (true, 9), (false, 0), (false, 15)] {
        let (copy, harmed) = after_kill(dir.path(), &disk, with_index);
        harmed.damage(&segment_path(1), |bytes| bytes.truncate(length));
        let report = check_on(copy.path(), &harmed).unwrap();
        assert!(report.is_sound() && report.tail_bytes == 0, "{report:?}");
        open_on(copy.path(), &harmed);
        assert_eq!(harmed.bytes(&segment_path(1)), SEGMENT_HEADER);
    }
}

#[test]
fn a_log_that_lost_what_the_index_has_taken_in_is_not_sound() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let store = open_on(dir.path(), &disk);
    store.put_entry(&address("a", "trusted", "test", "key"), value("v"), larder_base::PutIf::Always).unwrap();
    store.checkpoint().unwrap();
    let length = end_of_records(&disk.bytes(&segment_path(1)));
    for length in [0, SEGMENT_HEADER.len(), length - 1] {
        let (copy, harmed) = after_kill(dir.path(), &disk, true);
        harmed.damage(&segment_path(1), |bytes| bytes.truncate(length));
        let report = check_on(copy.path(), &harmed).unwrap();
        assert!(!report.is_sound() && report.tail_bytes == 0, "{report:?}");
        assert!(report.problems.iter().any(|problem| problem.contains("the index knows")), "{report:?}");
    }
}

#[test]
fn of_many_problems_all_are_counted_and_the_first_are_told() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let store = open_on(dir.path(), &disk);
    for n in 0..Report::PROBLEMS_MAX as u64 + 20 {
        put(&store, "a", &noise(n, 50)).unwrap();
    }
    store.checkpoint().unwrap();
    let (copy, harmed) = after_kill(dir.path(), &disk, true);
    harmed.damage(&segment_path(1), |bytes| bytes.truncate(SEGMENT_HEADER.len()));
    let report = check_on(copy.path(), &harmed).unwrap();
    assert_eq!((report.bad_records, report.dangling_rows), (1, Report::PROBLEMS_MAX as u64 + 20));
    assert_eq!(report.problems.len(), Report::PROBLEMS_MAX);
    let mut full = report.clone();
    full.problem(|| unreachable!("nobody will see this text"));
    assert_eq!(full, report);
}
