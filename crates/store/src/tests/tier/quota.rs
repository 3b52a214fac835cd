//! Quotas of the disk and of the bucket, and the sweep.

use std::collections::BTreeMap;

use larder_base::{Clock as _, Timestamp};

use super::*;
use crate::row::ObjectState;

/// Puts blobs without entries, each in a group of its own.
fn put_all(store: &Store, seeds: std::ops::Range<u64>) -> Vec<Bytes> {
    let contents: Vec<Bytes> = seeds.map(|n| noise(n, 3000)).collect();
    for content in &contents {
        put(store, "a", content).unwrap();
    }
    contents
}

fn is_here(store: &Store, content: &Bytes) -> bool {
    get(store, "a", &ContentHash::of(content)).is_some()
}

#[test]
fn on_a_full_disk_what_is_shipped_leaves_it_and_what_is_not_waits() {
    let tier = Tier::new();
    let index = tier.open().status().unwrap().index_bytes;
    let store = tier.open_with(Options { quota: index + 600_000, ..tier.options() });
    let mut contents = Vec::new();
    let error = loop {
        let content = noise(contents.len() as u64, 3000);
        match put(&store, "a", &content) {
            Ok(_) => contents.push(content),
            Err(error) => break error,
        }
        assert!(contents.len() < 1000, "the quota is not kept");
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    tier.clock.advance(LONG);
    assert_eq!(put(&store, "a", &noise(5000, 3000)).unwrap_err().kind(), ErrorKind::Full, "what is not shipped waits");
    assert!(contents.iter().all(|content| is_here(&store, content)));
    // Now some of it may leave the disk, and not more than needed.
    let shipped = ship_all(&store);
    tier.clock.advance(LONG);
    let oldest =
        contents.iter().position(|content| store.locate(&ns("a"), &[ContentHash::of(content)]).unwrap()[0].segment > 1);
    contents[..oldest.unwrap()].iter().for_each(|content| assert!(is_here(&store, content)));
    for n in 6000..6010 {
        contents.push(noise(n, 3000));
        put(&store, "a", contents.last().unwrap()).unwrap();
    }
    let offloaded = store.status().unwrap().bucket.unwrap().offloaded_segments;
    assert!((1..shipped).contains(&offloaded), "{offloaded} of {shipped} segments left the disk");
    assert!(tier.has(&segment_path(1)), "the segment that was used last stays");
    assert!(tier.has(&stub_path(3)));
    assert!(contents.iter().all(|content| is_here(&store, content)));
    let step = store.evict_step().unwrap();
    assert_eq!(step.segments, 0);
    assert!(store.status().unwrap().bytes <= index + 600_000);
}

#[test]
fn on_a_full_bucket_the_oldest_segments_go_and_what_is_in_use_is_written_again() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = put_all(&store, 0..60);
    let shipped = ship_all(&store);
    offload_all(&store);
    tier.clock.advance(LONG);
    assert!(is_here(&store, &contents[0]));
    let bytes = store.status().unwrap().bucket.unwrap().bytes;
    store.set_bucket_quota(bytes / 2);
    let mut all = crate::Evicted::default();
    loop {
        let step = store.evict_step().unwrap();
        all.add(&step);
        if step.is_none() {
            break;
        }
    }
    let status = store.status().unwrap().bucket.unwrap();
    assert!(all.segments >= shipped / 2 && all.kept >= 1 && all.blobs > 10, "{all:?}");
    assert!(status.bytes <= bytes / 2 - bytes / 20, "down to the low water");
    assert_eq!((status.objects, status.doomed_objects), (shipped - all.segments, 0));
    assert_eq!(tier.bucket.names().len() as u64, status.objects);
    assert!(is_here(&store, &contents[0]), "it is in use");
    assert!(!is_here(&store, &contents[1]) && is_here(&store, &contents[59]));
    assert!(!tier.has(&stub_path(1)));
    // What comes is shipped as far as the quota lets it, and evicts more.
    tier.clock.advance(LONG);
    put_all(&store, 100..160);
    while let Ok(Some(_)) = store.ship_next() {}
    assert!(store.status().unwrap().bucket.unwrap().bytes <= bytes / 2);
    assert!(is_here(&store, &noise(159, 3000)));
}

