//! The segments of a directory, record by record.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use larder_base::segment::{RecordKind, SEGMENT_HEADER};
use larder_base::{ContentHash, ErrorKind, Result};

use super::{Known, Report};
use crate::archive::Hollow;
use crate::body::Origin;
use crate::disk::{Disk, OnDisk, ReadAt, read_exact_at};
use crate::files::{segment_path, stub_path};
use crate::log::Padding;
use crate::recover::groups::read_groups;
use crate::row::Position;
use crate::scan::{RecordEnds, Scanner, Step, read_body_at, read_trailer, step_over};
use crate::stub::Stub;

/// Where good chunk and recipe records lie, by segment and offset.
pub(super) type Places = BTreeMap<(u32, u32), ContentHash>;

const FIRST_RECORD: u64 = SEGMENT_HEADER.len() as u64;

/// A check under way.
pub(super) struct Check<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) known: &'a Known,
    pub(super) report: Report,
    pub(super) places: Places,
}

/// The part of a segment that was durable, so that whatever is wrong in it is damage.
struct Durable<'a> {
    id: u32,
    path: &'a str,
    file: &'a dyn ReadAt,
    end: u64,
    /// Of a sealed segment.
    ends: Option<RecordEnds<'a>>,
    /// How far the index has taken in the segment: there a record begins, or the segment ends.
    taken_in: u64,
    /// Of a segment that has no table though the log went on in another: zeros may lie behind its records.
    padding: Option<Padding<'a>>,
}

