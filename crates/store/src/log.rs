//! The segment at the end of the log, and how one follows another.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{Error, ErrorKind, Result, Timestamp};

use crate::body::{Origin, Trailer, TrailerLine};
use crate::core::Core;
use crate::disk::{DirectFile, DiskFile, OnDisk, disk_error};
use crate::files::{SEGMENTS, segment_path};
use crate::index::{Table, meta};
use crate::row::{Position, SegmentRow};
use crate::rows::Rows;
use crate::scan::{Scanner, Step, step_over};

mod padding;
mod replayed;
mod tail;

pub(crate) use padding::Padding;
pub(crate) use replayed::Replayed;
#[cfg(test)]
pub(crate) use tail::AHEAD;

use tail::Tail;

/// Records after which a segment is sealed, however short it is: its trailer, and what memory knows of its records, stay
/// small. A group may go beyond by the records it has.
const RECORDS_MAX: u32 = 1_000_000;

/// The segment that is appended to. Owned by the committer.
pub(crate) struct ActiveLog {
    pub(crate) segment: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where small groups go; `None` where the disk has no such way.
    tail: Option<Tail>,
    /// Where the next record goes.
    pub(crate) offset: u64,
    /// How far the segment is durable.
    pub(crate) synced: u64,
    /// Which record the next one is.
    pub(crate) ordinal: u32,
    /// The lines of the records since `lines_from`; earlier ones are read again when the trailer is made.
    lines: Vec<TrailerLine>,
    lines_from: u64,
    appended: u64,
}

impl ActiveLog {
    /// Goes on at the end of a segment; `direct` is the same file.
    pub(crate) fn resume(
        segment: u32,
        file: Arc<dyn DiskFile>,
        direct: Option<Arc<dyn DirectFile>>,
        offset: u64,
        ordinal: u32,
    ) -> Self {
        let tail = direct.map(Tail::new);
        let lines = Vec::new();
        Self { segment, file, tail, offset, synced: offset, ordinal, lines, lines_from: offset, appended: 0 }
    }

    /// Makes a new segment, durably, and the log that goes on in it. Its row is in `rows`.
    pub(crate) fn begin(core: &Core, rows: &mut Rows<'_>) -> Result<Self> {
        let segment = rows.new_segment_id()?;
        let path = segment_path(segment);
        let make = || {
            let file = core.disk.create(&path)?;
            file.write_at(&[IoSlice::new(&SEGMENT_HEADER)], 0)?;
            file.sync()?;
            core.disk.sync_directory(SEGMENTS)?;
            Ok((file, core.disk.open_direct(&path)))
        };
        let (file, direct): (Arc<dyn DiskFile>, _) = match make() {
            Ok(made) => made,
            Err(error) => {
                // A file without a name in the log would be taken for its end.
                let _ = core.disk.remove(&path);
                return Err(disk_error("begin segment", &path, error));
            }
        };
        let start = SEGMENT_HEADER.len() as u64;
        let log = Self::resume(segment, file, direct, start, 0);
        rows.set(Table::Segments, &segment.to_be_bytes(), log.row(start, 0, rows.now, None).encode());
        rows.set(Table::Meta, meta::POSITION, Position { segment, offset: start, ordinal: 0 }.encode());
        core.heat.add_active(segment);
        core.files.keep(segment, Arc::clone(&log.file));
        core.usage.segments.fetch_add(start, Ordering::Relaxed);
        Ok(log)
    }

    /// The segment's row at a given end.
    pub(crate) fn row(&self, length: u64, records: u32, now: Timestamp, before: Option<SegmentRow>) -> SegmentRow {
        let held = before.map_or(Timestamp::default(), |row| row.held);
        SegmentRow { origin: Origin::Log, sealed: false, length, records, touched: now, held }
    }

