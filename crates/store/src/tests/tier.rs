//! The store with a bucket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::segment::Record;
use larder_base::{Access, ByteRange, ContentHash, ErrorKind, PutIf};

use super::support::*;
use crate::bucket::faulty::{Fault, FaultyBucket};
use crate::disk::Disk as _;
use crate::disk::faulty::FaultyDisk;
use crate::files::{segment_path, stub_path};
use crate::{BucketOptions, Options, Store, fsck};

mod adopt;
mod condemned;
mod crash;
mod quota;
mod rebuild;
mod repack;

const RETENTION: Duration = Duration::from_secs(3600);
const LONG: Duration = Duration::from_secs(2 * 3600);
const AGE: Duration = Duration::from_secs(24 * 3600);

/// A store with a bucket, on a disk of its own.
struct Tier {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    bucket: FaultyBucket,
    clock: Arc<HandClock>,
}

impl Tier {
    fn new() -> Self {
        let clock = HandClock::new();
        let bucket = FaultyBucket::with_clock(clock.clone());
        Self { dir: tempfile::tempdir().unwrap(), disk: FaultyDisk::default(), bucket, clock }
    }

    fn options(&self) -> Options {
        let bucket = BucketOptions {
            deadline: Duration::from_millis(200),
            cache: 100_000,
            ..BucketOptions::new(Arc::new(self.bucket.clone()), "memory", 1 << 30, [7; 16])
        };
        Options { segment_len: 20_000, retention: RETENTION, bucket: Some(bucket), ..options(self.dir.path()) }
    }

    fn open_with(&self, options: Options) -> Store {
        Store::open_on(options, Arc::new(self.disk.clone()), self.clock.clone()).unwrap()
    }

    fn open(&self) -> Store {
        self.open_with(self.options())
    }

    fn remove_index(&self) {
        std::fs::remove_dir_all(self.dir.path().join("index")).unwrap();
    }

    fn has(&self, path: &str) -> bool {
        self.disk.open(path).is_ok()
    }
}

fn ship_all(store: &Store) -> u64 {
    std::iter::from_fn(|| store.ship_next().unwrap()).count() as u64
}

fn offload_all(store: &Store) -> u64 {
    std::iter::from_fn(|| Some(store.offload_until(|_| false).unwrap()).filter(|count| *count > 0)).sum()
}

/// Contents that fill some segments, put with an entry each.
fn fill(store: &Store, seed: u64, count: u64) -> Vec<Bytes> {
    let contents: Vec<Bytes> = (0..count).map(|n| noise(seed << 32 | n, 3000)).collect();
    for (n, content) in contents.iter().enumerate() {
        put(store, "a", content).unwrap();
        let new = linked(noise(seed << 40 | n as u64, 30), &[ContentHash::of(content)]);
        store.put_entry(&key(seed, n), new, PutIf::Always).unwrap();
    }
    contents
}

fn key(seed: u64, n: usize) -> larder_base::EntryAddress {
    address("a", "trusted", "test", &format!("{seed}-{n}"))
}

fn check_all(store: &Store, seed: u64, contents: &[Bytes]) {
    for (n, content) in contents.iter().enumerate() {
        let hash = ContentHash::of(content);
        assert!(store.missing(&ns("a"), &[hash]).unwrap().is_empty(), "{n} is missing");
        assert!(get(store, "a", &hash).unwrap() == *content, "{n}");
        assert!(get(store, "b", &hash).is_none());
        let entry = store.get_entry(&key(seed, n), Access::Serve).unwrap().unwrap();
        assert_eq!(entry.inline.unwrap(), noise(seed << 40 | n as u64, 30));
    }
}

fn count(bucket: &FaultyBucket, verb: &str) -> usize {
    bucket.log().iter().filter(|call| call.starts_with(verb)).count()
}

