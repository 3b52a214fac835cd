use larder_base::ContentHash;
use proptest::prelude::*;

use super::*;
use crate::body::Origin;
use crate::disk::faulty::FaultyDisk;
use crate::scan::{read_body_at, read_trailer};
use crate::tests::support::noise;

/// A sealed segment with records of these kinds and lengths, as a file.
fn segment(disk: &FaultyDisk, records: &[(bool, usize)]) -> (Arc<dyn DiskFile>, u64) {
    let file = disk.create("segments/00000001.seg").unwrap();
    let mut bytes = SEGMENT_HEADER.to_vec();
    let mut lines = Vec::new();
    for (n, (is_chunk, length)) in records.iter().enumerate() {
        let content = noise(n as u64, *length);
        let record = if *is_chunk {
            Record::chunk(ContentHash::of(&content), content, 1)
        } else {
            Record::other(RecordKind::Entry, None, content)
        };
        bytes.extend_from_slice(&record.header.encode());
        bytes.extend_from_slice(&record.body);
        lines.push(TrailerLine::from(&record.header));
    }
    file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
    let length = crate::log::write_trailer(&*file, bytes.len() as u64, Origin::Log, lines).unwrap();
    (file, length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_stub_has_every_byte_but_those_of_the_chunks(
        records in proptest::collection::vec((any::<bool>(), 0_usize..3000), 0..30),
    ) {
        let disk = FaultyDisk::default();
        let (file, length) = segment(&disk, &records);
        let trailer = read_trailer(&*file, length).unwrap().unwrap();
        let spans = write(&disk, "stub", &*file, length, &trailer).unwrap();
        let stub = Stub::open(disk.open("stub").unwrap(), "stub").unwrap();
        prop_assert_eq!(&stub.spans, &spans);
        prop_assert_eq!(spans.stub_len(), disk.bytes("stub").len() as u64);
        for (_, offset, line) in trailer.1.placed() {
            let (mut found, mut true_bytes) = (vec![0; line.record_len() as usize], vec![0; line.record_len() as usize]);
            read_exact_at(&*file, &mut true_bytes, offset).unwrap();
            let is_there = stub.read(offset, &mut found).unwrap();
            prop_assert_eq!(is_there, line.kind != RecordKind::Chunk);
            prop_assert!(!is_there || found == true_bytes);
        }
        let hollow = crate::archive::Hollow::new(1, stub, None);
        prop_assert_eq!(hollow.size().unwrap(), length);
        prop_assert_eq!(read_trailer(&hollow, length).unwrap().unwrap(), trailer.clone());
        for (_, offset, line) in trailer.1.placed().filter(|(_, _, line)| line.kind != RecordKind::Chunk) {
            prop_assert!(read_body_at(&hollow, offset, line).unwrap().is_some());
        }
    }
}

#[test]
fn a_damaged_stub_is_known_as_such() {
    let disk = FaultyDisk::default();
    let (file, length) = segment(&disk, &[(true, 500), (false, 300), (true, 900)]);
    let trailer = read_trailer(&*file, length).unwrap().unwrap();
    write(&disk, "stub", &*file, length, &trailer).unwrap();
    let whole = disk.bytes("stub");
    let is_corrupt = || {
        let opened = Stub::open(disk.open("stub").unwrap(), "stub");
        opened.is_err_and(|error| error.kind() == ErrorKind::Corrupt)
    };
    assert!(!is_corrupt());
    disk.damage("stub", |bytes| bytes.truncate(bytes.len() - 1));
    assert!(is_corrupt(), "a byte is missing");
    for at in [0, 20, 80, 90, 100] {
        disk.damage("stub", |bytes| {
            bytes.clone_from(&whole);
            bytes[at] ^= 1;
        });
        assert!(is_corrupt(), "byte {at} is flipped");
    }
    disk.damage("stub", Vec::clear);
    assert!(Stub::open(disk.open("stub").unwrap(), "stub").is_err());
}

#[test]
fn a_stub_that_cannot_be_written_leaves_nothing() {
    use crate::disk::faulty::Fault;
    for k in 1..=4 {
        let disk = FaultyDisk::default();
        let (file, length) = segment(&disk, &[(true, 500), (false, 300)]);
        let trailer = read_trailer(&*file, length).unwrap().unwrap();
        disk.plan(k, Fault::Fail);
        write(&disk, "stub", &*file, length, &trailer).unwrap_err();
        disk.open("stub").map(drop).unwrap_err();
    }
}
