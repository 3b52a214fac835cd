//! Chunks that come again after the record that had their name was found bad.

use std::sync::Arc;

use bytes::Bytes;
use larder_base::ContentHash;
use larder_base::segment::Record;

use super::crash::{part, upload_body};
use super::support::*;
use crate::body::{Adoption, Origin, Trailer, TrailerLine};
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::files::segment_path;
use crate::index::Table;
use crate::row::BlobRow;
use crate::rows::Rows;
use crate::{Durability, Options, Store};

fn open_on(dir: &std::path::Path, disk: &FaultyDisk, durability: Durability) -> Store {
    let options = Options { durability, segment_len: 8000, ..options(dir) };
    Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap()
}

/// Flips a byte of a content, wherever it lies in a segment.
fn rot(disk: &FaultyDisk, segment: u32, content: &Bytes) {
    disk.damage(&segment_path(segment), |bytes| {
        let at = bytes.windows(16).position(|window| window == &content[100..116]).unwrap();
        bytes[at] ^= 1;
    });
}

fn receive(store: &Store, number: u32, contents: &[Bytes]) {
    let body = upload_body(contents);
    store.receive(&part(number), body.len() as u64, &mut [Ok(body.clone())].into_iter()).unwrap();
}

fn assert_all(store: &Store, namespace: &str, contents: &[Bytes], context: &str) {
    for content in contents {
        let found = get(store, namespace, &ContentHash::of(content));
        assert!(found.as_deref() == Some(&content[..]), "{context}: {:?} bytes", found.map(|found| found.len()));
    }
}

/// A store that was told of damage by a read, and whose index on the disk knows nothing of it.
struct Rotten {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    store: Store,
    /// The first two are damaged in segment 1.
    contents: Vec<Bytes>,
}

fn rotten(durability: Durability) -> Rotten {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk, durability);
    let contents: Vec<Bytes> = (0..4).map(|n| noise(n, 900)).collect();
    for content in &contents[..3] {
        put(&store, "a", content).unwrap();
    }
    // So many that the segment is sealed: what is in memory of its last block would mend it.
    for n in 100..107 {
        put(&store, "a", &noise(n, 900)).unwrap();
    }
    assert!(store.core().active.read().as_ref().unwrap().0 > 1);
    store.checkpoint().unwrap();
    for content in &contents[..2] {
        rot(&disk, 1, content);
        assert_eq!(get(&store, "a", &ContentHash::of(content)), None);
    }
    Rotten { dir, disk, store, contents }
}

#[test]
fn a_chunk_adopted_in_place_of_a_damaged_record_outlives_a_kill_and_the_index() {
    for durability in [Durability::Synced, Durability::Relaxed] {
        let Rotten { dir, disk, store, contents } = rotten(durability);
        receive(&store, 1, &contents);
        let adopted = store.adopt(&ns("up"), &part(1)).unwrap().unwrap();
        assert_eq!(adopted.records, 4);
        assert_all(&store, "up", &contents, "adopted");
        // As nobody has it until it is put again.
        assert_eq!(get(&store, "a", &ContentHash::of(&contents[0])), None);
        for power_cut in [false, true] {
            let context = format!("{durability:?}, power cut: {power_cut}");
            let disk = if power_cut { disk.after_power_cut(&mut || false) } else { disk.after_kill() };
            let copy = super::damage::copy_of(dir.path());
            for index in ["as the last checkpoint left it", "up to date", "made anew"] {
                if index == "made anew" {
                    std::fs::remove_dir_all(copy.path().join("index")).unwrap();
                }
                let store = open_on(copy.path(), &disk.after_kill(), durability);
                assert_all(&store, "up", &contents, &format!("{context}, index {index}"));
                store.checkpoint().unwrap();
            }
        }
    }
}

