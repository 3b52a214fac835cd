use larder_base::segment::{BadRecord, RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};

use super::{Flaw, body, damaged};
use crate::content::{noise, text};

/// The records of a segment until its end or the first that cannot be believed.
fn walk(segment: &bytes::Bytes) -> (Vec<bytes::Bytes>, Result<(), BadRecord>) {
    let mut contents = Vec::new();
    let mut rest = segment.slice(SEGMENT_HEADER.len()..);
    let next = |rest: &mut bytes::Bytes| {
        let header = RecordHeader::decode(rest.first_chunk::<RECORD_HEADER_LEN>().ok_or(BadRecord::Magic)?)?;
        if rest.len() < header.record_len() as usize {
            return Err(BadRecord::Body);
        }
        let record = rest.split_to(header.record_len() as usize).slice(RECORD_HEADER_LEN..);
        match header.kind {
            RecordKind::Chunk => header.open_chunk(&record),
            _ => Err(BadRecord::Field("kind")),
        }
    };
    while !rest.is_empty() {
        match next(&mut rest) {
            Ok(content) => contents.push(content),
            Err(bad) => return (contents, Err(bad)),
        }
    }
    (contents, Ok(()))
}

#[test]
fn a_body_holds_the_contents_in_order() {
    let contents = [noise(1, 3000), bytes::Bytes::new(), text(2, 9000)];
    let segment = body(&contents);
    assert!(segment.starts_with(&SEGMENT_HEADER));
    assert_eq!(walk(&segment), (contents.to_vec(), Ok(())));
}

#[test]
fn every_flaw_spoils_its_record_and_none_before_it() {
    let contents = [noise(1, 3000), text(2, 9000), noise(3, 10)];
    for at in 0..contents.len() {
        for flaw in Flaw::ALL {
            let (read, end) = walk(&damaged(&contents, at, flaw));
            let whole = if flaw == Flaw::GarbageAfter { at + 1 } else { at };
            assert_eq!(read, contents[..whole], "{flaw:?} at {at}");
            assert!(end.is_err(), "{flaw:?} at {at} was not seen");
        }
    }
}