#[test]
fn a_segment_that_cannot_be_read_keeps_no_other_from_being_shipped() {
    let tier = Tier::new();
    let store = tier.open();
    fill(&store, 1, 30);
    let waiting = store.status().unwrap().bucket.unwrap().waiting_segments;
    store.core().files.forget(1);
    tier.disk.remove(&segment_path(1)).unwrap();
    assert_eq!(ship_all(&store), waiting - 1);
    assert_eq!(store.status().unwrap().bucket.unwrap().waiting_segments, 0, "evictions do not wait for it");
}

#[test]
fn a_sweep_that_cannot_go_on_in_the_list_begins_anew() {
    let tier = Tier::new();
    let store = tier.open();
    let start = store.core().archive.as_ref().unwrap().start().to_owned();
    for number in 0..5 {
        tier.bucket.set(&format!("{start}uploads/{number}"), Some(Bytes::from_static(b"orphan")));
    }
    tier.clock.advance(AGE);
    tier.bucket.list_as(2, &[]);
    let first = store.sweep_objects(AGE).unwrap();
    assert_eq!((first.orphans, first.wrapped), (2, false));
    // While the bucket is away, the sweep goes on where it was.
    tier.bucket.plan(1, Fault::Fail);
    assert_eq!(store.sweep_objects(AGE).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.sweep_objects(AGE).unwrap().orphans, 2);
    // What came meanwhile is found when the list begins anew, and not before.
    tier.bucket.set(&format!("{start}uploads/0"), Some(Bytes::from_static(b"orphan")));
    tier.clock.advance(AGE);
    tier.bucket.plan(1, Fault::Refuse);
    assert_eq!(store.sweep_objects(AGE).unwrap_err().kind(), ErrorKind::Failed);
    let last = store.sweep_objects(AGE).unwrap();
    assert_eq!((last.orphans, tier.bucket.names().len()), (2, 0), "{last:?}");
}

#[test]
fn what_was_shipped_and_left_the_disk_is_read_from_the_bucket() {
    let tier = Tier::new();
    let mut store = tier.open();
    let contents = fill(&store, 1, 30);
    let shipped = ship_all(&store);
    assert!(shipped >= 4, "{shipped} segments were shipped");
    assert_eq!(store.ship_next().unwrap(), None);
    assert_eq!(count(&tier.bucket, "put"), shipped as usize);
    check_all(&store, 1, &contents);
    assert_eq!(count(&tier.bucket, "read"), 0, "what is on the disk is read there");
    let before = store.status().unwrap();
    assert_eq!(offload_all(&store), shipped);
    let status = store.status().unwrap();
    assert!(status.bytes < before.bytes - 60_000, "{} and then {}", before.bytes, status.bytes);
    assert!(!tier.has(&segment_path(1)) && tier.has(&stub_path(1)));
    check_all(&store, 1, &contents);
    assert!(count(&tier.bucket, "read") > 0);
    let bucket = status.bucket.clone().unwrap();
    assert_eq!((bucket.objects, bucket.offloaded_segments, bucket.waiting_segments), (shipped, shipped, 0));
    assert_eq!(
        bucket.bytes,
        tier.bucket.names().iter().map(|name| tier.bucket.bytes(name).unwrap().len() as u64).sum()
    );
    for clean in [true, false] {
        if clean {
            store.close().unwrap();
        }
        drop(store);
        store = tier.open();
        let segments = |status: &crate::StoreStatus| status.bytes - status.index_bytes;
        assert_eq!(segments(&store.status().unwrap()), segments(&status));
        assert_eq!(store.status().unwrap().bucket.unwrap().objects, shipped);
        check_all(&store, 1, &contents);
    }
}

