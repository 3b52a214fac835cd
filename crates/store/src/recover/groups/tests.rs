use std::sync::atomic::{AtomicU64, Ordering};

use larder_base::ContentHash;
use larder_base::segment::{RECORD_HEADER_LEN, Record, SEGMENT_HEADER};

use super::*;
use crate::body::Origin;
use crate::disk::BLOCK;
use crate::log::AHEAD;
use crate::tests::support::noise;

/// A segment in memory that counts what is read of it.
struct Counted {
    bytes: Vec<u8>,
    read: AtomicU64,
}

impl ReadAt for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = &self.bytes[self.bytes.len().min(offset as usize)..];
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Many small records, in which every `step`th has a damaged header; the lengths stay readable.
fn damaged(count: u64, step: usize) -> (Counted, Trailer) {
    let mut bytes = SEGMENT_HEADER.to_vec();
    let mut lines = Vec::new();
    for n in 0..count {
        let content = noise(n, 20);
        let record = Record::chunk(ContentHash::of(&content), content, 1);
        let at = bytes.len();
        bytes.extend_from_slice(&record.header.encode());
        bytes.extend_from_slice(&record.body);
        bytes[at] ^= u8::from((n as usize).is_multiple_of(step));
        lines.push(TrailerLine::from(&record.header));
    }
    (Counted { bytes, read: AtomicU64::new(0) }, Trailer { origin: Origin::Log, lines })
}

const START: Position = Position { segment: 1, offset: SEGMENT_HEADER.len() as u64, ordinal: 0 };

#[test]
fn a_sealed_segment_without_good_headers_is_read_once() {
    let (file, trailer) = damaged(20_000, 1);
    let length = file.bytes.len() as u64;
    let read = read_groups(&file, START, length, Some(&(length, trailer))).unwrap();
    assert!(!read.blocked);
    assert_eq!(read.groups.iter().map(|group| group.items.len()).sum::<usize>(), 20_000);
    assert!(read.groups.iter().flat_map(|group| &group.items).all(|item| !item.good));
    let read = file.read.into_inner();
    assert!(read <= length + length / 10, "{read} bytes were read of {length}");
}

#[test]
fn an_open_segment_with_damaged_headers_is_read_hardly_more_than_once() {
    let (file, _) = damaged(5000, 2);
    let length = file.bytes.len() as u64;
    let read = read_groups(&file, START, length, None).unwrap();
    assert!(!read.blocked);
    assert_eq!(read.groups.iter().flat_map(|group| &group.items).filter(|item| item.good).count(), 2500);
    // To step over a damaged header its length and the record behind are looked at.
    let looked_at = 2500 * (3 * RECORD_HEADER_LEN as u64 + 20);
    let read = file.read.into_inner();
    assert!(read <= length + looked_at, "{read} bytes were read of {length}");
}

#[test]
fn zeros_behind_a_torn_end_are_read_once() {
    let (mut file, _) = damaged(160, 2);
    let records = file.bytes.len() as u64;
    file.bytes.resize(records as usize + AHEAD, 0);
    let length = file.bytes.len() as u64;
    let read = read_groups(&file, START, length, None).unwrap();
    assert!(!read.blocked);
    assert_eq!(read.padding, AHEAD as u64);
    assert_eq!(read.groups.iter().map(|group| group.items.len()).sum::<usize>(), 160);
    let looked_at = 80 * (3 * RECORD_HEADER_LEN as u64 + 20);
    let zeros = (AHEAD + BLOCK) as u64;
    let read = file.read.into_inner();
    assert!(read <= length + looked_at + zeros, "{read} bytes were read of {length}");
}

#[test]
fn of_more_zeros_than_lie_behind_a_log_the_first_are_a_group_that_a_crash_tore() {
    let (mut file, _) = damaged(10, 100);
    let records = file.bytes.len();
    file.bytes.resize(records + 3000 + BLOCK + AHEAD, 0);
    let read = read_groups(&file, START, file.bytes.len() as u64, None).unwrap();
    assert!(read.blocked);
    assert_eq!(read.padding, (BLOCK + AHEAD) as u64);
}
