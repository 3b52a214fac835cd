use super::*;
use crate::disk::Disk as _;
use crate::disk::faulty::FaultyDisk;

#[test]
fn a_segment_is_sealed_at_its_length_or_at_its_number_of_records() {
    let file = FaultyDisk::default().create("segments/00000001.seg").unwrap();
    let log = |offset, ordinal| ActiveLog::resume(1, Arc::clone(&file), offset, ordinal);
    assert!(!log(4095, 999_999).is_full(4096));
    assert!(log(4096, 0).is_full(4096));
    assert!(log(16, 1_000_000).is_full(1 << 30));
}
