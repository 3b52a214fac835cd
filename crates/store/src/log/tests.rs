use std::sync::atomic::AtomicU64;

use super::*;
use crate::disk::Disk as _;
use crate::disk::faulty::FaultyDisk;
use crate::tests::support::noise;

#[test]
fn a_segment_is_sealed_at_its_length_or_at_its_number_of_records() {
    let file = FaultyDisk::default().create("segments/00000001.seg").unwrap();
    let log = |offset, ordinal| ActiveLog::resume(1, Arc::clone(&file), None, offset, ordinal);
    assert!(!log(4095, 999_999).is_full(4096));
    assert!(log(4096, 0).is_full(4096));
    assert!(log(16, 1_000_000).is_full(1 << 30));
}

#[test]
fn where_the_file_system_refuses_blocks_after_all_the_log_is_written_as_files_are() {
    struct Refusing;
    impl DirectFile for Refusing {
        fn read_blocks(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn write_blocks(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
    let disk = FaultyDisk::default();
    let file = disk.create("segments/00000001.seg").unwrap();
    let mut log = ActiveLog::resume(1, file, Some(Arc::new(Refusing)), 0, 0);
    log.write_pieces(&[Bytes::from_static(b"one"), Bytes::from_static(b"two")], true, 1 << 20).unwrap();
    assert_eq!(disk.bytes("segments/00000001.seg"), b"onetwo");
    assert!(log.tail.is_none(), "it is not asked again");
}

#[test]
fn only_what_is_synced_at_once_and_small_goes_past_the_memory_of_the_system() {
    let written = |length: usize, sync| {
        let disk = FaultyDisk::default();
        let file = disk.create("segments/00000001.seg").unwrap();
        let direct = disk.open_direct("segments/00000001.seg");
        let mut log = ActiveLog::resume(1, file, direct, 0, 0);
        // Sealed at once: there are no zeros ahead.
        log.write_pieces(&[vec![1; length].into()], sync, 0).unwrap();
        disk.bytes("segments/00000001.seg").len()
    };
    // A file that is longer than what was written was written in blocks.
    assert_eq!(written(100, true), 4096);
    assert_eq!(written(100, false), 100);
    assert_eq!(written(256 << 10, true), 256 << 10);
    assert_eq!(written((256 << 10) - 1, true), 256 << 10);
    assert_eq!(written((256 << 10) + 1, true), (256 << 10) + 1);
}

/// Takes the first writes, and then none.
struct Limited {
    blocks: Arc<dyn DirectFile>,
    left: AtomicU64,
}

impl DirectFile for Limited {
    fn read_blocks(&self, blocks: &mut [u8], offset: u64) -> io::Result<usize> {
        self.blocks.read_blocks(blocks, offset)
    }

    fn write_blocks(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        let took = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        took.map_err(|_| io::ErrorKind::Unsupported)?;
        self.blocks.write_blocks(blocks, offset)
    }
}

#[test]
fn where_blocks_are_refused_from_some_group_or_its_zeros_on_the_log_goes_on_as_files_are_written() {
    let groups: Vec<Bytes> = (0..8).map(|seed| noise(seed, 3000)).collect();
    for taken in 0..10 {
        let disk = FaultyDisk::default();
        let file = disk.create("segments/00000001.seg").unwrap();
        let blocks = disk.open_direct("segments/00000001.seg").unwrap();
        let direct = Arc::new(Limited { blocks, left: AtomicU64::new(taken) });
        let mut log = ActiveLog::resume(1, file, Some(direct), 0, 0);
        for group in &groups {
            log.write_pieces(std::slice::from_ref(group), true, 1 << 20).unwrap();
            log.advance(log.offset + group.len() as u64, 0, Vec::new());
        }
        let bytes = disk.bytes("segments/00000001.seg");
        let (written, zeros) = bytes.split_at(8 * 3000);
        assert!(written == groups.concat(), "{taken} writes were taken");
        assert!(zeros.iter().all(|byte| *byte == 0), "{taken} writes were taken");
    }
}

#[test]
fn a_log_that_is_cut_knows_that_its_zeros_are_gone() {
    let disk = FaultyDisk::default();
    let file = disk.create("segments/00000001.seg").unwrap();
    let direct = disk.open_direct("segments/00000001.seg");
    let mut log = ActiveLog::resume(1, file, direct, 0, 0);
    for _ in 0..2 {
        log.write_pieces(&[noise(1, 100)], true, 1 << 20).unwrap();
        log.advance(log.offset + 100, 0, Vec::new());
        assert_eq!(disk.bytes("segments/00000001.seg").len(), 4096 + AHEAD);
        log.cut().unwrap();
        assert_eq!(disk.bytes("segments/00000001.seg").len() as u64, log.offset);
    }
}
