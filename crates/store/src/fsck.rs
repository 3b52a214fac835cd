//! Checks and repairs of a data directory that no process has open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use larder_base::segment::{RecordKind, SEGMENT_HEADER};
use larder_base::{Clock, ContentHash, Error, ErrorKind, Result};

use crate::archive::Hollow;
use crate::body::Origin;
use crate::codec::Reader;
use crate::disk::{Disk, FsDisk, OnDisk, read_exact_at};
use crate::files::{SEGMENTS, segment_of, segment_path, stub_of, stub_path};
use crate::format::check_format;
use crate::index::{Index, Table, meta};
use crate::log::is_padding;
use crate::options::Options;
use crate::recover::Recovery;
use crate::row::{BlobRow, EntryRow, Position, SegmentRow};
use crate::scan::{Scanner, Step, read_body_at, read_trailer, step_over};
use crate::store::{Purpose, Store, lock};
use crate::stub::Stub;

/// What a check found. Everything is counted; the first problems are told in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments read.
    pub segments: u64,
    /// Records read.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Records whose checksums or content are wrong.
    pub bad_records: u64,
    /// Rows of the index that point to no good record of that name. Absent to every reader.
    pub dangling_rows: u64,
    /// Rows of the index that point into an evicted segment, and are to be pruned. Absent to every reader; nothing is
    /// wrong with them.
    pub stale_rows: u64,
    /// Chunk records that are in the bucket only, and were not read.
    pub remote_records: u64,
    /// Bytes after the last group of the log: what a crash left, cut off by the next opening.
    pub tail_bytes: u64,
    /// The first problems, as text; at most [`Report::PROBLEMS_MAX`].
    pub problems: Vec<String>,
}

impl Report {
    /// The most problems told in words.
    pub const PROBLEMS_MAX: usize = 100;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.bad_records == 0 && self.dangling_rows == 0
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < Self::PROBLEMS_MAX {
            self.problems.push(text);
        }
    }
}

/// Reads every record of a directory and every row of its index. Changes nothing.
///
/// # Errors
/// When a process has the directory open, when its format is not known, or when the disk fails.
pub fn check(dir: &Path) -> Result<Report> {
    if !dir.join("format").exists() {
        return Err(Error::invalid("check store", format!("{} holds no store", dir.display())));
    }
    check_on(dir, &FsDisk::new(dir))
}

/// As [`check`], with the segments on another disk; lock, format and index are in the directory.
pub(crate) fn check_on(dir: &Path, disk: &dyn Disk) -> Result<Report> {
    let _lock = lock(dir)?;
    check_format(dir)?;
    let index = Index::open(&dir.join("index"))?;
    let known = Known::read(&index)?;
    let mut report = Report::default();
    let mut places = BTreeMap::new();
    let names = disk.list(SEGMENTS).at("list", SEGMENTS)?;
    let ids: BTreeSet<u32> = names.iter().filter_map(|name| segment_of(name)).collect();
    let last = end_of_log(disk, &ids, &known)?;
    for id in &ids {
        check_segment(disk, *id, last == Some(*id), &mut report, &mut places)?;
    }
    // A stub beside its segment is one that was not finished.
    let stubs: BTreeSet<u32> = names.iter().filter_map(|name| stub_of(name)).filter(|id| !ids.contains(id)).collect();
    for id in &stubs {
        check_stub(disk, *id, &mut report, &mut places)?;
    }
    let is_there = |id: u32| ids.contains(&id) || stubs.contains(&id);
    check_index(&index, &known, is_there, &places, &mut report)?;
    Ok(report)
}

/// What the index says of the segments.
struct Known {
    rows: BTreeMap<u32, SegmentRow>,
    /// How far it has taken in the log.
    position: Option<Position>,
}

impl Known {
    fn read(index: &Index) -> Result<Self> {
        let mut rows = BTreeMap::new();
        index.scan(Table::Segments, &[], |key, row| {
            let id = Reader::new(key, "key of table segments").u32()?.swap_bytes();
            rows.insert(id, SegmentRow::decode(row)?);
            Ok(true)
        })?;
        let position = index.get(Table::Meta, meta::POSITION)?.map(|row| Position::decode(&row)).transpose()?;
        Ok(Self { rows, position })
    }
}

