use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_base::{Access, ByteRange, Clock, ContentHash, ErrorKind, PutIf, PutOutcome, Timestamp};
use parking_lot::Mutex;

use super::support::*;
use crate::disk::Disk as _;
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::{Options, Store};

const RETENTION: Duration = Duration::from_secs(3600);
/// After this nothing is promised any more.
const LONG: Duration = Duration::from_secs(2 * 3600);

fn tight(dir: &std::path::Path, quota: u64) -> Options {
    Options { quota, retention: RETENTION, segment_len: 128 << 10, ..options(dir) }
}

fn evict_all(store: &Store) -> crate::Evicted {
    let mut all = crate::Evicted::default();
    loop {
        let step = store.evict_step().unwrap();
        if step.segments == 0 {
            return all;
        }
        all.segments += step.segments;
        all.blobs += step.blobs;
        all.entries += step.entries;
        all.kept += step.kept;
        all.bytes += step.bytes;
    }
}

#[test]
fn nothing_promised_is_dropped_and_the_quota_is_kept() {
    const QUOTA: u64 = 3 << 20;
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let disk = FaultyDisk::default();
        let open = |disk: &FaultyDisk| Store::open_on(tight(dir.path(), QUOTA), Arc::new(disk.clone()), clock.clone());
        let mut store = open(&disk).unwrap();
        let mut dice = Dice(seed);
        let mut promised: BTreeMap<ContentHash, (Bytes, Timestamp)> = BTreeMap::new();
        let (mut refused, mut evicted) = (0, 0);
        for n in 0..700_u64 {
            match dice.roll(100) {
                0..70 => {
                    let content = noise(seed << 32 | n, 1000 + dice.roll(30_000) as usize);
                    match put(&store, "a", &content) {
                        Ok(digest) => drop(promised.insert(digest.hash, (content, clock.now()))),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Full);
                            refused += 1;
                            clock.advance(RETENTION / 4);
                        }
                    }
                }
                70..80 => evicted += store.evict_step().unwrap().segments,
                80..98 if !promised.is_empty() => {
                    let at = dice.roll(promised.len() as u64) as usize;
                    let (hash, (content, time)) = promised.iter_mut().nth(at).unwrap();
                    let found = if dice.roll(2) == 0 {
                        get(&store, "a", hash).inspect(|found| assert_eq!(found, content)).is_some()
                    } else {
                        store.missing(&ns("a"), &[*hash]).unwrap().is_empty()
                    };
                    assert!(
                        found || clock.now().since(*time) >= RETENTION,
                        "seed {seed}, step {n}: a promise was broken"
                    );
                    if found {
                        *time = clock.now();
                    }
                }
                98 => {
                    // A restart, clean or not, keeps promises.
                    if dice.roll(2) == 0 {
                        store.close().unwrap();
                    }
                    drop(store);
                    store = open(&disk).unwrap();
                }
                _ => clock.advance(RETENTION / 10),
            }
            let status = store.status().unwrap();
            assert!(status.bytes <= QUOTA + (128 << 10), "{} bytes of {QUOTA}", status.bytes);
        }
        for (hash, (content, time)) in &promised {
            match get(&store, "a", hash) {
                Some(found) => assert_eq!(found, *content),
                None => assert!(clock.now().since(*time) >= RETENTION, "seed {seed}: a promise was broken"),
            }
        }
        assert!(evicted > 0, "the test must have evicted something");
        assert!(refused < 300, "{refused} of 700 steps were refused");
    }
}

#[test]
fn when_all_is_promised_writes_are_refused_until_time_passes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(tight(dir.path(), 2 << 20), clock.clone()).unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let content = noise(stored.len() as u64, 50_000);
        match put(&store, "a", &content) {
            Ok(digest) => stored.push(digest.hash),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "the quota was never reached");
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.message().contains("quota") && error.hint().is_some(), "{error}");
    assert!(store.missing(&ns("a"), &stored).unwrap().is_empty());
    clock.advance(LONG);
    put(&store, "a", &noise(999, 50_000)).unwrap();
    let gone = store.missing(&ns("a"), &stored).unwrap();
    assert!(!gone.is_empty() && gone.len() < stored.len(), "only as much as needed goes, not {}", gone.len());
    assert_eq!(gone[0], stored[0], "the oldest goes first");
}

