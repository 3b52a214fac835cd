use super::*;
use crate::disk::Disk as _;
use crate::disk::faulty::FaultyDisk;

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
    log.write_pieces(&[Bytes::from_static(b"one"), Bytes::from_static(b"two")], true).unwrap();
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
        log.write_pieces(&[vec![1; length].into()], sync).unwrap();
        disk.bytes("segments/00000001.seg").len()
    };
    // A file that is longer than what was written was written in blocks.
    assert_eq!(written(100, true), 4096);
    assert_eq!(written(100, false), 100);
    assert_eq!(written(256 << 10, true), 256 << 10);
    assert_eq!(written((256 << 10) - 1, true), 256 << 10);
    assert_eq!(written((256 << 10) + 1, true), (256 << 10) + 1);
}
