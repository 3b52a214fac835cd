use std::io::IoSlice;

use super::*;
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::disk::{Disk, FsDisk};
use crate::log::Padding;
use crate::tests::support::{Dice, noise};

const NAME: &str = "segments/00000001.seg";
/// Where no test gets.
const FAR: u64 = 1 << 30;

fn tail_on(disk: &dyn Disk) -> Tail {
    Tail::new(disk.open_direct(NAME).expect("this disk is written in blocks"))
}

/// Appends to a file in both ways, and sometimes cuts it, and compares it with what it must hold after each step. A disk
/// that is `faulty` has no room now and then.
fn append_at_random(disk: &dyn Disk, faulty: Option<&FaultyDisk>, seed: u64) {
    let mut dice = Dice(seed);
    let file = disk.create(NAME).unwrap();
    let mut tail = tail_on(disk);
    let mut wanted: Vec<u8> = Vec::new();
    for step in 0..80 {
        let context = format!("step {step} of {seed}");
        let offset = wanted.len() as u64;
        let most = [10, 600, 9000, 60_000][dice.roll(4) as usize];
        let limit = [FAR, offset + dice.roll(20_000)][dice.roll(2) as usize];
        let pieces: Vec<Bytes> =
            (0..dice.roll(4)).map(|n| noise(seed << 20 | step << 8 | n, 1 + dice.roll(most) as usize)).collect();
        let added = pieces.concat();
        match dice.roll(8) {
            0 => {
                file.write_at(&[IoSlice::new(&added)], offset).unwrap();
                wanted.extend(added);
            }
            1 => {
                // As after a write that failed.
                file.write_at(&[IoSlice::new(&added)], offset).unwrap();
                tail.was_cut();
                file.truncate(offset).unwrap();
            }
            2 => {
                // As after an opening.
                file.truncate(offset).unwrap();
                tail = tail_on(disk);
            }
            roll => {
                let disk = faulty.filter(|_| roll < 5);
                disk.inspect(|disk| disk.plan(1 + dice.roll(2), Fault::NoSpace));
                match tail.write(&*file, &pieces, offset, limit) {
                    Ok(()) => wanted.extend(added),
                    Err(error) => {
                        assert!(disk.is_some(), "{context}: {error}");
                        tail.was_cut();
                        file.truncate(offset).unwrap();
                    }
                }
                disk.inspect(|disk| disk.heal());
            }
        }
        let size = file.size().unwrap();
        let mut found = vec![0; size as usize];
        read_exact_at(&*file, &mut found, 0).unwrap();
        let (log, zeros) = found.split_at(wanted.len());
        assert!(log == wanted, "{context}");
        assert!(zeros.iter().all(|byte| *byte == 0), "{context}");
        assert!(Padding::new(&*file, size).begins_by(wanted.len() as u64).unwrap(), "{context}: {} zeros", zeros.len());
        assert!(tail.zeroed <= size, "{context}: {} of {size} bytes are said to be zeros", tail.zeroed);
    }
}

#[test]
fn whatever_way_groups_are_written_the_file_is_the_log_and_zeros() {
    for seed in 0..20 {
        append_at_random(&FaultyDisk::default(), None, seed);
    }
    for seed in 20..60 {
        let disk = FaultyDisk::default();
        append_at_random(&disk, Some(&disk), seed);
    }
}

#[test]
#[expect(clippy::disallowed_macros, reason = "a test that is skipped says so")]
fn the_real_disk_shows_what_went_past_its_memory_to_whoever_reads_the_file() {
    // Beside the build, as the directory for temporary files may be in memory, where nothing can be written so.
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    std::fs::create_dir(dir.path().join("segments")).unwrap();
    let disk = FsDisk::new(dir.path());
    disk.create(NAME).unwrap();
    if disk.open_direct(NAME).is_none() {
        eprintln!("SKIPPED: the file system of the sources is not written in blocks");
        return;
    }
    (0..5).for_each(|seed| append_at_random(&disk, None, seed));
}

/// A log that is written in groups of some bytes, by either way.
struct Written {
    disk: FaultyDisk,
    file: Arc<dyn DiskFile>,
    tail: Tail,
    offset: u64,
    limit: u64,
}

impl Written {
    fn new(limit: u64) -> Self {
        let disk = FaultyDisk::default();
        let (file, tail) = (disk.create(NAME).unwrap(), tail_on(&disk));
        Self { disk, file, tail, offset: 0, limit }
    }

    /// Appends a group; returns how often the disk was written to, and the bytes of the file then.
    fn group(&mut self, length: usize) -> (u64, u64) {
        let before = self.disk.operations();
        self.tail.write(&*self.file, &[vec![7; length].into()], self.offset, self.limit).unwrap();
        self.offset += length as u64;
        (self.disk.operations() - before, self.file.size().unwrap())
    }

    fn group_through_memory(&mut self, length: usize) {
        self.file.write_at(&[IoSlice::new(&vec![7; length])], self.offset).unwrap();
        self.offset += length as u64;
    }
}

const STRETCH: u64 = AHEAD as u64;

#[test]
fn a_group_that_ends_in_the_zeros_does_not_make_the_file_longer() {
    let mut log = Written::new(FAR);
    assert_eq!(log.group(BLOCK), (2, 4096 + STRETCH), "the group, and the zeros behind it");
    assert_eq!(log.group(100), (1, 4096 + STRETCH));
    assert_eq!(log.group(AHEAD - 100), (1, 4096 + STRETCH), "to their last byte");
    assert_eq!(log.group(1), (2, 8192 + 2 * STRETCH), "the next stretch begins behind the group's last block");
    assert_eq!(log.group(2 * AHEAD), (2, 8192 + 3 * STRETCH + STRETCH));
}

#[test]
fn of_the_zeros_those_behind_a_group_that_went_through_memory_are_still_there() {
    let mut log = Written::new(FAR);
    log.group(100);
    log.group_through_memory(BLOCK);
    assert_eq!(log.group(100), (1, 4096 + STRETCH));
    log.group_through_memory(2 * AHEAD);
    let end = (log.offset + 100).next_multiple_of(4096);
    assert_eq!(log.group(100), (2, end + STRETCH), "it overwrote the last of them");
}

#[test]
fn there_are_no_zeros_beyond_the_block_in_which_the_segment_is_to_be_sealed() {
    let mut log = Written::new(9000);
    assert_eq!(log.group(100), (2, 3 * 4096));
    assert_eq!(log.group(8000), (1, 3 * 4096));
    assert_eq!(log.group(20_000), (1, 7 * 4096), "a group may go beyond it");
    assert_eq!(log.group(4096), (1, 8 * 4096));
}

#[test]
fn a_disk_without_room_for_zeros_takes_the_group_and_has_its_room_back() {
    for fault in [Fault::NoSpace, Fault::Fail] {
        let mut log = Written::new(FAR);
        log.disk.plan(2, fault);
        let (_, size) = log.group(100);
        assert_eq!(size, 4096, "the half of them that was written is gone");
        assert_eq!(log.group(100), (1, 4096));
        assert_eq!(log.group(BLOCK), (1, 8192), "they are not tried again in this segment");
    }
}

#[test]
fn after_a_cut_the_zeros_are_written_again() {
    let mut log = Written::new(FAR);
    log.group(100);
    log.tail.was_cut();
    log.file.truncate(log.offset).unwrap();
    assert_eq!(log.group(100), (2, 4096 + STRETCH));
}
