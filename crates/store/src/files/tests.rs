use std::sync::Arc;

use super::*;
use crate::disk::faulty::FaultyDisk;

#[test]
fn segment_names_are_read_as_written_and_no_others() {
    for id in [1, 99_999_999, 100_000_000, u32::MAX] {
        let path = segment_path(id);
        assert_eq!(segment_of(path.strip_prefix("segments/").unwrap()), Some(id));
    }
    for name in ["1.seg", "000000001.seg", "00000001.sex", "+0000001.seg", "00000001.seg.new", "", ".seg"] {
        assert_eq!(segment_of(name), None, "{name}");
    }
}

#[test]
fn only_so_many_files_stay_open_and_the_one_used_longest_ago_goes() {
    let disk = Arc::new(FaultyDisk::default());
    let ids = 1..=OPEN_MAX as u32 + 10;
    for id in ids.clone() {
        disk.create(&segment_path(id)).unwrap();
    }
    let files = SegmentFiles::new(disk, None);
    for id in ids {
        files.get(id).unwrap();
        files.get(1).unwrap();
    }
    let open = files.open.lock();
    assert_eq!(open.files.len(), OPEN_MAX);
    assert!(open.files.contains_key(&1) && !open.files.contains_key(&2));
}
