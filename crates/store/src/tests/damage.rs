//! Bytes at rest that are not what they were.

use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{Access, ContentHash, PutIf};

use super::support::*;
use crate::disk::Disk;
use crate::disk::faulty::FaultyDisk;
use crate::files::segment_path;
use crate::log::AHEAD;
use crate::scan::read_trailer;
use crate::{Options, Store, fsck};

fn open_on(dir: &std::path::Path, disk: &FaultyDisk) -> Store {
    let options = Options { segment_len: 8000, ..options(dir) };
    Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap()
}

struct Filled {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    contents: Vec<Bytes>,
}

/// A store with a few segments, closed.
fn filled(clean: bool) -> Filled {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    let contents: Vec<Bytes> = (0..12).map(|n| noise(n, 900)).collect();
    for content in &contents {
        put(&store, "a", content).unwrap();
    }
    for n in 0..4 {
        store
            .put_entry(&address("a", "trusted", "test", &format!("key-{n}")), value(format!("{n}")), PutIf::Always)
            .unwrap();
    }
    if clean {
        store.close().unwrap();
    }
    Filled { dir, disk, contents }
}

/// How many blobs and entries are gone; what is there is right.
fn lost(store: &Store, contents: &[Bytes], context: &str) -> usize {
    let mut lost = 0;
    for content in contents {
        match get(store, "a", &ContentHash::of(content)) {
            Some(found) => assert!(found == *content, "{context}: wrong bytes"),
            None => lost += 1,
        }
    }
    for n in 0..4 {
        match store.get_entry(&address("a", "trusted", "test", &format!("key-{n}")), Access::Check).unwrap() {
            Some(entry) => assert_eq!(entry.inline.unwrap(), format!("{n}"), "{context}"),
            None => lost += 1,
        }
    }
    lost
}

#[test]
fn a_flipped_byte_anywhere_harms_at_most_what_it_lies_in() {
    let filled = filled(true);
    let store = open_on(filled.dir.path(), &filled.disk);
    let segments: Vec<u32> = store.core().heat.ids();
    assert_eq!(lost(&store, &filled.contents, "undamaged"), 0);
    drop(store);
    assert!(segments.len() >= 2);
    for id in segments {
        let path = segment_path(id);
        for at in (0..filled.disk.bytes(&path).len()).step_by(37) {
            let context = format!("byte {at} of segment {id}");
            let disk = filled.disk.after_kill();
            disk.damage(&path, |bytes| bytes[at] ^= 0x40);
            // A fresh index directory would hide what the index knows; each round works on a copy of it.
            let dir = copy_of(filled.dir.path());
            let store = open_on(dir.path(), &disk);
            let gone = lost(&store, &filled.contents, &context);
            assert!(gone <= 1, "{context}: {gone} are gone");
            let damaged = store.status().unwrap().quarantined;
            assert!(damaged <= 1);
            // What was set aside can be put again.
            for content in &filled.contents {
                put(&store, "a", content).unwrap();
                assert_eq!(get(&store, "a", &ContentHash::of(content)).unwrap(), *content, "{context}");
            }
        }
    }
}

pub(crate) fn copy_of(dir: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.join("format"), copy.path().join("format")).unwrap();
    std::fs::create_dir(copy.path().join("index")).unwrap();
    std::fs::copy(dir.join("index/data.mdb"), copy.path().join("index/data.mdb")).unwrap();
    copy
}

