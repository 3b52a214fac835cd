use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk as _, DiskFile};

fn file_of(content: usize, zeros: usize) -> (Arc<dyn DiskFile>, u64) {
    let file = FaultyDisk::default().create("segments/00000001.seg").unwrap();
    let mut bytes = vec![7; content];
    bytes.resize(content + zeros, 0);
    file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
    (file, bytes.len() as u64)
}

#[test]
fn only_as_many_zeros_as_are_ever_written_behind_a_log_are_padding() {
    for (content, zeros) in [(5000, 3192), (5000, 0), (0, 100), (4096, MOST), (1, MOST), (9000, MOST - 1)] {
        let (file, end) = file_of(content, zeros);
        let mut padding = Padding::new(&*file, end);
        assert!(padding.begins_by(content as u64).unwrap(), "{content} bytes, {zeros} zeros");
        assert!(content == 0 || !padding.begins_by(content as u64 - 1).unwrap(), "one byte is not zero");
        assert_eq!(padding.behind(0).unwrap(), zeros as u64);
        assert_eq!(padding.behind(end - zeros as u64 / 2).unwrap(), zeros as u64 / 2);
        assert_eq!(padding.behind(end).unwrap(), 0);
    }
    let (file, end) = file_of(5000, MOST + 1);
    let mut padding = Padding::new(&*file, end);
    assert!(!padding.begins_by(5000).unwrap(), "one more than there can be");
    assert_eq!(padding.behind(5000).unwrap(), MOST as u64);
}

#[test]
fn the_end_of_a_file_is_read_once_however_often_it_is_asked_for() {
    struct Counted(Arc<dyn DiskFile>, AtomicU32);
    impl ReadAt for Counted {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read_at(buffer, offset)
        }
    }
    let (file, end) = file_of(100_000, 3000);
    let file = Counted(file, AtomicU32::new(0));
    let mut padding = Padding::new(&file, end);
    for offset in 0..end {
        assert_eq!(padding.begins_by(offset).unwrap(), offset >= 100_000);
    }
    assert_eq!(file.1.into_inner(), 1);
}