#[test]
fn the_end_of_the_log_is_never_evicted_not_even_while_it_moves_on() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let disk = FaultyDisk::default();
    let open = || Store::open_on(tight(dir.path(), 8 << 20), Arc::new(disk.clone()), clock.clone()).unwrap();
    for round in 0..2 {
        let store = open();
        let core = Arc::downgrade(store.core());
        let evictable = Arc::new(AtomicU64::new(0));
        let looks = Arc::new(Mutex::new(BTreeSet::new()));
        {
            let (evictable, looks) = (Arc::clone(&evictable), Arc::clone(&looks));
            disk.watch(move || {
                let Some(core) = core.upgrade() else { return };
                // There are no adopted segments, so the newest is the end of the log, also before anyone is told.
                let newest = core.heat.ids().last().copied().unwrap();
                looks.lock().insert((newest, core.active.read().as_ref().map(|(id, _)| *id)));
                if core.heat.freeze(newest, core.now()) {
                    core.heat.thaw(newest);
                    evictable.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for n in 0..12 {
            put(&store, "a", &noise(round << 8 | n, 50_000)).unwrap();
        }
        assert_eq!(evictable.load(Ordering::SeqCst), 0, "round {round}");
        let between = looks.lock().iter().filter(|(newest, active)| Some(*newest) != *active).count();
        assert!(between > 2, "the log moved on while the test looked: {between}");
        // What was sealed is as evictable as ever.
        clock.advance(LONG);
        store.set_quota(300 << 10);
        assert!(evict_all(&store).segments > 1);
        drop(store);
    }
}

#[test]
fn a_lower_quota_takes_effect_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(tight(dir.path(), 8 << 20), clock.clone()).unwrap();
    for n in 0..100 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    clock.advance(LONG);
    assert_eq!(evict_all(&store).segments, 0, "below the high water nothing goes");
    store.set_quota(3 << 20);
    let evicted = evict_all(&store);
    assert!(evicted.blobs > 30, "{evicted:?}");
    assert!(store.status().unwrap().bytes <= (3 << 20) / 10 * 9);
    assert!(put(&store, "a", &noise(1000, 50_000)).is_ok());
}

#[test]
fn what_is_in_use_is_written_again_with_all_who_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let disk = FaultyDisk::default();
    let open =
        |disk: &FaultyDisk| Store::open_on(tight(dir.path(), 64 << 20), Arc::new(disk.clone()), clock.clone()).unwrap();
    let store = open(&disk);
    let shared = noise(1, 40_000);
    let large = noise(2, 3 << 20);
    let at = address("a", "trusted", "test", "kept");
    put(&store, "a", &shared).unwrap();
    put(&store, "b", &shared).unwrap();
    put(&store, "a", &large).unwrap();
    let entry = store.put_entry(&at, linked("v", &[ContentHash::of(&shared)]), PutIf::Absent).unwrap();
    let PutOutcome::Stored(entry) = entry else { panic!("{entry:?}") };
    let gone = address("a", "trusted", "test", "gone");
    store.put_entry(&gone, value("old"), PutIf::Absent).unwrap();
    for n in 10..60 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    clock.advance(LONG);
    assert!(store.get_entry(&at, Access::Serve).unwrap().is_some());
    assert!(get(&store, "a", &ContentHash::of(&large)).is_some());
    store.set_quota(5 << 20);
    let evicted = evict_all(&store);
    assert!(evicted.kept >= 3 && evicted.blobs > 10, "{evicted:?}");
    let check = |store: &Store, context: &str| {
        assert_eq!(get(store, "a", &ContentHash::of(&large)).unwrap(), large, "{context}");
        assert_eq!(get(store, "b", &ContentHash::of(&shared)).unwrap(), shared, "{context}");
        assert_eq!(get(store, "b", &ContentHash::of(&large)), None, "{context}");
        let found = store.get_entry(&at, Access::Check).unwrap().unwrap();
        assert_eq!((found.revision, found.inline), (entry.revision, entry.inline.clone()), "{context}");
        assert_eq!(store.get_entry(&gone, Access::Check).unwrap(), None, "{context}");
    };
    check(&store, "at once");
    drop(store);
    let store = open(&disk);
    check(&store, "opened again");
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = open(&disk);
    check(&store, "index made anew");
}

#[test]
fn of_a_segment_full_of_entries_each_is_dropped_or_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let options = Options { segment_len: 4 << 20, ..tight(dir.path(), 64 << 20) };
    let store = Store::open(options, clock.clone()).unwrap();
    // In more than one operation of the committer, of either kind: those that are kept have 1.5 MiB of links.
    let links: Vec<_> = (0..800).map(|n| put(&store, "a", &noise(n, 10)).unwrap().hash).collect();
    let used = |n: u64| n < 60;
    let at = |n: u64| address("a", "trusted", "test", &format!("key {n}"));
    for n in 0..600 {
        let entry = if used(n) { linked("used", &links) } else { value("not used") };
        store.put_entry(&at(n), entry, PutIf::Absent).unwrap();
    }
    for n in 1000..1100 {
        put(&store, "a", &noise(n, 100_000)).unwrap();
    }
    clock.advance(LONG);
    for n in (0..600).filter(|n| used(*n)) {
        assert!(store.get_entry(&at(n), Access::Serve).unwrap().is_some());
    }
    store.set_quota(6 << 20);
    let evicted = evict_all(&store);
    assert_eq!(evicted.entries, 540, "{evicted:?}");
    for n in 0..600 {
        let found = store.get_entry(&at(n), Access::Check).unwrap();
        assert_eq!(found.map(|entry| entry.links.len()), used(n).then_some(links.len()), "{n}");
    }
    // Not where they were, which is gone; some were moved twice.
    assert!(evicted.kept >= 60 + links.len() as u64, "{evicted:?}");
}