#[test]
fn a_bucket_without_room_takes_no_more_until_something_may_go() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = put_all(&store, 0..30);
    store.set_bucket_quota(50_000);
    let mut shipped = 0;
    let error = loop {
        match store.ship_next() {
            Ok(step) => shipped += u64::from(step.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), shipped), (ErrorKind::Full, 2));
    assert!(error.hint().is_some());
    let direct = crate::tests::crash::upload_body(&[noise(900, 3000), noise(901, 9000)]);
    let part = crate::tests::crash::part(1);
    let name = store.part_object(&part).unwrap();
    tier.bucket.set(name.as_str(), Some(direct.clone()));
    let refused = store.adopt_object(&ns("a"), &part, &name, direct.len() as u64).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    assert!(contents.iter().all(|content| is_here(&store, content)));
    tier.clock.advance(LONG);
    assert!(store.ship_next().unwrap().is_some());
    assert!(store.adopt_object(&ns("a"), &part, &name, direct.len() as u64).unwrap().is_some());
}

#[test]
fn an_object_that_could_not_be_deleted_is_deleted_by_a_sweep_and_never_comes_back() {
    for lost_index in [false, true] {
        let tier = Tier::new();
        let mut store = tier.open();
        let contents = put_all(&store, 0..30);
        let address = key(1, 1);
        store.put_entry(&address, value("old"), PutIf::Always).unwrap();
        ship_all(&store);
        offload_all(&store);
        store.delete_entry(&address).unwrap();
        tier.clock.advance(LONG);
        store.set_bucket_quota(1);
        tier.bucket.plan(1, Fault::Down);
        let evicted = store.evict_step().unwrap();
        assert!(evicted.segments >= 3);
        let doomed = store.status().unwrap().bucket.unwrap().doomed_objects;
        assert_eq!(doomed, evicted.segments);
        assert_eq!(store.sweep_objects(AGE).unwrap_err().kind(), ErrorKind::Unavailable);
        // The records that say so go, too, when their segment is evicted; and then the index is lost.
        put_all(&store, 100..120);
        tier.bucket.heal();
        tier.clock.advance(LONG);
        let first = store.core().heat.ids()[0];
        assert!(store.evict_segment(first, &mut crate::Evicted::default()).unwrap().is_some());
        drop(store);
        tier.disk.remove(&segment_path(first)).unwrap();
        if lost_index {
            tier.remove_index();
        }
        store = tier.open();
        assert!(contents[..20].iter().all(|content| !is_here(&store, content)));
        assert_eq!(store.get_entry(&address, Access::Check).unwrap(), None);
        let swept = [store.sweep_objects(AGE).unwrap(), store.sweep_objects(AGE).unwrap()];
        assert!(swept[0].deleted >= doomed, "{swept:?}");
        assert_eq!(swept[1].deleted, 0);
        let left = store.core().archive.as_ref().unwrap().segments(ObjectState::Stored).len();
        assert_eq!(tier.bucket.names().len(), left);
        store.close().unwrap();
        drop(store);
        let store = tier.open();
        assert!(contents[..20].iter().all(|content| !is_here(&store, content)));
        assert_eq!(store.status().unwrap().bucket.unwrap().doomed_objects, 0);
    }
}

#[test]
fn an_object_that_was_put_and_not_recorded_goes_with_its_segment() {
    let mut tier = Tier::new();
    let store = tier.open();
    let contents = put_all(&store, 0..30);
    let disk = tier.disk.clone();
    tier.bucket.on_death(move || disk.cut());
    tier.bucket.plan(1, Fault::DieAfter);
    store.ship_next().unwrap_err();
    drop(store);
    tier.disk = tier.disk.after_kill();
    tier.bucket.heal();
    assert_eq!(tier.bucket.names().len(), 1);
    let store = tier.open();
    assert_eq!(store.object_of(1), None);
    tier.clock.advance(LONG);
    assert!(store.evict_segment(1, &mut crate::Evicted::default()).unwrap().is_some());
    // However young it is.
    assert_eq!(store.sweep_objects(AGE).unwrap().deleted, 1);
    assert_eq!(tier.bucket.names(), [""; 0]);
    assert!(!is_here(&store, &contents[0]) && is_here(&store, &contents[29]));
}