#[test]
fn a_flipped_byte_is_survived_without_the_index_too() {
    let filled = filled(true);
    let segments = {
        let store = open_on(filled.dir.path(), &filled.disk);
        store.core().heat.ids()
    };
    let (mut rounds, mut harmed) = (0, 0);
    for id in segments {
        let path = segment_path(id);
        for at in (0..filled.disk.bytes(&path).len()).step_by(53) {
            let context = format!("byte {at} of segment {id}");
            let disk = filled.disk.after_kill();
            disk.damage(&path, |bytes| bytes[at] ^= 0x01);
            let dir = tempfile::tempdir().unwrap();
            let store = open_on(dir.path(), &disk);
            let gone = lost(&store, &filled.contents, &context);
            rounds += 1;
            // A damaged grant takes the blobs it names with it; in the last, unsealed segment a damaged length hides the rest.
            harmed += usize::from(gone > 2);
            put(&store, "a", &noise(77, 500)).unwrap();
        }
    }
    assert!(harmed * 20 < rounds, "in {harmed} of {rounds} rounds more was lost than what was damaged");
}

#[test]
fn a_truncated_segment_loses_its_tail_and_nothing_else() {
    let filled = filled(true);
    let path = segment_path(1);
    let length = filled.disk.bytes(&path).len();
    let mut last = usize::MAX;
    for keep in (0..length).step_by(400) {
        let disk = filled.disk.after_kill();
        disk.damage(&path, |bytes| bytes.truncate(keep));
        let dir = copy_of(filled.dir.path());
        let store = open_on(dir.path(), &disk);
        let gone = lost(&store, &filled.contents, &format!("cut at {keep}"));
        assert!(gone <= last, "keeping more must not lose more");
        assert!(gone < filled.contents.len());
        last = gone;
        for content in &filled.contents {
            put(&store, "a", content).unwrap();
        }
        assert_eq!(lost(&store, &filled.contents, "put again").min(4), lost(&store, &[], "entries"));
    }
}

#[test]
fn a_lost_segment_is_absent_and_the_rest_is_there() {
    let filled = filled(true);
    filled.disk.remove(&segment_path(1)).unwrap();
    let store = open_on(filled.dir.path(), &filled.disk);
    assert_eq!(store.recovery().lost_segments, 1);
    let gone = lost(&store, &filled.contents, "without segment 1");
    assert!(gone > 0 && gone < filled.contents.len());
}

#[test]
fn what_lies_behind_a_place_that_nothing_can_step_over_is_not_cut_off() {
    let filled = filled(true);
    let path = segment_path(1);
    let file = filled.disk.open(&path).unwrap();
    let (offset, trailer) = read_trailer(&*file, file.size().unwrap()).unwrap().unwrap();
    let middle = trailer.placed().nth(trailer.lines.len() / 2).unwrap().1 as usize;
    filled.disk.damage(&path, |bytes| {
        // Without the table and without its length, no record behind it can be found.
        bytes.truncate(offset as usize);
        bytes[middle..middle + 12].fill(0xff);
    });
    let damaged = filled.disk.bytes(&path);
    std::fs::remove_dir_all(filled.dir.path().join("index")).unwrap();
    let store = open_on(filled.dir.path(), &filled.disk);
    assert_eq!(store.recovery().torn_bytes, 0, "the log went on behind it, so no crash tore it");
    assert!(store.recovery().damaged_records > 0);
    assert_eq!(filled.disk.bytes(&path), damaged);
    let gone = lost(&store, &filled.contents, "behind a damaged header");
    assert!(gone > 0 && gone < filled.contents.len());
}

#[test]
fn the_index_made_anew_says_the_same() {
    for clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut contents = vec![noise(100, 5 << 20), noise(101, 2_500_000)];
        contents.extend((0..300).map(|n| noise(n, 2000)));
        let before = {
            let store = open(dir.path());
            for content in &contents {
                put(&store, "a", content).unwrap();
            }
            put(&store, "b", &contents[5]).unwrap();
            for (n, content) in contents.iter().enumerate().take(20) {
                let at = address("a", "pr/3", "test", &format!("key-{n}"));
                store.put_entry(&at, linked(format!("{n}"), &[ContentHash::of(content)]), PutIf::Always).unwrap();
                if n % 3 == 0 {
                    store.put_entry(&at, value("replaced"), PutIf::Always).unwrap();
                }
                if n % 5 == 0 {
                    store.delete_entry(&at).unwrap();
                }
            }
            let listed = list_all(&store);
            if clean {
                store.close().unwrap();
            }
            listed
        };
        assert_eq!(before.len(), 16);
        fsck::rebuild(options(dir.path()), HandClock::new()).unwrap();
        let report = fsck::check(dir.path()).unwrap();
        assert!(report.is_sound(), "{report:?}");
        assert!(report.records > 300);
        let store = open(dir.path());
        assert_eq!(list_all(&store), before);
        for (n, content) in contents.iter().enumerate() {
            let hash = ContentHash::of(content);
            assert_eq!(get(&store, "a", &hash).unwrap(), *content);
            assert_eq!(get(&store, "b", &hash).is_some(), n == 5);
        }
    }
}

