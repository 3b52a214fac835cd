//! The index made anew, and the disk from the bucket.

use super::*;

fn shipped_tier() -> (Tier, Vec<Bytes>) {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    offload_all(&store);
    store.delete_entry(&key(1, 29)).unwrap();
    fill(&store, 2, 3);
    store.close().unwrap();
    (tier, contents)
}

fn check(store: &Store, contents: &[Bytes]) {
    check_all(store, 1, &contents[..29]);
    assert_eq!(store.get_entry(&key(1, 29), Access::Check).unwrap(), None, "what was removed stays so");
}

#[test]
fn the_index_is_made_anew_from_the_stubs_without_the_bucket() {
    let (tier, contents) = shipped_tier();
    tier.remove_index();
    tier.bucket.plan(1, Fault::Down);
    let options = Options { bucket: None, ..tier.options() };
    let purpose = crate::store::Purpose::Rebuild;
    let store = Store::open_for(purpose, options, Arc::new(tier.disk.clone()), tier.clock.clone()).unwrap();
    assert!(store.recovery().replayed_records > 60);
    assert_eq!(store.recovery().damaged_records, 0);
    store.close().unwrap();
    drop(store);
    tier.bucket.heal();
    let store = tier.open();
    assert!(store.recovery().clean);
    check(&store, &contents);
}

#[test]
fn a_rebuild_reads_no_chunks_from_the_bucket() {
    let (tier, contents) = shipped_tier();
    tier.remove_index();
    let store = tier.open();
    assert_eq!(
        count(&tier.bucket, "read"),
        store.status().unwrap().bucket.unwrap().offloaded_segments as usize,
        "one look each before its chunks left the disk"
    );
    check(&store, &contents);
}

#[test]
fn a_disk_that_lost_its_stubs_gets_them_from_the_bucket() {
    for with_index in [false, true] {
        let (tier, contents) = shipped_tier();
        if !with_index {
            tier.remove_index();
        }
        let lost: Vec<String> =
            tier.disk.list("segments").unwrap().into_iter().filter(|name| name.ends_with(".stub")).collect();
        assert!(lost.len() >= 3);
        lost.iter().for_each(|name| tier.disk.remove(&format!("segments/{name}")).unwrap());
        // Without the bucket there is no telling what is missing.
        tier.bucket.plan(1, Fault::Down);
        let error = Store::open_on(tier.options(), Arc::new(tier.disk.clone()), tier.clock.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.hint().is_some());
        tier.bucket.heal();
        tier.clock.advance(Duration::from_secs(60));
        let store = tier.open();
        assert_eq!(store.recovery().restored_segments, lost.len() as u64);
        check(&store, &contents);
        drop(store);
        let store = tier.open();
        assert_eq!(store.recovery().restored_segments, 0);
        check(&store, &contents);
    }
}

#[test]
fn the_object_of_a_segment_that_is_lost_for_good_is_deleted() {
    let (tier, contents) = shipped_tier();
    let name = tier.bucket.names()[0].clone();
    tier.disk.remove(&stub_path(1)).unwrap();
    // What is there is no segment any more.
    tier.bucket.set(&name, Some(noise(1, 30)));
    let store = tier.open();
    assert_eq!(store.recovery().lost_segments, 1);
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[0])), None);
    assert_eq!(store.sweep_objects(AGE).unwrap().deleted, 1);
    assert!(tier.bucket.bytes(&name).is_none());
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[25])).unwrap(), contents[25]);
}

#[test]
fn a_check_counts_what_is_in_the_bucket_as_there_and_finds_a_damaged_stub() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = FaultyBucket::default();
    let options = BucketOptions::new(Arc::new(bucket), "memory", 1 << 30, [7; 16]);
    let options = Options { segment_len: 20_000, bucket: Some(options), ..options_of(dir.path()) };
    let store = Store::open(options.clone(), HandClock::new()).unwrap();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    let offloaded = offload_all(&store);
    store.close().unwrap();
    drop(store);
    let report = fsck::check(dir.path()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert!(report.remote_records > 20 && report.records > 100);
    let rebuilt = fsck::rebuild(Options { bucket: None, ..options.clone() }, HandClock::new()).unwrap();
    assert_eq!(rebuilt.damaged_records, 0);
    assert!(fsck::check(dir.path()).unwrap().is_sound());
    let store = Store::open(options, HandClock::new()).unwrap();
    check_all(&store, 1, &contents);
    assert_eq!(store.status().unwrap().bucket.unwrap().offloaded_segments, offloaded);
    store.close().unwrap();
    drop(store);
    let path = dir.path().join(stub_path(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 400;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = fsck::check(dir.path()).unwrap();
    assert!(!report.is_sound() && report.problems[0].contains("00000001.stub"), "{:?}", report.problems);
}

fn options_of(dir: &Path) -> Options {
    options(dir)
}