#[test]
fn a_sweep_deletes_only_old_objects_of_this_store_that_nothing_speaks_of() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = put_all(&store, 0..30);
    ship_all(&store);
    offload_all(&store);
    let known = tier.bucket.names();
    let start = store.core().archive.as_ref().unwrap().start().to_owned();
    let old: Vec<String> = (0..5).map(|n| format!("{start}uploads/{n}")).collect();
    let foreign = ["another/segments/00000001.seg".to_owned(), "01".to_owned()];
    old.iter().chain(&foreign).for_each(|name| tier.bucket.set(name, Some(noise(1, 10))));
    tier.clock.advance(AGE);
    let young = format!("{start}uploads/young");
    tier.bucket.set(&young, Some(noise(1, 10)));
    // A list in small pages that leaves some out: what is not listed is not believed to be gone.
    tier.bucket.list_as(3, &[known[0].clone(), old[4].clone()]);
    let (mut orphans, mut steps) = (0, 0);
    loop {
        let swept = store.sweep_objects(AGE).unwrap();
        assert_eq!((swept.deleted, swept.forgotten), (0, 0));
        orphans += swept.orphans;
        steps += 1;
        if swept.wrapped {
            break;
        }
    }
    assert_eq!(orphans, 4);
    assert!(steps > 2, "{steps} pages");
    let mut left: Vec<String> = known.iter().chain(&foreign).chain([&young, &old[4]]).cloned().collect();
    left.sort();
    assert_eq!(tier.bucket.names(), left);
    assert!(contents.iter().all(|content| is_here(&store, content)));
    tier.bucket.plan(1, Fault::Fail);
    assert_eq!(store.sweep_objects(AGE).unwrap_err().kind(), ErrorKind::Unavailable);
    tier.bucket.list_as(1000, &[]);
    assert_eq!(store.sweep_objects(AGE).unwrap().orphans, 1);
    assert_eq!(store.sweep_objects(AGE).unwrap().orphans, 0);
}

#[test]
fn an_eviction_that_needs_a_bucket_that_is_away_is_done_later() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = put_all(&store, 0..30);
    ship_all(&store);
    offload_all(&store);
    tier.clock.advance(LONG);
    assert!(store.missing(&ns("a"), &[ContentHash::of(&contents[0])]).unwrap().is_empty());
    store.set_bucket_quota(30_000);
    tier.bucket.plan(1, Fault::Down);
    assert_eq!(store.evict_step().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(store.missing(&ns("a"), &[ContentHash::of(&contents[0])]).unwrap().is_empty());
    tier.bucket.heal();
    tier.clock.advance(Duration::from_secs(60));
    assert!(store.evict_step().unwrap().kept >= 1);
    assert!(is_here(&store, &contents[0]));
}

/// Repacks for some steps; one that fails is as good as none.
fn repack_some(store: &Store) -> u64 {
    (0..20).map(|_| store.repack_step().map_or(0, |step| step.segments)).sum()
}

fn evict_and_prune(store: &Store) -> larder_base::Result<crate::Evicted> {
    let step = store.evict_step()?;
    prune_all(store).unwrap();
    Ok(step)
}

/// Objects that are there and known. What was put with the answer lost is: the next step of shipping says so.
fn spoken_of(tier: &Tier, store: &Store) -> usize {
    let archive = store.core().archive.as_ref().unwrap();
    let is_there = |segment: &u32| tier.bucket.bytes(archive.object(*segment).unwrap().name.as_str()).is_some();
    let put = archive.segments(ObjectState::Intended).iter().filter(|segment| is_there(segment)).count();
    archive.segments(ObjectState::Stored).len() + put
}

