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
        let replayed = Replayed::new(Arc::clone(&file), disk.open_direct(NAME).unwrap().unwrap());
        assert_eq!(replayed.size().unwrap(), length as u64);
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
fn what_was_written_or_cut_meanwhile_is_read_as_it_is_now() {
    let (disk, file) = file_of(&[1; 100]);
    let replayed = Replayed::new(file, disk.open_direct(NAME).unwrap().unwrap());
    let read = || {
        let mut buffer = [0; 100];
        let count = replayed.read_at(&mut buffer, 0).unwrap();
        (count, buffer[10])
    };
    assert_eq!(read(), (100, 1));
    replayed.write_at(&[IoSlice::new(&[2; 20])], 0).unwrap();
    assert_eq!(read(), (100, 2));
    replayed.truncate(50).unwrap();
    assert_eq!(read(), (50, 2));
}

#[test]
fn where_the_file_system_refuses_blocks_after_all_the_file_is_read_as_files_are() {
    struct Refusing;
    impl DirectFile for Refusing {
        fn read_blocks(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn write_blocks(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
    let (_disk, file) = file_of(b"the bytes");
    let mut buffer = [0; 20];
    let count = Replayed::new(file, Arc::new(Refusing)).read_at(&mut buffer, 4).unwrap();
    assert_eq!(&buffer[..count], b"bytes");
}