#[test]
fn an_entry_that_is_looked_up_again_and_again_promises_its_links_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(tight(dir.path(), 64 << 20), clock.clone()).unwrap();
    let at = address("a", "trusted", "test", "key");
    let contents: Vec<_> = (0..3).map(|n| noise(n, 40_000)).collect();
    let links: Vec<_> = contents.iter().map(|content| put(&store, "a", content).unwrap().hash).collect();
    store.put_entry(&at, linked("v", &links), PutIf::Absent).unwrap();
    let neighbour = address("a", "trusted", "test", "neighbour");
    store.put_entry(&neighbour, value("w"), PutIf::Absent).unwrap();
    for n in 10..60 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    clock.advance(LONG);
    // The second of these finds all marks made, and the third what the second found.
    for _ in 0..3 {
        assert_eq!(store.get_entry(&at, Access::Serve).unwrap().unwrap().links[..], links);
    }
    clock.advance(RETENTION / 2);
    // This makes the mark of the segment in which both lie: none is due for the entry itself.
    assert!(store.get_entry(&neighbour, Access::Serve).unwrap().is_some());
    assert!(store.get_entry(&at, Access::Serve).unwrap().is_some());
    // What was promised first is over by now, what was promised last is not.
    clock.advance(RETENTION - Duration::from_secs(1));
    store.set_quota(1 << 20);
    assert!(evict_all(&store).blobs > 10);
    for (link, content) in links.iter().zip(&contents) {
        assert_eq!(get(&store, "a", link).as_deref(), Some(&content[..]));
    }
    assert!(store.get_entry(&at, Access::Check).unwrap().is_some());
}

#[test]
fn an_evicted_value_does_not_come_back_when_the_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(tight(dir.path(), 64 << 20), clock.clone()).unwrap();
    let at = address("a", "trusted", "test", "key");
    // The first value lies in a segment that a reader holds, the second in one that goes.
    let large = noise(1, 3 << 20);
    put(&store, "a", &large).unwrap();
    store.put_entry(&at, value("first"), PutIf::Always).unwrap();
    for n in 10..20 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    store.put_entry(&at, value("second"), PutIf::Always).unwrap();
    for n in 20..60 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    let reader = store.get(&ns("a"), &ContentHash::of(&large), ByteRange::ALL).unwrap().unwrap();
    clock.advance(LONG);
    store.set_quota(2 << 20);
    evict_all(&store);
    assert_eq!(store.get_entry(&at, Access::Check).unwrap(), None);
    drop(reader);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = Store::open(tight(dir.path(), 64 << 20), clock).unwrap();
    assert_eq!(store.get_entry(&at, Access::Check).unwrap(), None);
}

#[test]
fn a_slow_reader_reads_to_the_end_whatever_is_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(tight(dir.path(), 64 << 20), clock.clone()).unwrap();
    let large = noise(1, 5 << 20);
    let digest = put(&store, "a", &large).unwrap();
    let mut reader = store.get(&ns("a"), &digest.hash, ByteRange::ALL).unwrap().unwrap();
    let mut read = reader.next().unwrap().unwrap().to_vec();
    clock.advance(LONG);
    for n in 0..50 {
        put(&store, "a", &noise(100 + n, 50_000)).unwrap();
    }
    clock.advance(LONG);
    store.set_quota(1 << 20);
    evict_all(&store);
    for piece in reader {
        read.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(read, large);
    evict_all(&store);
    assert_eq!(get(&store, "a", &digest.hash), None, "without its reader it goes");
}

