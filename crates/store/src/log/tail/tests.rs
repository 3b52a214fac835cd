use std::io::IoSlice;

use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk, FsDisk};
use crate::tests::support::{Dice, noise};

const NAME: &str = "segments/00000001.seg";

/// Appends to a file in both ways, and sometimes cuts it, and compares it with what it must hold after each step.
fn append_at_random(disk: &dyn Disk, seed: u64) {
    let mut dice = Dice(seed);
    let file = disk.create(NAME).unwrap();
    let mut tail = Tail::new(disk.open_direct(NAME).expect("this disk is written in blocks"));
    let mut wanted: Vec<u8> = Vec::new();
    for step in 0..60 {
        let offset = wanted.len() as u64;
        let most = [10, 600, 9000, 60_000][dice.roll(4) as usize];
        let pieces: Vec<Bytes> =
            (0..dice.roll(4)).map(|n| noise(seed << 20 | step << 8 | n, 1 + dice.roll(most) as usize)).collect();
        let added = pieces.concat();
        match dice.roll(5) {
            0 => {
                file.write_at(&[IoSlice::new(&added)], offset).unwrap();
                wanted.extend(added);
            }
            1 => {
                // As after a write that failed.
                file.write_at(&[IoSlice::new(&added)], offset).unwrap();
                file.truncate(offset).unwrap();
            }
            _ => {
                tail.write(&*file, &pieces, offset).unwrap();
                wanted.extend(added);
            }
        }
        let size = file.size().unwrap();
        let mut found = vec![0; size as usize];
        read_exact_at(&*file, &mut found, 0).unwrap();
        let (log, padding) = found.split_at(wanted.len());
        assert!(log == wanted, "step {step} of {seed}");
        assert!(padding.len() < BLOCK && padding.iter().all(|byte| *byte == 0), "step {step} of {seed}");
        if size.is_multiple_of(BLOCK as u64) {
            assert!(is_padding(&*file, wanted.len() as u64, size).unwrap(), "step {step} of {seed}");
        }
    }
}

#[test]
fn whatever_way_groups_are_written_the_file_is_the_log_and_what_fills_up_its_last_block() {
    for seed in 0..20 {
        append_at_random(&FaultyDisk::default(), seed);
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
    (0..5).for_each(|seed| append_at_random(&disk, seed));
}

#[test]
fn only_zeros_to_the_end_of_the_block_in_which_the_log_ends_fill_it_up() {
    let disk = FaultyDisk::default();
    let file = disk.create(NAME).unwrap();
    let mut bytes = vec![7; 5000];
    bytes.resize(2 * BLOCK, 0);
    file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
    let is_padding = |offset, end| is_padding(&*file, offset, end).unwrap();
    assert!(is_padding(5000, 8192));
    assert!(is_padding(8192 - 64, 8192), "as long as a record's header");
    assert!(!is_padding(4999, 8192), "one byte is not zero");
    assert!(!is_padding(5000, 8191), "no whole block");
    disk.damage(NAME, |bytes| bytes.resize(3 * BLOCK, 0));
    assert!(!is_padding(5000, 3 * 4096), "a block more than it takes");
}