/// The segment that the log ends in, as an opening finds it. Adopted segments have their numbers from the same sequence,
/// so it need not be the last of all. It is none of a segment that the position has left, nor a stub: those are sealed.
fn end_of_log(disk: &dyn Disk, ids: &BTreeSet<u32>, known: &Known) -> Result<Option<u32>> {
    let from = known.position.map_or(0, |position| position.segment);
    for id in ids.range(from..).rev() {
        let origin = match known.rows.get(id) {
            Some(row) => row.origin,
            None => {
                let path = segment_path(*id);
                let file = disk.open(&path).at("open segment", &path)?;
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

/// Where good chunk and recipe records lie.
type Places = BTreeMap<(u32, u32), ContentHash>;

fn check_segment(disk: &dyn Disk, id: u32, is_last: bool, report: &mut Report, places: &mut Places) -> Result<()> {
    let path = segment_path(id);
    let file = disk.open(&path).at("open segment", &path)?;
    let length = file.size().at("measure segment", &path)?;
    report.segments += 1;
    let mut header = [0; SEGMENT_HEADER.len()];
    if read_exact_at(&*file, &mut header, 0).is_err() || header != SEGMENT_HEADER {
        report.bad_records += 1;
        report.problem(format!("{path}: the segment header is damaged"));
    }
    let trailer = read_trailer(&*file, length).at("read segment", &path)?;
    let mut scanner = Scanner::new(&*file, SEGMENT_HEADER.len() as u64, length);
    let mut committed = SEGMENT_HEADER.len() as u64;
    while let Some(step) = scanner.next().at("read segment", &path)? {
        if let Step::Broken { offset, .. } = &step
            && trailer.is_none()
            && is_padding(&*file, *offset, length).at("read segment", &path)?
        {
            if is_last {
                report.tail_bytes = offset - committed;
            }
            break;
        }
        report.records += 1;
        match step {
            Step::Record { offset, header, body } => {
                report.bytes += header.record_len();
                let checked = match (body, header.kind) {
                    (Ok(body), RecordKind::Chunk) => header.open_chunk(&body).map(drop),
                    (other, _) => other.map(drop),
                };
                match checked {
                    Ok(()) if matches!(header.kind, RecordKind::Chunk | RecordKind::Recipe) => {
                        places.insert((id, u32::try_from(offset).unwrap_or(u32::MAX)), header.hash);
                    }
                    Ok(()) => {}
                    Err(bad) => {
                        report.bad_records += 1;
                        report.problem(format!("{path}: offset {offset}: {bad}"));
                    }
                }
                if header.kind == RecordKind::Commit {
                    committed = scanner.offset();
                }
            }
            Step::Broken { offset, reason } => {
                let by_trailer = trailer.as_ref().and_then(|(_, trailer)| {
                    trailer.placed().find(|(_, at, _)| *at == offset).map(|(_, at, line)| at + line.record_len())
                });
                let next = match by_trailer {
                    Some(next) => Some(next),
                    None => step_over(&*file, offset, length).at("read segment", &path)?,
                };
                let Some(next) = next else {
                    if is_last {
                        report.tail_bytes = length - committed;
                    } else {
                        report.bad_records += 1;
                        report.problem(format!("{path}: offset {offset}: {reason}; what follows cannot be told apart"));
                    }
                    return Ok(());
                };
                report.bad_records += 1;
                report.problem(format!("{path}: offset {offset}: {reason}"));
                scanner.seek(next);
            }
        }
    }
    Ok(())
}

/// Checks what the disk has of a segment whose chunks are in the bucket: they count as there.
fn check_stub(disk: &dyn Disk, id: u32, report: &mut Report, places: &mut Places) -> Result<()> {
    let path = stub_path(id);
    report.segments += 1;
    let stub = disk.open(&path).at("open stub", &path).and_then(|file| Stub::open(file, &path));
    let stub = match stub {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            report.bad_records += 1;
            report.problem(error.to_string());
            return Ok(());
        }
        stub => stub?,
    };
    let length = stub.spans.length;
    let file = Hollow::new(id, stub, None);
    let Some((_, trailer)) = read_trailer(&file, length).at("read stub", &path)? else {
        report.bad_records += 1;
        report.problem(format!("{path}: the trailer is damaged"));
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
                report.problem(format!("{path}: offset {offset} of the segment: the record is damaged"));
                continue;
            }
        }
        if is_blob {
            places.insert((id, u32::try_from(offset).unwrap_or(u32::MAX)), line.hash);
        }
    }
    Ok(())
}

fn check_index(
    index: &Index,
    known: &Known,
    is_there: impl Fn(u32) -> bool,
    places: &Places,
    report: &mut Report,
) -> Result<()> {
    let mut dangling = Vec::new();
    let mut stale = 0;
    index.scan(Table::Blobs, &[], |key, row| {
        let place = BlobRow::decode(row)?.place;
        let hash = ContentHash::from_key(key);
        let found = places.get(&(place.segment, place.offset));
        if hash.is_none() || found != hash.as_ref() {
            if known.rows.contains_key(&place.segment) {
                let (offset, segment) = (place.offset, place.segment);
                dangling.push(format!("index: blob {hash:?} is not at offset {offset} of segment {segment}"));
            } else {
                stale += 1;
            }
        }
        Ok(true)
    })?;
    index.scan(Table::Entries, &[], |_, row| {
        let segment = EntryRow::segment_of(row)?;
        if !is_there(segment) {
            if known.rows.contains_key(&segment) {
                dangling.push(format!("index: an entry points to segment {segment}, which is not there"));
            } else {
                stale += 1;
            }
        }
        Ok(true)
    })?;
    report.stale_rows = stale;
    report.dangling_rows = dangling.len() as u64;
    dangling.into_iter().for_each(|text| report.problem(text));
    Ok(())
}

/// Deletes the index of a directory and makes it anew from the segments. The bucket is needed only if segments that are in
/// it have nothing on the disk any more, not even a stub.
///
/// # Errors
/// As [`Store::open`].
pub fn rebuild(options: Options, clock: Arc<dyn Clock>) -> Result<Recovery> {
    if !options.dir.join("format").exists() {
        return Err(Error::invalid("rebuild index", format!("{} holds no store", options.dir.display())));
    }
    {
        let _lock = lock(&options.dir)?;
        check_format(&options.dir)?;
        let index = options.dir.join("index");
        match std::fs::remove_dir_all(&index) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let message = index.display().to_string();
                return Err(Error::new(ErrorKind::Failed, "remove index", message).with_source(error));
            }
            _ => {}
        }
    }
    let disk = Arc::new(FsDisk::new(&options.dir));
    let store = Store::open_for(Purpose::Rebuild, options, disk, clock)?;
    let recovery = store.recovery();
    store.close()?;
    Ok(recovery)
}

#[cfg(test)]
mod tests;