fn list_all(store: &Store) -> Vec<larder_base::Listed> {
    let all = larder_base::EntryPrefix { namespace: ns("a"), scope: None, door: None, prefix: String::new() };
    store.list_entries(&all, None, 1000).unwrap().entries
}

#[test]
fn a_check_names_what_is_damaged_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = noise(1, 5000);
    put(&store, "a", &noise(2, 5000)).unwrap();
    put(&store, "a", &content).unwrap();
    assert!(fsck::check(dir.path()).is_err(), "a store in use is not checked");
    store.close().unwrap();
    drop(store);
    assert!(fsck::check(dir.path()).unwrap().is_sound());
    let path = dir.path().join(segment_path(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(16).position(|window| window == &content[100..116]).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let report = fsck::check(dir.path()).unwrap();
    assert_eq!((report.bad_records, report.dangling_rows), (1, 1), "{report:?}");
    assert!(report.problems.iter().any(|problem| problem.contains("offset")), "{report:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert!(fsck::check(tempfile::tempdir().unwrap().path()).is_err());
}

#[test]
fn the_scrub_sets_aside_what_nobody_has_read() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk);
    let contents: Vec<Bytes> = (0..30).map(|n| noise(n, 900)).collect();
    for content in &contents {
        put(&store, "a", content).unwrap();
    }
    let scrub = |store: &Store| {
        let mut bad = 0;
        for _ in 0..100 {
            let step = store.scrub_step(5000).unwrap();
            assert!(step.bytes < 12_000, "a step reads about its budget, not {}", step.bytes);
            bad += step.bad;
            if step.wrapped {
                return bad;
            }
        }
        panic!("the scrub never came to the end");
    };
    assert_eq!(scrub(&store), 0);
    let wanted = &contents[4][100..116];
    disk.damage(&segment_path(1), |bytes| {
        let at = bytes.windows(16).position(|window| window == wanted).unwrap();
        bytes[at] ^= 1;
    });
    assert_eq!(scrub(&store), 1);
    // The setting aside is queued behind nothing: one more write, and it is done.
    put(&store, "a", &noise(99, 10)).unwrap();
    assert_eq!(store.status().unwrap().quarantined, 1);
    let hash = ContentHash::of(&contents[4]);
    assert_eq!(store.missing(&ns("a"), &[hash]).unwrap(), [hash]);
    assert_eq!(lost(&store, &contents, "after the scrub"), 1 + 4);
    put(&store, "a", &contents[4]).unwrap();
    assert_eq!(get(&store, "a", &hash).unwrap(), contents[4]);
}