#[test]
fn what_was_located_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = Store::open(tight(dir.path(), 64 << 20), clock.clone()).unwrap();
    let wanted = noise(1, 50_000);
    let digest = put(&store, "a", &wanted).unwrap();
    for n in 10..60 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    clock.advance(LONG);
    let located = store.locate(&ns("a"), &[digest.hash]).unwrap()[0];
    store.set_quota(1 << 20);
    evict_all(&store);
    assert_eq!(store.locate(&ns("a"), &[digest.hash]).unwrap()[0], located);
    // Also when the promise was made before a crash.
    drop(store);
    let store = Store::open(tight(dir.path(), 1 << 20), clock.clone()).unwrap();
    clock.advance(RETENTION / 2);
    evict_all(&store);
    let range = ByteRange { offset: located.offset, length: Some(located.length) };
    let bytes: Vec<u8> =
        store.read_segment(located.segment, range).unwrap().unwrap().flat_map(Result::unwrap).collect();
    assert_eq!(bytes.len() as u64, located.length);
    clock.advance(LONG);
    store.set_quota(1 << 19);
    evict_all(&store);
    assert!(store.read_segment(located.segment, range).unwrap().is_none());
}

/// Evicts with a fault at the `k`th changing operation; returns whether the fault had its turn.
fn evict_with_fault(k: u64, fault: Fault) -> bool {
    let context = format!("{fault:?} at operation {k}");
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let disk = FaultyDisk::default();
    let open = |disk: &FaultyDisk| Store::open_on(tight(dir.path(), 8 << 20), Arc::new(disk.clone()), clock.clone());
    let store = open(&disk).unwrap();
    let contents: Vec<_> = (0..24).map(|n| noise(n, 30_000)).collect();
    for content in &contents {
        put(&store, "a", content).unwrap();
    }
    put(&store, "b", &contents[2]).unwrap();
    let at = address("a", "trusted", "test", "key");
    store.put_entry(&at, linked("v", &[ContentHash::of(&contents[0])]), PutIf::Always).unwrap();
    for n in 100..110 {
        put(&store, "a", &noise(n, 30_000)).unwrap();
    }
    clock.advance(LONG);
    let kept: Vec<_> = contents.iter().step_by(5).collect();
    for content in &kept {
        assert!(get(&store, "a", &ContentHash::of(content)).is_some());
    }
    assert!(get(&store, "b", &ContentHash::of(&contents[2])).is_some());
    assert!(store.get_entry(&at, Access::Serve).unwrap().is_some());
    if k.is_multiple_of(2) {
        // The rows are in LMDB, or in the log only.
        store.checkpoint().unwrap();
    }
    let begun = disk.operations();
    disk.plan(k, fault);
    store.set_quota(700 << 10);
    while store.evict_step().is_ok_and(|step| step.segments > 0) {}
    // If it fails, too, that costs space and nothing else.
    drop(prune_all(&store));
    let reached = disk.operations() >= begun + k;
    drop(store);
    let mut dice = Dice(k);
    let cut_too = fault == Fault::Full && k % 4 < 2;
    let mut disk = match fault {
        Fault::Cut | Fault::Tear => disk.after_power_cut(&mut || dice.roll(2) == 0),
        _ if cut_too => disk.after_power_cut(&mut || dice.roll(2) == 0),
        Fault::Fail | Fault::NoSpace | Fault::Full => disk.after_kill(),
    };
    for round in ["opened again", "evicted on", "index made anew"] {
        if round == "index made anew" {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let store = open(&disk).unwrap();
        for content in &kept {
            assert_eq!(
                get(&store, "a", &ContentHash::of(content)).as_deref(),
                Some(&content[..]),
                "{context}, {round}"
            );
        }
        for content in &contents {
            if let Some(found) = get(&store, "a", &ContentHash::of(content)) {
                assert_eq!(found, *content, "{context}, {round}");
            }
            let other = get(&store, "b", &ContentHash::of(content));
            assert_eq!(other.is_some(), *content == contents[2], "{context}, {round}");
        }
        assert!(store.get_entry(&at, Access::Check).unwrap().is_some(), "{context}, {round}");
        if round == "evicted on" {
            store.set_quota(700 << 10);
            while store.evict_step().unwrap().segments > 0 {}
            prune_all(&store).unwrap();
            assert_eq!(stale_rows(&store), 0, "{context}, {round}");
        }
        drop(store);
        disk = disk.after_kill();
    }
    reached
}

#[test]
fn a_power_cut_at_any_step_of_an_eviction_breaks_no_promise() {
    let mut k = 1;
    while evict_with_fault(k, Fault::Cut) || evict_with_fault(k + 1, Fault::Cut) {
        k += 2;
    }
    assert!(k > 10, "the eviction has only {k} operations");
}

#[test]
fn a_failure_at_any_step_of_an_eviction_breaks_no_promise() {
    for fault in [Fault::Fail, Fault::NoSpace, Fault::Full] {
        let mut k = 1;
        while evict_with_fault(k, fault) {
            k += 3;
        }
    }
}

#[test]
fn a_full_disk_is_freed_by_eviction() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let disk = FaultyDisk::default();
    let store = Store::open_on(tight(dir.path(), 64 << 20), Arc::new(disk.clone()), clock.clone()).unwrap();
    for n in 0..40 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    clock.advance(LONG);
    disk.plan(1, Fault::Full);
    assert_eq!(put(&store, "a", &noise(100, 50_000)).unwrap_err().kind(), ErrorKind::Full);
    let before = store.status().unwrap().segments;
    // Not even the record of an eviction can be written.
    let _ = store.evict_step();
    assert!(store.status().unwrap().segments < before, "a segment goes although nothing can be written");
    disk.heal();
    put(&store, "a", &noise(100, 50_000)).unwrap();
    assert!(!store.status().unwrap().disk_full);
}

