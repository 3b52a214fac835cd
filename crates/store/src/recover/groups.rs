//! The groups in the tail of a segment, whole or not.

use std::io;

use bytes::Bytes;
use larder_base::segment::{RecordKind, SEGMENT_HEADER};

use crate::body::{Commit, Trailer, TrailerLine};
use crate::disk::{ReadAt, read_exact_at};
use crate::log::Padding;
use crate::row::Position;
use crate::scan::{RecordEnds, Scanner, Step, read_body_at, step_over};

/// One record of a group.
pub(super) struct Item {
    pub(super) offset: u64,
    pub(super) ordinal: u32,
    pub(super) line: TrailerLine,
    /// Its checksums are right.
    pub(super) good: bool,
    /// The body, except of chunks, which nobody needs here.
    pub(super) body: Bytes,
}

/// Records that take effect together.
pub(crate) struct GroupRead {
    pub(super) items: Vec<Item>,
    pub(super) end: u64,
    committed: bool,
}

impl GroupRead {
    /// Whether every record and the commit are there and right.
    fn is_whole(&self) -> bool {
        self.committed && self.items.iter().all(|item| item.good)
    }
}

/// What the tail of a segment holds.
pub(crate) struct Read {
    groups: Vec<GroupRead>,
    /// How far the commits prove that the segment was durable.
    pub(crate) proven: u64,
    /// Reading ended at a damaged place before the end.
    pub(super) blocked: bool,
    /// Zeros at the end, behind all that was read.
    pub(crate) padding: u64,
}

/// What of a segment's tail counts.
pub(crate) struct Counted<'a> {
    pub(super) groups: &'a [GroupRead],
    pub(crate) end: u64,
    /// A place that nothing can step over, in what was durable, hides what lies behind the end.
    pub(crate) is_blocked: bool,
}

impl Read {
    /// What counts of a tail that was read from an offset on: its groups up to the first that a crash tore. Up to `durable`
    /// no crash tore any: in the segment in which the log ends that is [`Read::proven`].
    pub(crate) fn counted(&self, from: u64, durable: u64) -> Counted<'_> {
        let is_torn = |group: &GroupRead| !group.is_whole() && group.end > durable;
        let count = self.groups.iter().position(is_torn).unwrap_or(self.groups.len());
        let groups = &self.groups[..count];
        let end = groups.last().map_or(from, |group| group.end);
        Counted { groups, end, is_blocked: self.blocked && count == self.groups.len() && durable > end }
    }
}

/// Reads the groups from a position to the end of a segment, or to its trailer.
pub(crate) fn read_groups(
    file: &dyn ReadAt,
    from: Position,
    length: u64,
    trailer: Option<&(u64, Trailer)>,
) -> io::Result<Read> {
    let end = trailer.map_or(length, |(offset, _)| *offset).max(from.offset);
    let mut ends = trailer.map(|(_, trailer)| RecordEnds::new(trailer));
    let mut padding = trailer.is_none().then(|| Padding::new(file, end));
    let mut scanner = Scanner::new(file, from.offset, end);
    let mut read = Read { groups: Vec::new(), proven: 0, blocked: false, padding: 0 };
    let mut open: Vec<Item> = Vec::new();
    let mut ordinal = from.ordinal;
    while let Some(step) = scanner.next()? {
        match step {
            Step::Record { offset, header, body } => {
                let is_chunk = header.kind == RecordKind::Chunk;
                let good = body.is_ok();
                // A copy, so that the scanner has its window back: else all of the log would stay in memory.
                let body =
                    body.ok().filter(|_| !is_chunk).map_or_else(Bytes::new, |body| Bytes::copy_from_slice(&body));
                let commit = (header.kind == RecordKind::Commit).then(|| Commit::decode(&body).ok()).flatten();
                open.push(Item { offset, ordinal, line: TrailerLine::from(&header), good, body });
                if let Some(commit) = commit {
                    read.proven = read.proven.max(commit.synced);
                    close(&mut read.groups, std::mem::take(&mut open), commit.start, scanner.offset());
                }
            }
            Step::Broken { offset, .. } => {
                if let Some(padding) = &mut padding
                    && padding.begins_by(offset)?
                {
                    break;
                }
                let line = match &mut ends {
                    Some(ends) => ends.line_at(offset).copied(),
                    None => step_over(file, offset, end)?.map(|next| TrailerLine::unreadable(next - offset)),
                };
                let Some(line) = line.filter(|line| offset + line.record_len() <= end) else {
                    read.blocked = true;
                    break;
                };
                open.push(Item { offset, ordinal, line, good: false, body: Bytes::new() });
                scanner.seek(offset + line.record_len());
            }
        }
        ordinal += 1;
    }
    if !open.is_empty() {
        read.groups.push(GroupRead { items: open, end: scanner.offset(), committed: false });
    }
    if let Some(padding) = &mut padding {
        read.padding = padding.behind(scanner.offset())?;
    }
    Ok(read)
}

/// Whether the disk kept only zeros where the log had its last commit before a position: it is longer than the log by
/// zeros, so that what it lost need not make it shorter.
pub(super) fn is_lost_before(file: &dyn ReadAt, from: Position) -> io::Result<bool> {
    let mut commit = [0; Commit::LEN];
    if from.offset < (SEGMENT_HEADER.len() + commit.len()) as u64 {
        return Ok(false);
    }
    read_exact_at(file, &mut commit, from.offset - Commit::LEN as u64)?;
    // One that is there is not all zeros: no group begins at offset 0.
    Ok(commit.iter().all(|byte| *byte == 0))
}

/// As [`read_groups`], of a segment of which the disk has only the stub: its chunks are in the bucket and not looked at.
pub(super) fn read_groups_of_stub(file: &dyn ReadAt, from: Position, trailer: &Trailer) -> io::Result<Read> {
    let mut read = Read { groups: Vec::new(), proven: u64::MAX, blocked: false, padding: 0 };
    let mut open: Vec<Item> = Vec::new();
    let mut end = from.offset;
    for (ordinal, offset, line) in trailer.placed().filter(|(_, offset, _)| *offset >= from.offset) {
        let is_chunk = line.kind == RecordKind::Chunk;
        let body = if is_chunk { Some(Bytes::new()) } else { read_body_at(file, offset, line)? };
        let (good, body) = (body.is_some(), body.unwrap_or_default());
        let commit = (line.kind == RecordKind::Commit).then(|| Commit::decode(&body).ok()).flatten();
        open.push(Item { offset, ordinal, line: *line, good, body });
        end = offset + line.record_len();
        if let Some(commit) = commit {
            close(&mut read.groups, std::mem::take(&mut open), commit.start, end);
        }
    }
    if !open.is_empty() {
        read.groups.push(GroupRead { items: open, end, committed: false });
    }
    Ok(read)
}

/// Closes a group that begins at `start`. Records before that are of groups whose own commit is damaged.
fn close(groups: &mut Vec<GroupRead>, mut items: Vec<Item>, start: u64, end: u64) {
    let split = items.partition_point(|item| item.offset < start);
    let own = items.split_off(split);
    if !items.is_empty() {
        groups.push(GroupRead { items, end: start, committed: false });
    }
    groups.push(GroupRead { items: own, end, committed: true });
}

#[cfg(test)]
mod tests;
