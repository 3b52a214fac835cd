//! Repacking of segments that are half dead.

use larder_base::{Digest, EntryBody, NewEntry};

use super::crash::{Where, no_orphans};
use super::*;
use crate::Repacked;
use crate::disk::faulty::Fault as DiskFault;
use crate::index::Table;
use crate::row::{BlobRow, ObjectState};

/// Repacks until every segment was looked at.
fn pass(store: &Store) -> Repacked {
    let mut all = Repacked::default();
    while !all.wrapped {
        all.add(&store.repack_step().unwrap());
    }
    all
}

fn lives(n: usize) -> bool {
    n.is_multiple_of(3)
}

/// Removes the entries of two blobs in three.
fn purge(store: &Store, seed: u64, contents: &[Bytes]) {
    for n in (0..contents.len()).filter(|n| !lives(*n)) {
        assert!(store.delete_entry(&key(seed, n)).unwrap());
    }
}

/// A store whose segments are all in the bucket only, with two blobs in three that no entry needs, long unused.
fn two_thirds_dead(tier: &Tier) -> (Store, Vec<Bytes>) {
    two_thirds_dead_of(tier, 30)
}

fn two_thirds_dead_of(tier: &Tier, count: u64) -> (Store, Vec<Bytes>) {
    let store = tier.open();
    let contents = fill(&store, 1, count);
    purge(&store, 1, &contents);
    // What is needed is at the end of what is sealed, too.
    fill(&store, 2, 8);
    ship_all(&store);
    offload_all(&store);
    tier.clock.advance(LONG);
    (store, contents)
}

fn check_living(store: &Store, seed: u64, contents: &[Bytes], context: &str) {
    for (n, content) in contents.iter().enumerate() {
        let entry = store.get_entry(&key(seed, n), Access::Check).unwrap();
        assert_eq!(entry.is_some(), lives(n), "{context}: entry {n}");
        if lives(n) {
            let found = get(store, "a", &ContentHash::of(content));
            assert!(found.is_some_and(|found| found == *content), "{context}: blob {n}");
            assert_eq!(entry.unwrap().inline.unwrap(), noise(seed << 40 | n as u64, 30));
        }
    }
}

fn found(store: &Store, contents: &[Bytes]) -> usize {
    contents.iter().filter(|content| get(store, "a", &ContentHash::of(content)).is_some()).count()
}

#[test]
fn what_entries_need_of_a_half_dead_segment_is_written_again_and_its_object_goes() {
    let tier = Tier::new();
    let (store, contents) = two_thirds_dead(&tier);
    let before = store.status().unwrap().bucket.unwrap();
    let first = store.object_of(1).unwrap().0;
    let done = pass(&store);
    assert!(done.segments >= 4 && done.kept >= 8 && done.bytes > 40_000, "{done:?}");
    let status = store.status().unwrap().bucket.unwrap();
    assert_eq!((status.repacked, status.repacked_bytes), (done.segments, done.bytes));
    assert_eq!((status.objects, status.doomed_objects), (before.objects - done.segments, 0));
    assert!(tier.bucket.bytes(first.as_str()).is_none() && !tier.has(&stub_path(1)));
    check_living(&store, 1, &contents, "at once");
    assert!(found(&store, &contents) < 15, "the dead are gone");
    // The namespaces that had them have them, and nobody else.
    assert_eq!(get(&store, "b", &ContentHash::of(&contents[0])), None);
    ship_all(&store);
    assert!(store.status().unwrap().bucket.unwrap().bytes < before.bytes - 30_000);
    offload_all(&store);
    check_living(&store, 1, &contents, "in the bucket again");
    drop(store);
    tier.remove_index();
    check_living(&tier.open(), 1, &contents, "index made anew");
}