#[test]
fn a_check_takes_the_zeros_behind_the_log_for_nothing_and_a_torn_group_before_them_for_a_tail() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(options(dir.path()), HandClock::new()).unwrap();
    // Before the write, as what the index has taken in cannot be torn.
    store.checkpoint().unwrap();
    put(&store, "a", &noise(1, 500)).unwrap();
    // As a kill at this moment would leave it.
    for name in ["format", "index/data.mdb", &segment_path(1)] {
        let to = copy.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(dir.path().join(name), to).unwrap();
    }
    let segment = copy.path().join(segment_path(1));
    let bytes = std::fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for length in [bytes.len(), 4096, 4096 + AHEAD] {
        let mut filled_up = bytes[..end].to_vec();
        filled_up.resize(length, 0);
        std::fs::write(&segment, filled_up).unwrap();
        let report = fsck::check(copy.path()).unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!(report.tail_bytes, 0);
        // The chunk, its grant and the commit.
        assert_eq!(report.records, 3);
    }
    let commit = bytes.windows(4).rposition(|magic| magic == b"LREC").unwrap();
    // Of the commit nothing, or a part; what was there of the group is the tail.
    for kept in [commit, end - 30] {
        for length in [4096, 4096 + AHEAD] {
            let mut torn = bytes[..kept].to_vec();
            torn.resize(length, 0);
            let last = torn.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            std::fs::write(&segment, torn).unwrap();
            let tail = fsck::check(copy.path()).unwrap().tail_bytes as usize;
            assert_eq!(tail, last.max(commit) - SEGMENT_HEADER.len());
        }
    }
}

#[test]
fn a_log_that_lost_what_the_index_has_goes_on_in_a_new_segment() {
    for kept in [0, 16, 700, 1] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let store = open_on(dir.path(), &disk);
        let contents: Vec<Bytes> = (0..3).map(|seed| noise(seed, 500)).collect();
        for content in &contents {
            put(&store, "a", content).unwrap();
        }
        store.close().unwrap();
        drop(store);
        // What a disk does that says it wrote what it had not: 1 stands for all but the last byte.
        let path = segment_path(1);
        disk.damage(&path, |bytes| bytes.truncate(if kept == 1 { bytes.len() - 1 } else { kept }));
        for opening in 0..2 {
            let store = open_on(dir.path(), &disk);
            assert_eq!(store.recovery().damaged_records, u64::from(opening == 0), "{kept} bytes");
            put(&store, "a", &noise(10 + opening, 500)).unwrap();
            assert!(store.status().unwrap().poisoned.is_none());
            for content in &contents {
                let found = get(&store, "a", &ContentHash::of(content));
                assert!(found.is_none_or(|found| found == *content), "{kept} bytes");
            }
            store.checkpoint().unwrap();
        }
        let store = open_on(dir.path(), &disk);
        for content in &contents {
            // Whoever reads what is lost finds that out, and then it is taken again.
            get(&store, "a", &ContentHash::of(content));
            put(&store, "a", content).unwrap();
            assert_eq!(get(&store, "a", &ContentHash::of(content)).unwrap(), *content);
        }
    }
}

#[test]
fn a_log_of_which_the_disk_kept_only_the_zeros_goes_on_in_a_new_segment() {
    // The last group, all of them, and more zeros behind them than a log has.
    for (kept, behind) in [(1400, AHEAD), (16, AHEAD), (700, 10 * AHEAD), (0, 10)] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let store = open_on(dir.path(), &disk);
        for seed in 0..3 {
            put(&store, "a", &noise(seed, 500)).unwrap();
        }
        store.close().unwrap();
        drop(store);
        disk.damage(&segment_path(1), |bytes| {
            bytes[kept..].fill(0);
            bytes.resize(bytes.len() + behind, 0);
        });
        for opening in 0..2 {
            let store = open_on(dir.path(), &disk);
            assert_eq!(store.recovery().damaged_records, u64::from(opening == 0), "{kept} bytes");
            put(&store, "a", &noise(10 + opening, 500)).unwrap();
            store.checkpoint().unwrap();
        }
        if kept == SEGMENT_HEADER.len() {
            let report = fsck::check_on(dir.path(), &disk).unwrap();
            assert_eq!(report.bad_records, 0, "what is lost is told by the index: {:?}", report.problems);
        }
        // Nothing that was put behind the hole depends on the index.
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        let store = open_on(dir.path(), &disk);
        for seed in 10..12 {
            assert_eq!(get(&store, "a", &ContentHash::of(&noise(seed, 500))).unwrap(), noise(seed, 500));
        }
    }
}