    /// Writes pieces at the end of the segment, which is to be sealed at `limit`: past the system's memory if they are small
    /// and to be synced at once; says whether they went that way.
    pub(crate) fn write_pieces(&mut self, pieces: &[Bytes], sync: bool, limit: u64) -> io::Result<bool> {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        if let Some(tail) = self.tail.as_mut().filter(|_| sync && Tail::takes(length)) {
            match tail.write(&*self.file, pieces, self.offset, limit) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => self.tail = None,
                written => return written.map(|()| true),
            }
        }
        let parts: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        self.file.write_at(&parts, self.offset).map(|()| false)
    }

    /// Cuts off whatever the file has behind the log.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        if let Some(tail) = &mut self.tail {
            tail.was_cut();
        }
        self.file.truncate(self.offset)
    }

    /// Takes in a group that was written.
    pub(crate) fn advance(&mut self, end: u64, ordinal: u32, lines: Vec<TrailerLine>) {
        self.appended += end - self.offset;
        self.offset = end;
        self.ordinal = ordinal;
        self.lines.extend(lines);
    }

    /// Whether the segment is to be sealed.
    pub(crate) fn is_full(&self, segment_len: u64) -> bool {
        self.offset >= segment_len || self.ordinal >= RECORDS_MAX
    }

    /// Fails when the segment is so many times what it should be, because the disk takes no next one: it must not grow for
    /// ever.
    pub(crate) fn check_room(&self, core: &Core, times: u32) -> Result<()> {
        let most = core.segment_len().saturating_mul(times.into());
        if self.offset < most && self.ordinal < times * RECORDS_MAX {
            return Ok(());
        }
        let message = format!("{} cannot be followed by another segment", segment_path(self.segment));
        Err(Error::new(ErrorKind::Full, "write", message)
            .with_hint("make room on the disk: bytes, or inodes if those are used up"))
    }

    /// Bytes appended since this was last asked.
    pub(crate) fn appended(&mut self) -> u64 {
        std::mem::take(&mut self.appended)
    }

    /// Makes all that was written durable.
    pub(crate) fn sync(&mut self, core: &Core) -> Result<()> {
        self.sync_to(core, self.offset)
    }

    /// Makes the segment durable up to an end that was written.
    pub(crate) fn sync_to(&mut self, core: &Core, end: u64) -> Result<()> {
        self.file.sync().at("sync segment", &segment_path(self.segment))?;
        core.health.syncs.fetch_add(1, Ordering::Relaxed);
        self.synced = end;
        Ok(())
    }

    /// Seals the segment and goes on in a new one.
    ///
    /// The order makes every crash tell its place: all groups are durable before the next segment exists, and the trailer
    /// is durable before the next segment has records. A segment that is not the last and lacks its trailer gets it at
    /// the next opening.
    pub(crate) fn roll(&mut self, core: &Core) -> Result<()> {
        // The zeros behind the log go first, and durably: the trailer must be the last that the file has.
        let path = segment_path(self.segment);
        self.cut().at("cut segment", &path)?;
        // Whatever the kind of the failure: nobody knows what of the unsynced groups is on the disk.
        self.sync(core).inspect_err(|error| core.health.poison(error))?;
        let mut rows = Rows::new(core);
        let next = Self::begin(core, &mut rows)?;
        let sealed = self.seal(core);
        let length = match sealed {
            Ok(length) => length,
            Err(error) => {
                self.forget(core, &next);
                return Err(error);
            }
        };
        let row = self.row(length, self.ordinal, rows.now, rows.segment(self.segment)?);
        rows.set(Table::Segments, &self.segment.to_be_bytes(), SegmentRow { sealed: true, ..row }.encode());
        core.usage.segments.fetch_add(length - self.offset, Ordering::Relaxed);
        *core.active.write() = Some((next.segment, Arc::clone(&next.file)));
        core.publish(rows.changes);
        core.heat.unpin(self.segment);
        let appended = self.appended;
        *self = next;
        self.appended = appended;
        Ok(())
    }

    /// Takes off the zeros behind the log, so that a store at rest has nothing but that. Where that fails it is done at the
    /// next opening.
    pub(crate) fn end(&mut self, core: &Core) {
        if core.health.check("end segment").is_ok()
            && let Err(error) = self.cut().at("cut segment", &segment_path(self.segment))
        {
            tracing::warn!(%error, "the zeros behind the log stay");
        }
    }

    /// Undoes the beginning of a next segment. If that fails the store must stop: the file would be taken for the log's end.
    fn forget(&mut self, core: &Core, next: &Self) {
        core.heat.remove(next.segment);
        core.files.forget(next.segment);
        core.usage.segments.fetch_sub(SEGMENT_HEADER.len() as u64, Ordering::Relaxed);
        let undone = core.disk.remove(&segment_path(next.segment)).and_then(|()| core.disk.sync_directory(SEGMENTS));
        let undone = undone.and_then(|()| self.cut());
        if let Err(error) = undone.at("undo the beginning of a segment", &segment_path(next.segment)) {
            core.health.poison(&error);
        }
    }

    /// Appends the trailer, durably, and returns the length of the sealed segment.
    fn seal(&mut self, core: &Core) -> Result<u64> {
        let path = segment_path(self.segment);
        let lines = read_lines(&*self.file, self.lines_from).at("read segment", &path)?;
        let Some(mut lines) = lines else {
            // A damaged record hides where the others begin: the segment stays without a table.
            return Ok(self.offset);
        };
        lines.extend_from_slice(&self.lines);
        let length = append_trailer(&*self.file, self.offset, Origin::Log, lines).at("seal segment", &path)?;
        self.file.sync().at("sync segment", &path).inspect_err(|error| core.health.poison(error))?;
        core.health.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(length)
    }
}

/// The lines of the records before `end`, from the records themselves; `None` when a damaged header hides the rest.
pub(crate) fn read_lines(file: &dyn DiskFile, end: u64) -> io::Result<Option<Vec<TrailerLine>>> {
    let mut scanner = Scanner::new(file, SEGMENT_HEADER.len() as u64, end);
    let mut lines = Vec::new();
    while let Some(step) = scanner.next()? {
        match step {
            Step::Record { header, .. } => lines.push(TrailerLine::from(&header)),
            Step::Broken { offset, .. } => {
                let Some(next) = step_over(file, offset, end)? else { return Ok(None) };
                lines.push(TrailerLine::unreadable(next - offset));
                scanner.seek(next);
            }
        }
    }
    Ok(Some(lines))
}

/// Writes a trailer at `offset`, durably, and returns the length of the segment.
pub(crate) fn write_trailer(
    file: &dyn DiskFile,
    offset: u64,
    origin: Origin,
    lines: Vec<TrailerLine>,
) -> io::Result<u64> {
    let length = append_trailer(file, offset, origin, lines)?;
    file.sync()?;
    Ok(length)
}

fn append_trailer(file: &dyn DiskFile, offset: u64, origin: Origin, lines: Vec<TrailerLine>) -> io::Result<u64> {
    let record = Trailer { origin, lines }.to_record(offset);
    let header = record.header.encode();
    file.write_at(&[IoSlice::new(&header), IoSlice::new(&record.body)], offset)?;
    Ok(offset + record.len())
}

#[cfg(test)]
mod tests;