#[test]
fn what_an_entry_needs_stays_where_it_is_however_long_it_is_unused() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    // A blob in many chunks, which the entry names by its recipe alone.
    let large = noise(99, 5 << 20);
    let digest = put(&store, "a", &large).unwrap();
    let named = NewEntry { body: EntryBody::Stored(digest), ..value("") };
    store.put_entry(&key(9, 9), named, PutIf::Always).unwrap();
    fill(&store, 2, 8);
    ship_all(&store);
    offload_all(&store);
    tier.clock.advance(LONG * 50);
    let names = tier.bucket.names();
    assert_eq!(pass(&store), Repacked { wrapped: true, ..Repacked::default() });
    assert_eq!(tier.bucket.names(), names);
    check_all(&store, 1, &contents);
    assert!(get(&store, "a", &digest.hash).unwrap() == large);
    tier.clock.advance(LONG);
    // Without its entry it is of no use to anybody.
    store.delete_entry(&key(9, 9)).unwrap();
    assert!(pass(&store).segments >= 1);
    assert_eq!(get(&store, "a", &digest.hash), None);
    check_all(&store, 1, &contents);
}

#[test]
fn an_evicted_entry_that_is_not_pruned_yet_needs_nothing() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = fill(&store, 1, 30);
    ship_all(&store);
    let sealed: Vec<u32> = store.core().archive.as_ref().unwrap().segments(ObjectState::Stored);
    offload_all(&store);
    tier.clock.advance(LONG);
    // Blobs that are in use are written again, and their entries go.
    let used: Vec<ContentHash> = contents.iter().step_by(2).map(|content| ContentHash::of(content)).collect();
    store.missing(&ns("a"), &used).unwrap();
    for segment in &sealed {
        store.evict_segment(*segment, &mut crate::Evicted::default()).unwrap();
    }
    fill(&store, 2, 8);
    ship_all(&store);
    offload_all(&store);
    tier.clock.advance(LONG);
    assert!(stale_rows(&store) > 20, "{}", stale_rows(&store));
    assert!(pass(&store).segments >= 1);
}

#[test]
fn what_was_used_lately_or_promised_a_place_stays() {
    let tier = Tier::new();
    let (store, contents) = two_thirds_dead(&tier);
    let hashes: Vec<ContentHash> = contents.iter().map(|content| ContentHash::of(content)).collect();
    // Used, so that it is kept although no entry needs it.
    assert_eq!(store.missing(&ns("a"), &hashes[..2]).unwrap(), []);
    // Promised a place: this segment is left alone.
    let held = store.locate(&ns("a"), &[hashes[13]]).unwrap()[0].segment;
    let object = store.object_of(held).unwrap();
    assert!(pass(&store).segments >= 2);
    assert_eq!(found(&store, &contents[..2]), 2);
    assert_eq!(store.object_of(held), Some(object));
    assert_eq!(found(&store, &contents[13..14]), 1);
    check_living(&store, 1, &contents, "after all");
}

#[test]
fn an_entry_that_comes_while_the_others_are_read_keeps_what_it_links_to() {
    // At every step of a pass in turn.
    for steps in 0.. {
        let tier = Tier::new();
        let (store, contents) = two_thirds_dead(&tier);
        let mut done = Repacked::default();
        for _ in 0..steps {
            done.add(&store.repack_step().unwrap());
        }
        if done.wrapped {
            assert!(steps > 10, "a pass has only {steps} steps");
            break;
        }
        let linked_now: Vec<ContentHash> = [1, 2, 29].map(|n| ContentHash::of(&contents[n])).to_vec();
        let put = store.put_entry(&key(0, 0), linked("new", &linked_now), PutIf::Always).unwrap();
        let stored = matches!(put, larder_base::PutOutcome::Stored(_));
        pass(&store);
        let entry = store.get_entry(&key(0, 0), Access::Check).unwrap();
        assert_eq!(entry.is_some(), stored, "step {steps}");
        for hash in linked_now.iter().filter(|_| stored) {
            assert!(get(&store, "a", hash).is_some(), "step {steps}: {hash} is gone");
        }
        check_living(&store, 1, &contents, "after all");
    }
}

