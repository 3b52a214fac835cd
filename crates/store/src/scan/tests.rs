use std::io::IoSlice;
use std::sync::Arc;

use larder_base::segment::{Record, SEGMENT_HEADER};

use super::*;
use crate::body::Origin;
use crate::disk::Disk as _;
use crate::disk::DiskFile;
use crate::disk::faulty::FaultyDisk;
use crate::log::{read_lines, write_trailer};
use crate::tests::support::noise;
use larder_base::ContentHash;

/// A segment of records of these lengths, with the offsets of all and of the end.
fn segment(lengths: &[usize]) -> (Arc<dyn DiskFile>, Vec<u64>) {
    let file = FaultyDisk::default().create("segment").unwrap();
    file.write_at(&[IoSlice::new(&SEGMENT_HEADER)], 0).unwrap();
    let mut offsets = vec![SEGMENT_HEADER.len() as u64];
    for (seed, length) in lengths.iter().enumerate() {
        let content = noise(seed as u64, *length);
        let record = Record::chunk(ContentHash::of(&content), content, 1);
        let at = *offsets.last().unwrap();
        file.write_at(&[IoSlice::new(&record.header.encode()), IoSlice::new(&record.body)], at).unwrap();
        offsets.push(at + record.len());
    }
    (file, offsets)
}

fn offsets_of(scanner: &mut Scanner<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(step) = scanner.next().unwrap() {
        match step {
            Step::Record { offset, body, .. } => {
                assert!(body.is_ok());
                found.push(offset);
            }
            Step::Broken { .. } => break,
        }
    }
    found
}

#[test]
fn every_record_is_stepped_to_across_windows() {
    let lengths = [0, 10, 300_000, 1, 1_500_000, 255 * 1024, 64, 2 << 20, 7];
    let (file, offsets) = segment(&lengths);
    let end = *offsets.last().unwrap();
    for from in 0..lengths.len() {
        let mut scanner = Scanner::new(&*file, offsets[from], end);
        assert_eq!(offsets_of(&mut scanner), offsets[from..lengths.len()]);
        assert_eq!(scanner.offset(), end);
    }
}

#[test]
fn a_cut_segment_ends_in_a_broken_step_at_its_last_record() {
    let (file, offsets) = segment(&[100, 200, 300]);
    for end in offsets[2] + 1..offsets[3] {
        let mut scanner = Scanner::new(&*file, offsets[0], end);
        assert_eq!(offsets_of(&mut scanner), offsets[..2]);
        assert_eq!(scanner.offset(), offsets[2]);
    }
}

#[test]
fn a_damaged_header_is_stepped_over_only_to_a_whole_record() {
    let (file, offsets) = segment(&[100, 200, 300]);
    file.write_at(&[IoSlice::new(b"?")], offsets[1] + 20).unwrap();
    assert_eq!(step_over(&*file, offsets[1], offsets[3]).unwrap(), Some(offsets[2]));
    let lines = read_lines(&*file, offsets[3]).unwrap().unwrap();
    assert_eq!(lines.len(), 3, "its place is kept");
    // A damaged length leads nowhere.
    file.write_at(&[IoSlice::new(&[9])], offsets[1] + 8).unwrap();
    assert_eq!(step_over(&*file, offsets[1], offsets[3]).unwrap(), None);
    assert!(read_lines(&*file, offsets[3]).unwrap().is_none());
}

#[test]
fn a_trailer_is_found_from_the_end_and_only_when_it_is_whole() {
    let (file, offsets) = segment(&[100, 200]);
    let end = offsets[2];
    assert!(read_trailer(&*file, end).unwrap().is_none());
    let lines = read_lines(&*file, end).unwrap().unwrap();
    let length = write_trailer(&*file, end, Origin::Adopted, lines.clone()).unwrap();
    let (offset, trailer) = read_trailer(&*file, length).unwrap().unwrap();
    assert_eq!((offset, trailer.lines), (end, lines));
    for cut in end..length {
        assert!(read_trailer(&*file, cut).unwrap().is_none(), "cut at {cut}");
    }
    file.write_at(&[IoSlice::new(b"?")], end + 70).unwrap();
    assert!(read_trailer(&*file, length).unwrap().is_none());
    for tiny in 0..8 {
        assert!(read_trailer(&*file, tiny).unwrap().is_none());
    }
}

#[test]
fn a_trailer_tells_the_ends_of_its_records_in_one_walk() {
    let (file, offsets) = segment(&[100, 0, 300, 7]);
    let lines = read_lines(&*file, offsets[4]).unwrap().unwrap();
    let trailer = Trailer { origin: Origin::Log, lines };
    let mut ends = RecordEnds::new(&trailer);
    assert_eq!(ends.of(offsets[0]), Some(offsets[1]));
    assert_eq!(ends.of(offsets[0]), Some(offsets[1]), "it may be asked again");
    assert_eq!(ends.of(offsets[2] - 1), None, "no record begins there");
    assert_eq!(ends.of(offsets[2]), Some(offsets[3]));
    assert_eq!(ends.of(offsets[1]), None, "it never goes back");
    assert_eq!(ends.of(offsets[3]), Some(offsets[4]));
    assert_eq!(ends.of(offsets[4]), None);
}

#[test]
fn a_scanner_goes_on_right_wherever_it_is_sent() {
    let lengths = [100, 300_000, 0, 200, 2 << 20, 50];
    let (file, offsets) = segment(&lengths);
    let end = offsets[lengths.len()];
    for first in 0..lengths.len() {
        for then in 0..=lengths.len() {
            let mut scanner = Scanner::new(&*file, offsets[first], end);
            assert!(matches!(scanner.next().unwrap(), Some(Step::Record { body: Ok(_), .. })));
            scanner.seek(offsets[then]);
            assert_eq!(offsets_of(&mut scanner), offsets[then..lengths.len()], "from {first} to {then}");
        }
    }
}