#[test]
fn presence_writes_and_an_opening_need_no_bucket() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    let large = noise(99, 5 << 20);
    let digest = put(&store, "a", &large).unwrap();
    let small = put(&store, "a", &noise(98, 100)).unwrap();
    fill(&store, 2, 10);
    ship_all(&store);
    offload_all(&store);
    let calls = tier.bucket.calls();
    tier.bucket.plan(1, Fault::Down);
    drop(store);
    let store = tier.open();
    let hashes: Vec<ContentHash> =
        contents.iter().map(|content| ContentHash::of(content)).chain([digest.hash]).collect();
    assert_eq!(store.missing(&ns("a"), &hashes).unwrap(), []);
    let entry = linked("value", &hashes);
    let put_entry = store.put_entry(&key(9, 9), entry, PutIf::Always).unwrap();
    assert!(matches!(put_entry, larder_base::PutOutcome::Stored(_)));
    put(&store, "c", &contents[0]).unwrap();
    let body = larder_base::EntryBody::Stored(small);
    let named = store.put_entry(&key(9, 8), larder_base::NewEntry { body, ..value("") }, PutIf::Always).unwrap();
    assert!(matches!(named, larder_base::PutOutcome::Stored(entry) if entry.inline.is_none() && entry.blob == small));
    assert_eq!(tier.bucket.calls(), calls, "the bucket is not asked");
    // A read is an error that says so, and soon nobody waits for it.
    let error = store.get(&ns("a"), &hashes[0], ByteRange::ALL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    for hash in &hashes[..20] {
        assert_eq!(store.get(&ns("a"), hash, ByteRange::ALL).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(tier.bucket.calls(), calls + 1);
    assert_eq!(store.status().unwrap().bucket.unwrap().failures, 1);
    tier.bucket.heal();
    tier.clock.advance(Duration::from_secs(5));
    check_all(&store, 1, &contents);
    assert!(get(&store, "a", &digest.hash).unwrap() == large);
    assert_eq!(store.status().unwrap().bucket.unwrap().failures, 0);
}

#[test]
fn a_blob_in_neighbouring_records_is_read_ahead_and_once() {
    let tier = Tier::new();
    let store = tier.open_with(Options { segment_len: 8 << 20, ..tier.options() });
    let large = noise(99, 3 << 20);
    let digest = put(&store, "a", &large).unwrap();
    // To have it sealed.
    fill(&store, 1, 2000);
    assert_eq!(ship_all(&store), 1);
    offload_all(&store);
    let calls = tier.bucket.calls();
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), large);
    let read = store.status().unwrap().bucket.unwrap().read_bytes;
    assert!(read < 3_300_000, "{read} bytes were read");
    assert!(tier.bucket.calls() - calls < 100, "{} reads", tier.bucket.calls() - calls);
}

#[test]
fn short_answers_are_asked_for_the_rest_and_slow_ones_end_at_the_deadline() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    offload_all(&store);
    tier.bucket.read_at_most(100);
    check_all(&store, 1, &contents[..5]);
    let clock = tier.clock.clone();
    tier.bucket.on_call(move || clock.advance(Duration::from_millis(150)));
    let hash = ContentHash::of(&contents[20]);
    let error = store.get(&ns("a"), &hash, ByteRange::ALL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    tier.bucket.on_call(|| ());
    tier.clock.advance(Duration::from_secs(60));
    assert_eq!(get(&store, "a", &hash).unwrap(), contents[20]);
}

#[test]
fn a_vanished_object_is_a_miss_and_is_forgotten_and_what_the_disk_has_stays() {
    for cut_short in [false, true] {
        let tier = Tier::new();
        let mut store = tier.open();
        let contents = fill(&store, 1, 30);
        ship_all(&store);
        offload_all(&store);
        let hash = ContentHash::of(&contents[0]);
        assert!(store.locate(&ns("a"), &[hash]).unwrap()[0].segment == 1, "it is promised to stay where it is");
        let name = store.object_of(1).unwrap().0.to_string();
        let bytes = tier.bucket.bytes(&name).unwrap();
        tier.bucket.set(&name, cut_short.then(|| bytes.slice(..100)));
        assert_eq!(get(&store, "a", &hash), None);
        let calls = tier.bucket.calls();
        // All of it is gone at once, with the entries that need it, and the bucket is not asked again.
        let lost: Vec<_> =
            contents.iter().filter(|content| get(&store, "a", &ContentHash::of(content)).is_none()).collect();
        assert!((3..10).contains(&lost.len()), "{} lost", lost.len());
        assert_eq!(store.missing(&ns("a"), &[hash]).unwrap(), [hash]);
        assert_eq!(store.get_entry(&key(1, 0), Access::Check).unwrap(), None);
        assert!(tier.bucket.log()[calls as usize..].iter().all(|call| !call.contains(&name)));
        assert_eq!(store.status().unwrap().bucket.unwrap().vanished, 1);
        // An entry that lies in that segment and needs nothing of it stays.
        if cut_short {
            // A crash forgets the memory of it; it is found again.
            drop(store);
            store = tier.open();
            assert_eq!(get(&store, "a", &hash), None);
        }
        let swept = store.sweep_objects(AGE).unwrap();
        assert_eq!(swept.forgotten, 1);
        assert!(!tier.has(&stub_path(1)));
        assert_eq!(store.object_of(1), None);
        let left = contents.len() - lost.len();
        for _ in 0..2 {
            let found = contents.iter().filter(|content| get(&store, "a", &ContentHash::of(content)).is_some()).count();
            assert_eq!(found, left);
            // It can be put again.
            drop(store);
            tier.remove_index();
            store = tier.open();
        }
        put(&store, "a", &contents[0]).unwrap();
        assert_eq!(get(&store, "a", &hash).unwrap(), contents[0]);
    }
}