#[test]
fn a_fault_at_any_step_of_an_adoption_in_place_of_damaged_records_loses_nothing_acknowledged() {
    for fault in [Fault::Fail, Fault::NoSpace, Fault::Cut, Fault::Tear] {
        for k in 1.. {
            let context = format!("{fault:?} at operation {k}");
            let Rotten { dir, disk, store, contents } = rotten(Durability::Synced);
            receive(&store, 1, &contents);
            let before = disk.operations();
            disk.plan(k, fault);
            let adopted = store.adopt(&ns("up"), &part(1));
            let reached = disk.operations() >= before + k;
            drop(store);
            let mut dice = Dice(k);
            let disk = match fault {
                Fault::Cut | Fault::Tear => disk.after_power_cut(&mut || dice.roll(2) == 0),
                _ => disk.after_kill(),
            };
            let store = open_on(dir.path(), &disk, Durability::Synced);
            // Who does not know of the damage takes what is there for good; so somebody reads it.
            for content in &contents[..2] {
                assert_eq!(get(&store, "a", &ContentHash::of(content)), None, "{context}");
            }
            if adopted.is_err() && store.adopt(&ns("up"), &part(1)).unwrap().is_none() {
                // The opening brought it to its end.
                assert!(store.waiting(None).unwrap().is_empty(), "{context}");
            }
            assert_all(&store, "up", &contents, &context);
            drop(store);
            let again = match fault {
                Fault::Cut | Fault::Tear => disk.after_power_cut(&mut || false),
                // What a sync failed to write is read as long as the machine runs, and no later sync writes it.
                _ => disk.after_kill(),
            };
            let store = open_on(dir.path(), &again, Durability::Synced);
            assert_all(&store, "up", &contents, &format!("{context}, opened again"));
            drop(store);
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
            let store = open_on(dir.path(), &disk.after_kill(), Durability::Synced);
            assert_all(&store, "up", &contents, &format!("{context}, index made anew"));
            if !reached {
                assert!(k > 8, "{context}: an adoption has only so many operations");
                break;
            }
        }
    }
}

#[test]
fn a_record_condemned_and_not_yet_set_aside_has_its_name_still() {
    let Rotten { dir, disk, store, contents } = rotten(Durability::Synced);
    let hash = ContentHash::of(&contents[2]);
    let row = Rows::new(store.core()).blob(&hash).unwrap().unwrap();
    // What a read does first; the index forgets the record a moment later.
    assert!(store.core().heat.condemn(row.place.segment, row.place.ordinal));
    rot(&disk, 1, &contents[2]);
    receive(&store, 1, &contents);
    store.adopt(&ns("up"), &part(1)).unwrap().unwrap();
    assert_all(&store, "up", &contents, "adopted");
    let disk = disk.after_kill();
    drop(store);
    let store = open_on(dir.path(), &disk, Durability::Synced);
    assert_all(&store, "up", &contents, "after a kill");
}

#[test]
fn a_name_that_was_held_when_an_adoption_looked_stays_with_its_record() {
    let Rotten { store, contents, .. } = rotten(Durability::Synced);
    let core = store.core();
    let mut rows = Rows::new(core);
    let hash = ContentHash::of(&contents[2]);
    let row = rows.blob(&hash).unwrap().unwrap();
    let record = Record::chunk(hash, contents[2].clone(), 1);
    let trailer = Trailer { origin: Origin::Adopted, lines: vec![TrailerLine::from(&record.header); 2] };
    let adoption = Adoption { segment: 99, length: 5000, time: rows.now, namespace: ns("up"), part: part(1) };
    // A read on another thread, in the middle of the operation.
    assert!(core.heat.condemn(row.place.segment, row.place.ordinal));
    rows.adopt(&adoption, &trailer, |_, _| Ok(true)).unwrap();
    let place =
        |rows: &Rows<'_>| BlobRow::decode(&rows.get(Table::Blobs, &hash.to_key()).unwrap().unwrap()).unwrap().place;
    assert_eq!(place(&rows), row.place);
    // One that was free is taken over, by the first record of that name.
    rows.adopt(&adoption, &trailer, |_, _| Ok(false)).unwrap();
    assert_eq!((place(&rows).segment, place(&rows).ordinal), (99, 0));
}

#[test]
fn a_part_of_which_nothing_was_found_bad_is_not_written_again() {
    let Rotten { disk, store, .. } = rotten(Durability::Synced);
    let contents: Vec<Bytes> = (10..20).map(|n| noise(n, 900)).collect();
    put(&store, "a", &contents[3]).unwrap();
    let log = store.core().active.read().as_ref().unwrap().0;
    let end = || disk.bytes(&segment_path(log)).iter().rposition(|byte| *byte != 0).unwrap();
    let before = end();
    receive(&store, 1, &contents);
    store.adopt(&ns("up"), &part(1)).unwrap().unwrap();
    // The adoption and its commit.
    assert!(end() - before < 500, "{} bytes", end() - before);
    assert_all(&store, "up", &contents, "adopted");
}
