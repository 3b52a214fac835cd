//! Chunks that come again after the bucket lost them or has something else in their place. A stub says nothing of that: read
//! again, the log has them where they were.

use super::*;
use crate::tests::crash::{part, upload_body};

/// How a chunk comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Received,
    Object,
}

fn upload(tier: &Tier, store: &Store, way: Way, contents: &[Bytes]) {
    let body = upload_body(contents);
    let length = body.len() as u64;
    match way {
        Way::Received => store.receive(&part(1), length, &mut [Ok(body)].into_iter()).unwrap(),
        Way::Object => tier.bucket.set(store.part_object(&part(1)).unwrap().as_str(), Some(body)),
    }
    let adopted = store.adopt_part(&ns("up"), &part(1), length).unwrap().unwrap();
    assert_eq!(adopted.records, contents.len() as u64);
}

fn assert_all(store: &Store, contents: &[Bytes], context: &str) {
    for content in contents {
        let hash = ContentHash::of(content);
        assert!(store.missing(&ns("up"), &[hash]).unwrap().is_empty(), "{context}");
        assert!(get(store, "up", &hash).as_deref() == Some(&content[..]), "{context}");
    }
}

/// A store with segments in the bucket only, whose index on the disk is up to date.
fn offloaded(tier: &Tier) -> (Store, Vec<Bytes>) {
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    offload_all(&store);
    store.checkpoint().unwrap();
    (store, contents)
}

#[test]
fn a_chunk_adopted_after_its_object_vanished_outlives_a_kill_the_index_and_the_sweep() {
    for way in [Way::Received, Way::Object] {
        let mut tier = Tier::new();
        let (store, contents) = offloaded(&tier);
        tier.bucket.set(store.object_of(1).unwrap().0.as_str(), None);
        let lost: Vec<Bytes> =
            contents.into_iter().filter(|content| get(&store, "a", &ContentHash::of(content)).is_none()).collect();
        assert!(lost.len() > 2, "{} chunks are lost", lost.len());
        upload(&tier, &store, way, &lost);
        assert_all(&store, &lost, "adopted");
        tier.disk = tier.disk.after_kill();
        drop(store);
        let store = tier.open();
        assert_all(&store, &lost, &format!("{way:?}, after a kill"));
        // Once more, with what this process knows of it in the index.
        drop(store);
        tier.remove_index();
        let store = tier.open();
        assert_all(&store, &lost, &format!("{way:?}, index made anew"));
        while !store.sweep_objects(AGE).unwrap().wrapped {}
        assert_all(&store, &lost, &format!("{way:?}, swept"));
        drop(store);
        tier.remove_index();
        assert_all(&tier.open(), &lost, &format!("{way:?}, swept, index made anew"));
    }
}

#[test]
fn a_chunk_adopted_in_place_of_one_that_is_bad_in_the_bucket_outlives_the_index() {
    for way in [Way::Received, Way::Object] {
        let mut tier = Tier::new();
        let (store, contents) = offloaded(&tier);
        let at = store.locate(&ns("a"), &[ContentHash::of(&contents[0])]).unwrap()[0];
        let name = store.object_of(at.segment).unwrap().0;
        let mut bytes = tier.bucket.bytes(name.as_str()).unwrap().to_vec();
        bytes[(at.offset + 100) as usize] ^= 1;
        tier.bucket.set(name.as_str(), Some(bytes.into()));
        let again = [contents[0].clone(), contents[1].clone(), noise(5, 500)];
        assert_eq!(get(&store, "a", &ContentHash::of(&again[0])), None);
        upload(&tier, &store, way, &again);
        tier.disk = tier.disk.after_kill();
        drop(store);
        let store = tier.open();
        assert_all(&store, &again, &format!("{way:?}, after a kill"));
        store.close().unwrap();
        drop(store);
        tier.remove_index();
        let store = tier.open();
        assert_all(&store, &again, &format!("{way:?}, index made anew"));
    }
}

#[test]
fn a_chunk_that_an_opening_found_bad_is_adopted_for_good_although_its_segment_is_shipped_as_it_is() {
    // In the content, or in the header of the record.
    for from_content in [100, -30] {
        let mut tier = Tier::new();
        let store = tier.open();
        let contents = fill(&store, 1, 30);
        tier.disk = tier.disk.after_kill();
        drop(store);
        // The last process had no time for a checkpoint: the log is read again, and one of its records is bad.
        tier.disk.damage(&segment_path(1), |bytes| {
            let content = bytes.windows(16).position(|window| window == &contents[0][..16]).unwrap();
            bytes[content.checked_add_signed(from_content).unwrap()] ^= 1;
        });
        let store = tier.open();
        assert_eq!(store.recovery().damaged_records, 1);
        assert_eq!(store.status().unwrap().quarantined, 1);
        let again = [contents[0].clone()];
        assert_eq!(get(&store, "a", &ContentHash::of(&again[0])), None);
        upload(&tier, &store, Way::Received, &again);
        fill(&store, 2, 10);
        ship_all(&store);
        offload_all(&store);
        assert!(tier.has(&stub_path(1)));
        assert_all(&store, &again, "adopted");
        store.close().unwrap();
        drop(store);
        tier.remove_index();
        assert_all(&tier.open(), &again, "index made anew");
    }
}
