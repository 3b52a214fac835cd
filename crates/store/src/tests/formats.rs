//! Real directories of every format version, made once and kept: version 1 by `examples/measure.rs fixture`, version 2, with
//! the objects of its bucket beside it, by the ignored test at the end.

use std::path::{Path, PathBuf};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{Access, ContentHash, PutIf};

use super::crash::{part, upload_body};
use super::support::*;
use crate::bucket::faulty::{Fault, FaultyBucket};
use crate::{BucketOptions, Evicted, Options, Store, fsck};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}

fn version(number: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/formats/{number}")), &store);
    (dir, store)
}

fn check(store: &Store) {
    let large = "a line of a large blob that compresses well\n".repeat(70_000);
    for content in [b"a small blob", large.as_bytes(), b"the value"] {
        assert_eq!(get(store, "measure", &ContentHash::of(content)).unwrap(), content);
        assert_eq!(get(store, "other", &ContentHash::of(content)), None);
    }
    let kept = address("measure", "ref/main", "fixture", "kept");
    let entry = store.get_entry(&kept, Access::Check).unwrap().unwrap();
    assert_eq!(entry.inline.unwrap(), "the value");
    assert_eq!(entry.attributes["content-type"], "text/plain");
    assert_eq!(*entry.links, [ContentHash::of(b"a small blob"), ContentHash::of(large.as_bytes())]);
    assert_eq!(entry.writer, "fixture");
    assert!(store.get_entry(&address("measure", "ref/main", "fixture", "removed"), Access::Check).unwrap().is_none());
    let waiting = store.waiting(None).unwrap();
    assert_eq!(waiting.iter().map(|part| part.number).collect::<Vec<_>>(), [2]);
    assert_eq!(store.status().unwrap().adopted_segments, 1);
    assert_eq!(store.adopt(&ns("other"), &waiting[0]).unwrap().unwrap().records, 3);
}

#[test]
fn a_directory_of_version_1_opens_with_all_that_is_in_it() {
    let (_keep, dir) = version(1);
    let store = open(&dir);
    assert!(store.recovery().replayed_records > 0, "the fixture was stopped without a checkpoint");
    assert_eq!(store.recovery().damaged_records + store.recovery().torn_bytes, 0);
    check(&store);
    store.close().unwrap();
    drop(store);
    assert!(fsck::check(&dir).unwrap().is_sound());
}

#[test]
fn a_directory_of_version_1_opens_without_its_index() {
    let (_keep, dir) = version(1);
    std::fs::remove_dir_all(dir.join("index")).unwrap();
    check(&open(&dir));
}

#[test]
fn a_directory_of_version_1_may_be_given_a_bucket() {
    let (_keep, dir) = version(1);
    let bucket = FaultyBucket::default();
    let options = with_bucket(&dir, &bucket);
    let store = Store::open(options.clone(), HandClock::new()).unwrap();
    while store.ship_next().unwrap().is_some() {}
    while store.offload_until(|_| false).unwrap() > 0 {}
    assert_eq!(bucket.names().len(), 1, "the adopted segment; the log has only its end");
    store.close().unwrap();
    drop(store);
    assert!(std::fs::read_to_string(dir.join("format")).unwrap().starts_with("larder store 2\n"));
    std::fs::remove_dir_all(dir.join("index")).unwrap();
    check(&Store::open(options, HandClock::new()).unwrap());
}

fn with_bucket(dir: &Path, bucket: &FaultyBucket) -> Options {
    let attached = BucketOptions::new(Arc::new(bucket.clone()), "memory", 1 << 30, [7; 16]);
    Options { segment_len: 8192, bucket: Some(attached), ..options(dir) }
}

/// What was put into the directory of version 2: four blobs a segment, of which the first was evicted (its object is not
/// deleted yet), the second is in the bucket only, and the third waits to be shipped.
fn contents_of_2() -> Vec<Bytes> {
    (0..12).map(|n| noise(n, 2000)).collect()
}

#[test]
fn a_directory_of_version_2_opens_with_and_without_its_index() {
    for with_index in [true, false] {
        let (_keep, dir) = version(2);
        let bucket = FaultyBucket::default();
        for item in std::fs::read_dir(dir.join("bucket")).unwrap() {
            let item = item.unwrap();
            let name = item.file_name().into_string().unwrap().replace('+', "/");
            bucket.set(&name, Some(std::fs::read(item.path()).unwrap().into()));
        }
        std::fs::remove_dir_all(dir.join("bucket")).unwrap();
        assert!(fsck::check(&dir).unwrap().is_sound());
        if !with_index {
            std::fs::remove_dir_all(dir.join("index")).unwrap();
        }
        let store = Store::open(with_bucket(&dir, &bucket), HandClock::new()).unwrap();
        // Without an index the evicted segment, whose object is not deleted yet, is looked at once more.
        let recovery = store.recovery();
        assert_eq!((recovery.damaged_records, recovery.restored_segments), (0, u64::from(!with_index)));
        let status = store.status().unwrap();
        let in_bucket = status.bucket.unwrap();
        assert_eq!((in_bucket.doomed_objects, in_bucket.offloaded_segments), (1, 2), "index: {with_index}");
        assert_eq!(status.adopted_segments, 1);
        let contents = contents_of_2();
        for (n, content) in contents.iter().enumerate() {
            let is_here = get(&store, "a", &ContentHash::of(content)).is_some_and(|found| found == *content);
            assert_eq!(is_here, n >= 4, "{n}");
        }
        for content in [noise(50, 500), noise(51, 500)] {
            assert!(get(&store, "up", &ContentHash::of(&content)).unwrap() == content);
        }
        let entry = store.get_entry(&address("a", "trusted", "test", "kept"), Access::Check).unwrap().unwrap();
        assert_eq!(*entry.links, [ContentHash::of(&contents[5])]);
        assert_eq!(store.sweep_objects(Duration::from_secs(3600)).unwrap().deleted, 1);
    }
}

#[test]
#[ignore = "it makes the kept directory of version 2 anew, in the folder of the sources"]
fn make_a_directory_of_version_2() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/2");
    let bucket = FaultyBucket::default();
    let clock = HandClock::new();
    let store = Store::open(with_bucket(&dir, &bucket), clock.clone()).unwrap();
    let contents = contents_of_2();
    for (n, content) in contents.iter().enumerate() {
        put(&store, "a", content).unwrap();
        if n == 5 {
            let entry = linked("the value", &[ContentHash::of(content)]);
            store.put_entry(&address("a", "trusted", "test", "kept"), entry, PutIf::Always).unwrap();
        }
    }
    store.ship_next().unwrap().unwrap();
    store.ship_next().unwrap().unwrap();
    clock.advance(Duration::from_secs(24 * 3600));
    bucket.plan(1, Fault::Down);
    store.evict_vanished(1, &mut Evicted::default()).unwrap();
    bucket.heal();
    assert_eq!(store.offload_until(|_| false).unwrap(), 1);
    let body = upload_body(&[noise(50, 500), noise(51, 500)]);
    let name = store.part_object(&part(1)).unwrap();
    bucket.set(name.as_str(), Some(body.clone()));
    store.adopt_object(&ns("up"), &part(1), &name, body.len() as u64).unwrap().unwrap();
    std::fs::create_dir(dir.join("bucket")).unwrap();
    for name in bucket.names() {
        std::fs::write(dir.join("bucket").join(name.replace('/', "+")), bucket.bytes(&name).unwrap()).unwrap();
    }
    drop(store);
    std::fs::remove_file(dir.join("lock")).unwrap();
    std::fs::remove_file(dir.join("index/lock.mdb")).unwrap();
}