#[test]
fn nothing_promised_is_dropped_and_both_quotas_are_kept() {
    const BUCKET: u64 = 500_000;
    for seed in 0..3 {
        let mut tier = Tier::new();
        let index = tier.open().status().unwrap().index_bytes;
        let disk_quota = index + 400_000;
        let options = |tier: &Tier| {
            let mut options = Options { quota: disk_quota, ..tier.options() };
            options.bucket.as_mut().unwrap().quota = BUCKET;
            options
        };
        let mut store = tier.open_with(options(&tier));
        let mut dice = Dice(seed);
        let mut promised: BTreeMap<ContentHash, (Bytes, Timestamp)> = BTreeMap::new();
        let (mut refused, mut offloaded, mut evicted, mut repacked, mut down) = (0, 0, 0, 0, 0);
        for n in 0..1200_u64 {
            match dice.roll(100) {
                0..45 => {
                    let content = noise(seed << 32 | n, 1000 + dice.roll(5000) as usize);
                    match put(&store, "a", &content) {
                        Ok(digest) => drop(promised.insert(digest.hash, (content, tier.clock.now()))),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Full);
                            refused += 1;
                            tier.clock.advance(RETENTION / 4);
                        }
                    }
                }
                45..66 => drop(store.ship_next()),
                66..74 => {
                    if let Ok(step) = evict_and_prune(&store) {
                        offloaded += step.offloaded;
                        evicted += step.segments;
                    }
                }
                74..76 => drop(store.sweep_objects(Duration::from_secs(3600))),
                76 => repacked += repack_some(&store),
                77..88 if !promised.is_empty() => {
                    let at = dice.roll(promised.len() as u64) as usize;
                    let (hash, (content, time)) = promised.iter_mut().nth(at).unwrap();
                    let found = if dice.roll(2) == 0 {
                        match store.get(&ns("a"), hash, ByteRange::ALL) {
                            Ok(reader) => reader.map(|reader| {
                                let read = reader.map(Result::unwrap).collect::<Vec<_>>().concat();
                                assert!(read == *content, "seed {seed}, step {n}: wrong bytes");
                            }),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Unavailable);
                                down += 1;
                                continue;
                            }
                        }
                        .is_some()
                    } else {
                        store.missing(&ns("a"), &[*hash]).unwrap().is_empty()
                    };
                    let is_old = tier.clock.now().since(*time) >= RETENTION;
                    assert!(found || is_old, "seed {seed}, step {n}: a promise was broken");
                    if found {
                        *time = tier.clock.now();
                    }
                }
                88..90 => {
                    let faults = [Fault::Fail, Fault::NoAnswer, Fault::Down];
                    tier.bucket.plan(1 + dice.roll(3), faults[dice.roll(3) as usize]);
                }
                90..94 => tier.bucket.heal(),
                94 => {
                    if dice.roll(2) == 0 {
                        store.close().unwrap();
                    }
                    drop(store);
                    tier.disk = tier.disk.after_kill();
                    if dice.roll(3) == 0 {
                        tier.bucket.heal();
                        tier.remove_index();
                    }
                    store = tier.open_with(options(&tier));
                }
                _ => tier.clock.advance(RETENTION / 10),
            }
            let status = store.status().unwrap();
            assert!(status.bytes <= disk_quota + 60_000, "{} bytes of {disk_quota}", status.bytes);
            let held: u64 = tier.bucket.names().iter().map(|name| tier.bucket.bytes(name).unwrap().len() as u64).sum();
            assert!(held <= BUCKET, "seed {seed}, step {n}: the bucket holds {held} bytes");
        }
        assert!(
            offloaded > 5 && (evicted > 5 || repacked > 0) && down > 0,
            "{offloaded} offloaded, {evicted} evicted, {repacked} repacked, {refused} refused, {down} down"
        );
        tier.bucket.heal();
        tier.clock.advance(Duration::from_secs(60));
        for (hash, (content, time)) in &promised {
            match get(&store, "a", hash) {
                Some(found) => assert!(found == *content),
                None => assert!(tier.clock.now().since(*time) >= RETENTION, "seed {seed}: a promise was broken"),
            }
        }
        while !store.sweep_objects(Duration::ZERO).unwrap().wrapped {}
        assert_eq!(tier.bucket.names().len(), spoken_of(&tier, &store), "seed {seed}");
    }
}
