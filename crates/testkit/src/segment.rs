//! Segment bodies as a client would send them, whole and damaged.

use bytes::{BufMut as _, Bytes, BytesMut};
use larder_base::segment::{DEFAULT_LEVEL, RECORD_HEADER_LEN, Record, RecordKind, SEGMENT_HEADER};
use larder_base::{HashFunction, chunk};

/// The record of one chunk.
///
/// # Panics
/// When `content` is longer than [`chunk::MAX_LEN`].
pub fn record(content: &Bytes) -> Record {
    Record::chunk(HashFunction::TREE.hash(content), content.clone(), DEFAULT_LEVEL)
}

/// A segment with one chunk record for each of `contents`, in order.
///
/// # Panics
/// When one of them is longer than [`chunk::MAX_LEN`].
pub fn body(contents: &[Bytes]) -> Bytes {
    assemble(contents.iter().map(record))
}

/// What is wrong with one record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The segment ends inside the record's header.
    TornHeader,
    /// The segment ends one byte before the record does.
    TornBody,
    /// A bit of the header is flipped.
    FlippedHeader,
    /// A bit of the body is flipped.
    FlippedBody,
    /// Checksums hold, but the content hashes to another name.
    WrongName,
    /// Checksums hold, but the content is a byte shorter than stated.
    StatedTooLong,
    /// Checksums hold, but the content is a byte longer than stated.
    StatedTooShort,
    /// The header is whole and states more bytes than a chunk may have.
    LargerThanAChunk,
    /// The header is whole and states a body that reaches beyond the end of the segment.
    BeyondTheEnd,
    /// A whole record of a kind that only the store writes stands in its place.
    Foreign(RecordKind),
    /// Bytes that are no record follow it.
    GarbageAfter,
}

impl Flaw {
    /// Every flaw, with every foreign kind.
    pub const ALL: [Self; 16] = [
        Self::TornHeader,
        Self::TornBody,
        Self::FlippedHeader,
        Self::FlippedBody,
        Self::WrongName,
        Self::StatedTooLong,
        Self::StatedTooShort,
        Self::LargerThanAChunk,
        Self::BeyondTheEnd,
        Self::Foreign(RecordKind::Recipe),
        Self::Foreign(RecordKind::Entry),
        Self::Foreign(RecordKind::Removal),
        Self::Foreign(RecordKind::Grant),
        Self::Foreign(RecordKind::Adoption),
        Self::Foreign(RecordKind::Trailer),
        Self::GarbageAfter,
    ];
}

/// The segment of [`body`], with a flaw at one of its records; all others are whole.
///
/// # Panics
/// When there is no record `at`, its content is empty, or one is longer than [`chunk::MAX_LEN`].
pub fn damaged(contents: &[Bytes], at: usize, flaw: Flaw) -> Bytes {
    assert!(!contents[at].is_empty(), "a flaw of the body needs a body");
    let before = assemble(contents[..at].iter().map(record));
    let mut record = record(&contents[at]);
    match flaw {
        Flaw::WrongName => record.header.hash = HashFunction::TREE.hash(b"the name of something else"),
        Flaw::StatedTooLong => record.header.raw_len += 1,
        Flaw::StatedTooShort => record.header.raw_len -= 1,
        Flaw::LargerThanAChunk => {
            record.header.raw_len = u32::try_from(chunk::MAX_LEN + 1).expect("a chunk is shorter than 4 GiB");
        }
        Flaw::BeyondTheEnd => {
            record.header.stored_len = u32::try_from(chunk::MAX_LEN).expect("a chunk is shorter than 4 GiB");
            record.header.raw_len = record.header.stored_len;
        }
        Flaw::Foreign(kind) => record = Record::other(kind, Some(record.header.hash), contents[at].clone()),
        _ => {}
    }
    let mut bytes = BytesMut::from(before);
    append(&mut bytes, &record);
    let (starts, ends) = (bytes.len() - record.body.len() - RECORD_HEADER_LEN, bytes.len());
    match flaw {
        Flaw::TornHeader => bytes.truncate(starts + RECORD_HEADER_LEN / 2),
        Flaw::TornBody => bytes.truncate(ends - 1),
        Flaw::FlippedHeader => bytes[starts + 20] ^= 0x10,
        Flaw::FlippedBody => bytes[starts + RECORD_HEADER_LEN] ^= 0x10,
        Flaw::GarbageAfter => bytes.put_slice(b"no record begins here"),
        _ => {}
    }
    if !matches!(flaw, Flaw::TornHeader | Flaw::TornBody | Flaw::BeyondTheEnd) {
        contents[at + 1..].iter().for_each(|content| append(&mut bytes, &self::record(content)));
    }
    bytes.freeze()
}

fn assemble(records: impl Iterator<Item = Record>) -> Bytes {
    let mut bytes = BytesMut::from(&SEGMENT_HEADER[..]);
    records.for_each(|record| append(&mut bytes, &record));
    bytes.freeze()
}

fn append(bytes: &mut BytesMut, record: &Record) {
    bytes.put_slice(&record.header.encode());
    bytes.put_slice(&record.body);
}

#[cfg(test)]
mod tests;
