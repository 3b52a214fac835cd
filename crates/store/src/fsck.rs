//! Checks and repairs of a data directory that no process has open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use larder_base::{Clock, ContentHash, Error, ErrorKind, Result};

use crate::codec::Reader;
use crate::disk::{Disk, FsDisk, OnDisk};
use crate::files::{SEGMENTS, segment_of, stub_of};
use crate::format::check_format;
use crate::index::{INDEX, Index, Table, meta};
use crate::options::Options;
use crate::recover::Recovery;
use crate::row::{BlobRow, EntryRow, Position, SegmentRow};
use crate::store::{Purpose, Store, lock};

mod segments;

use segments::{Check, Places};

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
    /// Whether a part of the index is damaged: the next opening makes the index anew from the log.
    pub index_damaged: bool,
    /// Chunk records that are in the bucket only, and were not read.
    pub remote_records: u64,
    /// Bytes after the last group of the log that counts: what a crash left, cut off by the next opening. None of it was
    /// acknowledged, and its records are not counted.
    pub tail_bytes: u64,
    /// The first problems, as text; at most [`Report::PROBLEMS_MAX`].
    pub problems: Vec<String>,
}

impl Report {
    /// The most problems told in words.
    pub const PROBLEMS_MAX: usize = 100;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.bad_records == 0 && self.dangling_rows == 0 && !self.index_damaged
    }

    /// Tells of a problem, as long as there are few: there may be millions.
    fn problem(&mut self, text: impl FnOnce() -> String) {
        if self.problems.len() < Self::PROBLEMS_MAX {
            self.problems.push(text());
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
    let index = Index::open(&dir.join(INDEX))?;
    let mut report = Report::default();
    match index.load_runs(disk) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            report.index_damaged = true;
            report.problem(|| format!("index: {}", error.message()));
        }
        loaded => loaded?,
    }
    let known = Known::read(&index)?;
    let mut check = Check { disk, known: &known, report, places: Places::new() };
    let names = disk.list(SEGMENTS).at("list", SEGMENTS)?;
    let ids: BTreeSet<u32> = names.iter().filter_map(|name| segment_of(name)).collect();
    let last = check.end_of_log(&ids)?;
    for id in &ids {
        check.segment(*id, last == Some(*id))?;
    }
    // A stub beside its segment is one that was not finished.
    let stubs: BTreeSet<u32> = names.iter().filter_map(|name| stub_of(name)).filter(|id| !ids.contains(id)).collect();
    for id in &stubs {
        check.stub(*id)?;
    }
    let Check { mut report, places, .. } = check;
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

fn check_index(
    index: &Index,
    known: &Known,
    is_there: impl Fn(u32) -> bool,
    places: &Places,
    report: &mut Report,
) -> Result<()> {
    index.scan(Table::Blobs, &[], |key, row| {
        let place = BlobRow::decode(row)?.place;
        let hash = ContentHash::from_key(key);
        let found = places.get(&(place.segment, place.offset));
        if hash.is_none() || found != hash.as_ref() {
            if known.rows.contains_key(&place.segment) {
                let (offset, segment) = (place.offset, place.segment);
                report.dangling_rows += 1;
                report.problem(|| match hash {
                    Some(hash) => format!("index: blob {hash} is not at offset {offset} of segment {segment}"),
                    None => format!("index: a row of offset {offset} of segment {segment} has a key that is no hash"),
                });
            } else {
                report.stale_rows += 1;
            }
        }
        Ok(true)
    })?;
    index.scan(Table::Entries, &[], |_, row| {
        let segment = EntryRow::segment_of(row)?;
        if !is_there(segment) {
            if known.rows.contains_key(&segment) {
                report.dangling_rows += 1;
                report.problem(|| format!("index: an entry points to segment {segment}, which is not there"));
            } else {
                report.stale_rows += 1;
            }
        }
        Ok(true)
    })
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
        let index = options.dir.join(INDEX);
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
