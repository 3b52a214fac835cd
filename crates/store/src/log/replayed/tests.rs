use std::io::IoSlice;

use super::*;
use crate::disk::Disk as _;
use crate::disk::faulty::FaultyDisk;
use crate::tests::support::{Dice, noise};

const NAME: &str = "segments/00000001.seg";

fn file_of(bytes: &[u8]) -> (FaultyDisk, Arc<dyn DiskFile>) {
    let disk = FaultyDisk::default();
    let file = disk.create(NAME).unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    (disk, file)
}

#[test]
fn whatever_is_read_in_whatever_order_is_what_the_file_holds() {
    for length in [0, 1, 5000, 2 * BLOCK, WINDOW, 3 * WINDOW + 777] {
        let bytes = noise(length as u64, length);
        let (disk, file) = file_of(&bytes);
        let replayed = Replayed::new(Arc::clone(&file), disk.open_direct(NAME).unwrap());
        let mut dice = Dice(length as u64);
        for _ in 0..200 {
            let offset = dice.roll(length as u64 + 100) as usize;
            let mut buffer = vec![0; dice.roll([10, 10_000, 2 * WINDOW as u64][dice.0 as usize % 3]) as usize];
            let count = replayed.read_at(&mut buffer, offset as u64).unwrap();
            let wanted = &bytes[offset.min(length)..(offset + buffer.len()).min(length).max(offset.min(length))];
            assert!(buffer[..count] == *wanted, "{count} bytes at {offset} of {length}");
        }
    }
}

#[test]
fn where_blocks_cannot_be_read_or_come_short_the_file_is_read_as_files_are() {
    /// Fails with an error, or gives fewer bytes than it has.
    struct Failing(Result<usize, io::ErrorKind>);
    impl DirectFile for Failing {
        fn read_blocks(&self, blocks: &mut [u8], _: u64) -> io::Result<usize> {
            let count = self.0.map_err(io::Error::from)?;
            blocks[..count].fill(b'.');
            Ok(count)
        }

        fn write_blocks(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
    let (_disk, file) = file_of(b"the bytes");
    let read = |outcome| {
        let mut buffer = [0; 20];
        let count = Replayed::new(Arc::clone(&file), Arc::new(Failing(outcome))).read_at(&mut buffer, 4).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    assert_eq!(read(Err(io::ErrorKind::Unsupported)), "bytes");
    assert_eq!(read(Err(io::ErrorKind::PermissionDenied)), "bytes");
    assert_eq!(read(Ok(0)), "bytes");
    assert_eq!(read(Ok(6)), "..tes", "what came, and the rest from the file");
}