impl Check<'_> {
    /// The segment that the log ends in, as an opening finds it. Adopted segments have their numbers from the same
    /// sequence, so it need not be the last of all. It is none that the position has left, nor a stub: those are sealed.
    pub(super) fn end_of_log(&self, ids: &BTreeSet<u32>) -> Result<Option<u32>> {
        let from = self.known.position.map_or(0, |position| position.segment);
        for id in ids.range(from..).rev() {
            let origin = match self.known.rows.get(id) {
                Some(row) => row.origin,
                None => {
                    let path = segment_path(*id);
                    let file = self.disk.open(&path).at("open segment", &path)?;
                    let length = file.size().at("measure segment", &path)?;
                    // Only an adopted one has a trailer that says so.
                    let trailer = read_trailer(&*file, length).at("read segment", &path)?;
                    trailer.map_or(Origin::Log, |(_, trailer)| trailer.origin)
                }
            };
            if origin == Origin::Log {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    /// Checks a segment that has its file; the log ends in it if `is_last`.
    pub(super) fn segment(&mut self, id: u32, is_last: bool) -> Result<()> {
        let path = segment_path(id);
        let file = self.disk.open(&path).at("open segment", &path)?;
        let length = file.size().at("measure segment", &path)?;
        self.report.segments += 1;
        let position = self.known.position.filter(|position| position.segment == id);
        let position = position.unwrap_or(Position { segment: id, offset: FIRST_RECORD, ordinal: 0 });
        let taken_in = position.offset;
        if is_last && length < FIRST_RECORD && taken_in == FIRST_RECORD {
            // Its name had reached the disk before its first bytes.
            return Ok(());
        }
        let mut header = [0; SEGMENT_HEADER.len()];
        if read_exact_at(&*file, &mut header, 0).is_err() || header != SEGMENT_HEADER {
            self.report.bad_records += 1;
            self.report.problem(|| format!("{path}: the segment header is damaged"));
        }
        if length < taken_in {
            self.report.bad_records += 1;
            self.report.problem(|| format!("{path}: it ends at {length}, and the index knows it up to {taken_in}"));
        }
        let trailer = read_trailer(&*file, length).at("read segment", &path)?.map(|(_, trailer)| trailer);
        let is_open = is_last && trailer.is_none();
        let mut end = length;
        if is_open && length >= taken_in {
            let read = read_groups(&*file, position, length, None).at("read segment", &path)?;
            let counted = read.counted(taken_in, read.proven);
            end = if counted.is_blocked { length } else { counted.end };
            self.report.tail_bytes = (length - end).saturating_sub(read.padding);
        }
        let (file, ends) = (&*file, trailer.as_ref().map(RecordEnds::new));
        let padding = (!is_open && ends.is_none()).then(|| Padding::new(file, end));
        self.records(Durable { id, path: &path, file, end, padding, ends, taken_in })
    }

    fn records(&mut self, mut part: Durable<'_>) -> Result<()> {
        let Durable { id, path, file, end, .. } = part;
        let mut scanner = Scanner::new(file, FIRST_RECORD, end);
        while let Some(step) = scanner.next().at("read segment", path)? {
            match step {
                Step::Record { offset, header, body } => {
                    self.report.records += 1;
                    self.report.bytes += header.record_len();
                    let checked = match (body, header.kind) {
                        (Ok(body), RecordKind::Chunk) => header.open_chunk(&body).map(drop),
                        (other, _) => other.map(drop),
                    };
                    match checked {
                        Ok(()) if matches!(header.kind, RecordKind::Chunk | RecordKind::Recipe) => {
                            self.places.insert((id, u32::try_from(offset).unwrap_or(u32::MAX)), header.hash);
                        }
                        Ok(()) => {}
                        Err(bad) => {
                            self.report.bad_records += 1;
                            self.report.problem(|| format!("{path}: offset {offset}: {bad}"));
                        }
                    }
                }
                Step::Broken { offset, reason } => {
                    if let Some(padding) = &mut part.padding
                        && padding.begins_by(offset).at("read segment", path)?
                    {
                        break;
                    }
                    self.report.records += 1;
                    self.report.bad_records += 1;
                    let Some(next) = part.behind(offset).at("read segment", path)? else {
                        self.report.problem(|| {
                            format!("{path}: offset {offset}: {reason}; what follows cannot be told apart")
                        });
                        break;
                    };
                    self.report.problem(|| format!("{path}: offset {offset}: {reason}"));
                    scanner.seek(next);
                }
            }
        }
        Ok(())
    }

    /// Checks what the disk has of a segment whose chunks are in the bucket: they count as there.
    pub(super) fn stub(&mut self, id: u32) -> Result<()> {
        let report = &mut self.report;
        let path = stub_path(id);
        report.segments += 1;
        let stub = self.disk.open(&path).at("open stub", &path).and_then(|file| Stub::open(file, &path));
        let stub = match stub {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                report.bad_records += 1;
                report.problem(|| error.to_string());
                return Ok(());
            }
            stub => stub?,
        };
        let length = stub.spans.length;
        let file = Hollow::new(id, stub, None);
        let Some((_, trailer)) = read_trailer(&file, length).at("read stub", &path)? else {
            report.bad_records += 1;
            report.problem(|| format!("{path}: the trailer is damaged"));
            return Ok(());
        };
        for (_, offset, line) in trailer.placed() {
            report.records += 1;
            let is_blob = matches!(line.kind, RecordKind::Chunk | RecordKind::Recipe);
            if line.kind == RecordKind::Chunk {
                report.remote_records += 1;
            } else {
                report.bytes += line.record_len();
                if read_body_at(&file, offset, line).at("read stub", &path)?.is_none() {
                    report.bad_records += 1;
                    report.problem(|| format!("{path}: offset {offset} of the segment: the record is damaged"));
                    continue;
                }
            }
            if is_blob {
                self.places.insert((id, u32::try_from(offset).unwrap_or(u32::MAX)), line.hash);
            }
        }
        Ok(())
    }
}

impl Durable<'_> {
    /// Where to go on behind a damaged header.
    fn behind(&mut self, offset: u64) -> io::Result<Option<u64>> {
        Ok(match self.ends.as_mut().and_then(|ends| ends.of(offset)) {
            Some(next) => Some(next),
            None => step_over(self.file, offset, self.end)?.or((offset < self.taken_in).then_some(self.taken_in)),
        })
    }
}