#[test]
fn an_entry_outlives_the_object_of_the_segment_that_it_lies_in() {
    let tier = Tier::new();
    let store = tier.open();
    let address = key(7, 7);
    store.put_entry(&address, value("stays"), PutIf::Always).unwrap();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    offload_all(&store);
    tier.bucket.set(store.object_of(1).unwrap().0.as_str(), None);
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[0])), None);
    // Its value is in the row; the blob of that name is gone with the object.
    let before = store.get_entry(&address, Access::Check).unwrap();
    store.sweep_objects(AGE).unwrap();
    assert_eq!(store.get_entry(&address, Access::Check).unwrap(), before);
}

#[test]
fn the_scrub_finds_a_vanished_object_and_a_segment_on_the_disk_is_shipped_again() {
    let tier = Tier::new();
    let store = tier.open();
    fill(&store, 1, 30);
    let shipped = ship_all(&store);
    let name = store.object_of(2).unwrap().0.to_string();
    tier.bucket.set(&name, None);
    assert_eq!(offload_all(&store), shipped - 1, "what is gone from the bucket stays on the disk");
    assert!(tier.has(&segment_path(2)));
    assert_eq!(ship_all(&store), 1);
    assert!(tier.bucket.bytes(&name).is_some());
    assert_eq!(offload_all(&store), 1);
    tier.bucket.set(&name, None);
    let mut bad = 0;
    loop {
        let step = store.scrub_step(1 << 20).unwrap();
        bad += step.bad;
        if step.wrapped {
            break;
        }
    }
    assert_eq!(bad, 1);
    assert_eq!(store.sweep_objects(AGE).unwrap().forgotten, 1);
}

#[test]
fn bytes_that_somebody_changed_in_the_bucket_are_never_served() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    offload_all(&store);
    let hash = ContentHash::of(&contents[0]);
    let at = store.locate(&ns("a"), &[hash]).unwrap()[0];
    let (name, _) = store.object_of(at.segment).unwrap();
    // A record with the true name, right checksums and other content.
    let lie = Record::chunk(hash, noise(77, 3000), 1);
    assert_eq!(lie.len(), at.length);
    let mut bytes = tier.bucket.bytes(name.as_str()).unwrap().to_vec();
    let from = at.offset as usize;
    bytes[from..from + 64].copy_from_slice(&lie.header.encode());
    bytes[from + 64..from + at.length as usize].copy_from_slice(&lie.body);
    tier.bucket.set(name.as_str(), Some(bytes.into()));
    assert_eq!(get(&store, "a", &hash), None);
    assert_eq!(store.status().unwrap().quarantined, 1);
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[1])).unwrap(), contents[1]);
}