#[test]
fn on_a_full_disk_a_segment_goes_only_when_what_is_kept_of_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let disk = FaultyDisk::default();
    let open = |disk: &FaultyDisk| Store::open_on(tight(dir.path(), 64 << 20), Arc::new(disk.clone()), clock.clone());
    let store = open(&disk).unwrap();
    let contents: Vec<_> = (0..12).map(|n| noise(n, 30_000)).collect();
    for content in &contents {
        put(&store, "a", content).unwrap();
    }
    clock.advance(LONG);
    let kept = ContentHash::of(&contents[0]);
    assert!(store.missing(&ns("a"), &[kept]).unwrap().is_empty());
    // What is kept is written again; then there is no space for the record of the eviction.
    disk.plan(2, Fault::Full);
    let used = store.core().usage.used();
    let freed = store.evict_segment(1, &mut crate::Evicted::default()).unwrap().unwrap();
    assert!(disk.open("segments/00000001.seg").is_err(), "the file is removed at once");
    assert!(freed > 100_000 && used > freed);
    assert_eq!(get(&store, "a", &kept).unwrap(), contents[0]);
    drop(store);
    // The name is gone, and all that was not synced.
    let mut is_name = true;
    let store = open(&disk.after_power_cut(&mut || std::mem::take(&mut is_name))).unwrap();
    assert!(disk.open("segments/00000001.seg").is_err());
    assert_eq!(get(&store, "a", &kept).unwrap(), contents[0]);
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[1])), None);
}

#[test]
fn an_earlier_value_in_a_segment_that_stays_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let open = || Store::open(tight(dir.path(), 8 << 20), clock.clone()).unwrap();
    let store = open();
    let at = address("a", "trusted", "test", "key");
    store.put_entry(&at, value("earlier"), PutIf::Always).unwrap();
    let stays: Vec<_> = (0..4).map(|n| noise(n, 30_000)).collect();
    for content in &stays {
        put(&store, "a", content).unwrap();
    }
    for n in 100..110 {
        put(&store, "a", &noise(n, 30_000)).unwrap();
    }
    store.put_entry(&at, value("later"), PutIf::Always).unwrap();
    for n in 200..210 {
        put(&store, "a", &noise(n, 30_000)).unwrap();
    }
    clock.advance(LONG);
    for content in &stays {
        assert!(get(&store, "a", &ContentHash::of(content)).is_some());
    }
    store.set_quota(300 << 10);
    while store.evict_step().unwrap().segments > 0 {}
    assert_eq!(store.status().unwrap().oldest_segment, 1, "the earlier value's segment is too busy to go");
    assert!(store.get_entry(&at, Access::Check).unwrap().is_none());
    drop(store);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert!(open().get_entry(&at, Access::Check).unwrap().is_none(), "it was replaced");
}