#[test]
fn a_round_that_took_longer_than_the_retention_time_drops_nothing() {
    let tier = Tier::new();
    let (store, contents) = two_thirds_dead(&tier);
    let is_packing = || format!("{:?}", store.inner.repacking.lock()).contains("Packing");
    while !is_packing() {
        store.repack_step().unwrap();
    }
    store.put_entry(&key(0, 0), linked("new", &[ContentHash::of(&contents[1])]), PutIf::Always).unwrap();
    tier.clock.advance(LONG);
    while is_packing() {
        assert_eq!(store.repack_step().unwrap().segments, 0);
    }
    assert!(store.get_entry(&key(0, 0), Access::Check).unwrap().is_some());
    // Another one does, as it has read the new entry.
    tier.clock.advance(LONG);
    pass(&store);
    assert!(pass(&store).wrapped && store.status().unwrap().bucket.unwrap().repacked >= 2);
    assert_eq!(found(&store, &contents[1..2]), 1);
}

#[test]
fn under_pressure_of_a_quota_nothing_is_repacked() {
    let tier = Tier::new();
    let (store, _) = two_thirds_dead(&tier);
    let status = store.status().unwrap();
    let idle = Repacked { wrapped: true, ..Repacked::default() };
    store.set_bucket_quota(status.bucket.unwrap().bytes);
    assert_eq!(store.repack_step().unwrap(), idle);
    store.set_bucket_quota(1 << 30);
    store.set_quota(status.bytes + 1);
    assert_eq!(store.repack_step().unwrap(), idle);
    // With room for a little, it is done as far as that goes.
    store.set_quota(1 << 30);
    assert!(pass(&store).segments > 0);
}

#[test]
fn what_was_written_again_is_not_written_again_within_the_retention_time() {
    let tier = Tier::new();
    let (store, contents) = two_thirds_dead(&tier);
    let place = |content: &Bytes| {
        let row = store.core().index.get(Table::Blobs, &ContentHash::of(content).to_key()).unwrap().unwrap();
        BlobRow::decode(&row).unwrap().place.segment
    };
    let before: Vec<u32> = (0..30).filter(|n| lives(*n)).map(|n| place(&contents[n])).collect();
    assert!(pass(&store).segments >= 4);
    let places: Vec<u32> = (0..30).filter(|n| lives(*n)).map(|n| place(&contents[n])).collect();
    assert!(places.iter().zip(&before).filter(|(now, before)| now > before).count() >= 8);
    // The segment that the last of it went to is filled with what is dead at once: values that were replaced.
    let links: Vec<ContentHash> = (0..30).filter(|n| lives(*n)).map(|n| ContentHash::of(&contents[n])).collect();
    let many = NewEntry { links: links.repeat(10).into(), ..value("") };
    for _ in 0..20 {
        store.put_entry(&key(4, 4), many.clone(), PutIf::Always).unwrap();
    }
    ship_all(&store);
    offload_all(&store);
    pass(&store);
    assert_eq!((0..30).filter(|n| lives(*n)).map(|n| place(&contents[n])).collect::<Vec<_>>(), places);
    tier.clock.advance(LONG);
    assert!(pass(&store).segments >= 1);
    check_living(&store, 1, &contents, "later");
}

#[test]
fn a_segment_whose_object_cannot_be_read_stays_and_the_others_are_repacked() {
    let tier = Tier::new();
    let (store, contents) = two_thirds_dead(&tier);
    tier.bucket.plan(1, Fault::Down);
    let mut failed = 0;
    let mut done = Repacked::default();
    while !done.wrapped {
        match store.repack_step() {
            Ok(step) => done.add(&step),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                failed += 1;
            }
        }
    }
    assert!(failed > 0 && done.segments == 0, "{failed} failed, {done:?}");
    tier.bucket.heal();
    tier.clock.advance(Duration::from_secs(60));
    check_living(&store, 1, &contents, "down");
    tier.clock.advance(LONG);
    assert!(pass(&store).segments >= 4);
    check_living(&store, 1, &contents, "healed");
}

