//! Real directories of every format version, made once by `examples/measure.rs fixture` and kept.

use std::path::{Path, PathBuf};

use larder_base::{Access, ContentHash};

use super::support::*;
use crate::{Store, fsck};

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
    use std::sync::Arc;

    use crate::bucket::faulty::FaultyBucket;
    let (_keep, dir) = version(1);
    let bucket = FaultyBucket::default();
    let attached = crate::BucketOptions::new(Arc::new(bucket.clone()), "memory", 1 << 30, [7; 16]);
    let options = crate::Options { bucket: Some(attached), ..options(&dir) };
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