#[test]
fn a_store_with_a_bucket_is_opened_with_that_one_only() {
    let tier = Tier::new();
    drop(tier.open());
    let open = |bucket| {
        let options = Options { bucket, ..tier.options() };
        Store::open_on(options, Arc::new(tier.disk.clone()), tier.clock.clone())
    };
    let error = open(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("memory") && error.hint().is_some());
    let other = BucketOptions { place: "elsewhere".into(), ..tier.options().bucket.unwrap() };
    assert_eq!(open(Some(other)).unwrap_err().kind(), ErrorKind::Invalid);
    open(tier.options().bucket).unwrap();
}

#[test]
fn what_left_the_disk_is_there_after_a_power_cut_although_nobody_waited_for_a_sync() {
    for seed in 0..20 {
        let mut tier = Tier::new();
        let relaxed = Options { durability: crate::Durability::Relaxed, ..tier.options() };
        let store = tier.open_with(relaxed.clone());
        let contents = fill(&store, 1, 30);
        ship_all(&store);
        offload_all(&store);
        let mut dice = Dice(seed);
        let cut = tier.disk.after_power_cut(&mut || dice.roll(2) == 0);
        drop(store);
        tier.disk = cut;
        for round in 0..2 {
            let store = tier.open_with(relaxed.clone());
            let left = contents.iter().filter(|content| get(&store, "a", &ContentHash::of(content)).is_some()).count();
            assert!(left > 20, "seed {seed}, round {round}: {left} of 30 are there");
            assert_eq!(store.status().unwrap().bucket.unwrap().vanished, 0);
            ship_all(&store);
            while !store.sweep_objects(Duration::ZERO).unwrap().wrapped {}
            let again = contents.iter().filter(|content| get(&store, "a", &ContentHash::of(content)).is_some()).count();
            assert_eq!(again, left, "seed {seed}: a sweep took what is used");
            drop(store);
            tier.remove_index();
        }
    }
}

#[test]
fn a_segment_may_leave_the_disk_at_any_moment_of_a_read() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 60);
    let hashes: Vec<ContentHash> = contents.iter().map(|content| ContentHash::of(content)).collect();
    ship_all(&store);
    let (store, contents, hashes) = (&store, &contents, &hashes);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|seed| {
                scope.spawn(move || {
                    let mut dice = Dice(seed);
                    for _ in 0..3000 {
                        let n = dice.roll(60) as usize;
                        assert!(get(store, "a", &hashes[n]).unwrap() == contents[n]);
                        let at = store.locate(&ns("a"), &hashes[n..=n]).unwrap()[0];
                        let range = ByteRange { offset: at.offset, length: Some(at.length) };
                        let read = store.read_segment(at.segment, range).unwrap().expect("the segment is there");
                        assert_eq!(read.map(|piece| piece.unwrap().len() as u64).sum::<u64>(), at.length);
                    }
                })
            })
            .collect();
        while store.offload_until(|_| false).unwrap() > 0 {}
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_reader_of_a_segment_whose_object_vanishes_ends_in_an_error() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    offload_all(&store);
    let name = store.object_of(1).unwrap().0;
    let mut reader = store.read_segment(1, ByteRange::ALL).unwrap().unwrap();
    tier.bucket.set(name.as_str(), None);
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(reader.next().is_none());
    assert_eq!(store.missing(&ns("a"), &[ContentHash::of(&contents[0])]).unwrap().len(), 1);
}

#[test]
fn only_sealed_segments_are_shipped_whole_and_as_they_lie() {
    let tier = Tier::new();
    let store = tier.open();
    put(&store, "a", &noise(1, 3000)).unwrap();
    assert_eq!(store.ship_next().unwrap(), None, "the end of the log is not sealed");
    fill(&store, 1, 10);
    let shipped = store.ship_next().unwrap().unwrap();
    assert_eq!(shipped.segment, 1);
    assert_eq!(tier.bucket.bytes(shipped.object.as_str()).unwrap(), tier.disk.bytes(&segment_path(1)));
    assert_eq!(store.object_of(1), Some((shipped.object.clone(), shipped.bytes)));
    assert_eq!(store.object_of(99), None);
    assert!(shipped.object.as_str().starts_with(&"07".repeat(16)));
}
