//! The check of a part that a client made: every byte of it is hostile until proven otherwise.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::{BadRecord, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{Error, ErrorKind, PartName, Result};

use super::{PART_MIN, part_path};
use crate::body::{Origin, Trailer, TrailerLine};
use crate::core::Core;
use crate::disk::{DiskFile, OnDisk, read_exact_at};
use crate::pool::lost;
use crate::scan::{Scanner, Step};

/// Bytes of records that one task verifies: enough to be worth a thread's attention.
const BATCH: usize = 1 << 20;

/// The most records of a part: one is adopted, granted and dropped in few operations, for which writers wait, and its
/// trailer must fit into one record.
pub(super) const RECORDS_MAX: usize = 1 << 16;

/// A part of which every record is a chunk that hashes to its name.
pub(crate) struct Checked {
    /// Where the records end: before what an adoption that a crash ended had begun to write, if there is any.
    pub(crate) end: u64,
    pub(crate) lines: Vec<TrailerLine>,
    pub(crate) raw_bytes: u64,
}

/// Checks the first `length` bytes of a part.
pub(crate) fn verify(core: &Core, file: &Arc<dyn DiskFile>, length: u64, part: &PartName) -> Result<Checked> {
    let path = part_path(part);
    let invalid = |offset: u64, problem: &dyn std::fmt::Display| {
        Error::invalid("adopt part", format!("part {part}, offset {offset}: {problem}"))
    };
    if length < PART_MIN {
        return Err(invalid(0, &"a part is a segment header and at least one record"));
    }
    let mut header = [0; SEGMENT_HEADER.len()];
    read_exact_at(&**file, &mut header, 0).at("read part", &path)?;
    if header != SEGMENT_HEADER {
        return Err(invalid(0, &"not a segment of a version that is known"));
    }
    let mut scanner = Scanner::new(&**file, SEGMENT_HEADER.len() as u64, length);
    let mut checked = Checked { end: length, lines: Vec::new(), raw_bytes: 0 };
    let mut under_way = VecDeque::new();
    let mut batch: Vec<(u64, RecordHeader, Bytes)> = Vec::new();
    let mut bytes = 0;
    while let Some(step) = scanner.next().at("read part", &path)? {
        let (offset, problem) = match step {
            Step::Record { offset, header, body: Ok(body) } if header.kind == RecordKind::Chunk => {
                if checked.lines.len() >= RECORDS_MAX {
                    return Err(too_many(part, offset));
                }
                checked.lines.push(TrailerLine::from(&header));
                checked.raw_bytes += u64::from(header.raw_len);
                bytes += body.len() + header.raw_len as usize;
                batch.push((offset, header, body));
                if bytes >= BATCH {
                    if under_way.len() >= core.pool.depth() {
                        settle(&mut under_way, &invalid)?;
                    }
                    let records = std::mem::take(&mut batch);
                    under_way.push_back(core.pool.run(move || open_all(&records)));
                    bytes = 0;
                }
                continue;
            }
            Step::Record { offset, body: Ok(_), .. } => (offset, "only chunk records may be sent".to_owned()),
            Step::Record { offset, body: Err(bad), .. } | Step::Broken { offset, reason: bad } => {
                (offset, bad.to_string())
            }
        };
        if !is_begun_trailer(&**file, offset, length, &checked.lines).at("read part", &path)? {
            return Err(invalid(offset, &problem));
        }
        checked.end = offset;
        break;
    }
    open_all(&batch).map_err(|(offset, bad)| invalid(offset, &bad))?;
    while !under_way.is_empty() {
        settle(&mut under_way, &invalid)?;
    }
    Ok(checked)
}

fn too_many(part: &PartName, offset: u64) -> Error {
    let message = format!("part {part}, offset {offset}: at most {RECORDS_MAX} records are allowed");
    Error::new(ErrorKind::TooLarge, "adopt part", message).with_hint("send the upload in several parts")
}

/// Whether the bytes from `offset` are what a crash may leave of the trailer that belongs there: some of it, the rest
/// zeros. A client that sends such a tail gets the records before it, as if it had not.
fn is_begun_trailer(file: &dyn DiskFile, offset: u64, length: u64, lines: &[TrailerLine]) -> std::io::Result<bool> {
    let record = Trailer { origin: Origin::Adopted, lines: lines.to_vec() }.to_record(offset);
    if lines.is_empty() || length - offset > record.len() {
        return Ok(false);
    }
    let mut found = vec![0; (length - offset) as usize];
    read_exact_at(file, &mut found, offset)?;
    let wanted = record.header.encode().into_iter().chain(record.body.iter().copied());
    Ok(found.iter().zip(wanted).all(|(found, wanted)| *found == wanted || *found == 0))
}

type Outcome = std::result::Result<(), (u64, BadRecord)>;

fn settle(
    under_way: &mut VecDeque<crossbeam_channel::Receiver<Outcome>>,
    invalid: &impl Fn(u64, &dyn std::fmt::Display) -> Error,
) -> Result<()> {
    let Some(first) = under_way.pop_front() else { return Ok(()) };
    let outcome = first.recv().map_err(|_| lost())?;
    outcome.map_err(|(offset, bad)| invalid(offset, &bad))
}

fn open_all(records: &[(u64, RecordHeader, Bytes)]) -> Outcome {
    for (offset, header, body) in records {
        header.open_chunk(body).map_err(|bad| (*offset, bad))?;
    }
    Ok(())
}