#[test]
fn duplicates_that_clients_put_are_dead_and_the_part_that_holds_them_is_repacked() {
    let tier = Tier::new();
    let store = tier.open();
    let contents: Vec<Bytes> = (0..9).map(|n| noise(n, 3000)).collect();
    let adopt = |number, contents: &[Bytes]| {
        let (bytes, part) = (crate::tests::crash::upload_body(contents), crate::tests::crash::part(number));
        let name = store.part_object(&part).unwrap();
        tier.bucket.set(name.as_str(), Some(bytes.clone()));
        store.adopt_object(&ns("a"), &part, &name, bytes.len() as u64).unwrap().unwrap();
        name
    };
    let first = adopt(1, &contents[..6]);
    let second = adopt(2, &contents);
    let digests: Vec<ContentHash> = contents.iter().map(|content| Digest::of(content).hash).collect();
    store.put_entry(&key(1, 1), linked("all", &digests), PutIf::Always).unwrap();
    assert_eq!(pass(&store).segments, 1, "what no row speaks of is dead at once");
    assert!(tier.bucket.bytes(first.as_str()).is_some() && tier.bucket.bytes(second.as_str()).is_none());
    assert_eq!(found(&store, &contents), 9);
}

fn run_with_fault(k: u64, fault: Where) -> bool {
    let context = format!("{fault:?} at {k}");
    let mut tier = Tier::new();
    let (store, contents) = two_thirds_dead_of(&tier, if matches!(fault, Where::Disk(_)) { 10 } else { 30 });
    let disk = tier.disk.clone();
    tier.bucket.on_death(move || disk.cut());
    let count =
        |tier: &Tier| if matches!(fault, Where::Disk(_)) { tier.disk.operations() } else { tier.bucket.calls() };
    let begun = count(&tier);
    match fault {
        Where::Disk(fault) => tier.disk.plan(k, fault),
        Where::Bucket(fault) => tier.bucket.plan(k, fault),
    }
    while !tier.disk.is_dead() && !store.repack_step().is_ok_and(|step| step.wrapped) {}
    let reached = count(&tier) >= begun + k;
    tier.bucket.heal();
    tier.clock.advance(Duration::from_secs(60));
    if !tier.disk.is_dead() {
        check_living(&store, 1, &contents, &context);
    }
    drop(store);
    let mut dice = Dice(k);
    tier.disk = match fault {
        Where::Disk(DiskFault::Cut | DiskFault::Tear) => tier.disk.after_power_cut(&mut || dice.roll(2) == 0),
        _ => tier.disk.after_kill(),
    };
    let store = tier.open();
    check_living(&store, 1, &contents, &context);
    // What was left is done later; what counts as used after a crash is not, any more.
    tier.clock.advance(LONG);
    pass(&store);
    assert!(found(&store, &contents) < contents.len() * 7 / 10, "{context}");
    ship_all(&store);
    no_orphans(&tier, &store, &context);
    offload_all(&store);
    check_living(&store, 1, &contents, &format!("{context}, all in the bucket"));
    drop(store);
    tier.disk = tier.disk.after_kill();
    tier.remove_index();
    let store = tier.open();
    check_living(&store, 1, &contents, &format!("{context}, index made anew"));
    no_orphans(&tier, &store, &context);
    reached
}

fn at_every_step(fault: Where) {
    let mut k = 1;
    while run_with_fault(k, fault) {
        k += 1;
    }
    assert!(k > 8, "there are only {k} steps");
}

#[test]
fn a_power_cut_or_a_failing_disk_at_any_step_of_repacking_loses_nothing() {
    for fault in [DiskFault::Cut, DiskFault::Tear, DiskFault::Fail, DiskFault::NoSpace, DiskFault::Full] {
        at_every_step(Where::Disk(fault));
    }
}

#[test]
fn a_process_that_dies_or_a_bucket_that_fails_at_any_call_of_repacking_loses_nothing() {
    for fault in [Fault::DieBefore, Fault::DieAfter, Fault::Fail, Fault::NoAnswer, Fault::Down] {
        at_every_step(Where::Bucket(fault));
    }
}
