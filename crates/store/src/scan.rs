//! Reads a segment record by record, from a given offset, in large pieces.

use std::io;

use bytes::{Bytes, BytesMut};
use larder_base::segment::{BadRecord, RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};

use crate::body::{Trailer, TrailerLine};
use crate::disk::{ReadAt, read_exact_at};

/// How much is read at once.
const WINDOW: usize = 256 << 10;

/// One step through a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A record with a good header.
    Record {
        offset: u64,
        header: RecordHeader,
        /// The body as stored, or why it cannot be believed.
        body: Result<Bytes, BadRecord>,
    },
    /// Nothing that can be stepped over is here: a damaged header, or a record that ends beyond the file.
    Broken { offset: u64, reason: BadRecord },
}

/// Steps through the records of a segment.
pub(crate) struct Scanner<'a> {
    file: &'a dyn ReadAt,
    at: u64,
    end: u64,
    /// The least that is read at once, where there is so much.
    piece: usize,
    window: BytesMut,
}

impl<'a> Scanner<'a> {
    /// Begins at the record at `offset`; the segment ends at `end`.
    pub(crate) fn new(file: &'a dyn ReadAt, offset: u64, end: u64) -> Self {
        Self { file, at: offset, end, piece: WINDOW, window: BytesMut::new() }
    }

    /// As [`Scanner::new`], for one record: nothing behind it is read.
    fn of_one(file: &'a dyn ReadAt, offset: u64, end: u64) -> Self {
        Self { piece: 0, ..Self::new(file, offset, end) }
    }

    /// Where the next record begins.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// Goes on at another offset.
    pub(crate) fn seek(&mut self, offset: u64) {
        let skipped = offset.checked_sub(self.at).and_then(|skipped| usize::try_from(skipped).ok());
        match skipped.filter(|skipped| *skipped <= self.window.len()) {
            Some(skipped) => drop(self.window.split_to(skipped)),
            None => self.window.clear(),
        }
        self.at = offset;
    }

    /// The next record; `None` at the end. After [`Step::Broken`] the scanner stays where it is.
    pub(crate) fn next(&mut self) -> io::Result<Option<Step>> {
        let offset = self.at;
        if offset >= self.end {
            return Ok(None);
        }
        let broken = |reason| Ok(Some(Step::Broken { offset, reason }));
        if self.end - offset < RECORD_HEADER_LEN as u64 {
            return broken(BadRecord::Magic);
        }
        self.fill(RECORD_HEADER_LEN)?;
        let header: &[u8; RECORD_HEADER_LEN] = self.window.first_chunk().expect("the window was filled");
        let header = match RecordHeader::decode(header) {
            Ok(header) => header,
            Err(reason) => return broken(reason),
        };
        if header.record_len() > self.end - offset {
            return broken(BadRecord::Body);
        }
        self.fill(RECORD_HEADER_LEN + header.stored_len as usize)?;
        let _ = self.window.split_to(RECORD_HEADER_LEN);
        let body = self.window.split_to(header.stored_len as usize).freeze();
        self.at += header.record_len();
        let body = header.check_body(&body).map(|()| body);
        Ok(Some(Step::Record { offset, header, body }))
    }

    /// Makes the window begin at the present offset and hold at least `needed` bytes, which the file has.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        let have = self.window.len();
        if have >= needed {
            return Ok(());
        }
        let from = self.at + have as u64;
        let wanted = (needed - have).max(self.piece).min(usize::try_from(self.end - from).unwrap_or(usize::MAX));
        self.window.resize(have + wanted, 0);
        read_exact_at(self.file, &mut self.window[have..], from)
    }
}

/// Whether a whole record begins at `offset`: then a damaged one before it may be stepped over.
pub(crate) fn record_is_at(file: &dyn ReadAt, offset: u64, end: u64) -> io::Result<bool> {
    if offset == end {
        return Ok(true);
    }
    let mut scanner = Scanner::of_one(file, offset, end);
    Ok(matches!(scanner.next()?, Some(Step::Record { body: Ok(_), .. })))
}

/// Where the record behind a damaged header begins, if that can be told: by the length the header claims, when a whole
/// record follows there.
pub(crate) fn step_over(file: &dyn ReadAt, offset: u64, end: u64) -> io::Result<Option<u64>> {
    let mut header = [0; RECORD_HEADER_LEN];
    if end - offset < header.len() as u64 {
        return Ok(None);
    }
    read_exact_at(file, &mut header, offset)?;
    let stored = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let next = offset + RECORD_HEADER_LEN as u64 + u64::from(stored);
    Ok(if next <= end && record_is_at(file, next, end)? { Some(next) } else { None })
}

/// Tells where the records of a sealed segment end, by its trailer. It is asked for offsets that only grow, and walks the
/// trailer once: of a damaged segment that may be asked a million times.
pub(crate) struct RecordEnds<'a> {
    /// The records from `at` on.
    lines: &'a [TrailerLine],
    at: u64,
}

impl<'a> RecordEnds<'a> {
    pub(crate) fn new(trailer: &'a Trailer) -> Self {
        Self { lines: &trailer.lines, at: SEGMENT_HEADER.len() as u64 }
    }

    /// The line of the record that begins at `offset`; `None` if none begins there, or if it lies before one asked for.
    pub(crate) fn line_at(&mut self, offset: u64) -> Option<&'a TrailerLine> {
        while let [line, rest @ ..] = self.lines {
            if self.at >= offset {
                return (self.at == offset).then_some(line);
            }
            (self.lines, self.at) = (rest, self.at + line.record_len());
        }
        None
    }

    /// Where the record that begins at `offset` ends, as [`RecordEnds::line_at`].
    pub(crate) fn of(&mut self, offset: u64) -> Option<u64> {
        self.line_at(offset).map(|line| offset + line.record_len())
    }
}

/// The body of the record at `offset` that a trailer speaks of; `None` when the record is bad.
pub(crate) fn read_body_at(file: &dyn ReadAt, offset: u64, line: &TrailerLine) -> io::Result<Option<Bytes>> {
    let mut scanner = Scanner::new(file, offset, offset + line.record_len());
    match scanner.next()? {
        Some(Step::Record { header, body: Ok(body), .. }) if header.kind == line.kind => Ok(Some(body)),
        _ => Ok(None),
    }
}

/// The trailer of a sealed segment of `length` bytes, with its offset; `None` when it does not end in a good one.
pub(crate) fn read_trailer(file: &dyn ReadAt, length: u64) -> io::Result<Option<(u64, Trailer)>> {
    let mut pointer = [0; Trailer::POINTER_LEN];
    let Some(at) = length.checked_sub(pointer.len() as u64) else { return Ok(None) };
    read_exact_at(file, &mut pointer, at)?;
    let offset = u64::from_le_bytes(pointer);
    if offset >= length {
        return Ok(None);
    }
    let mut scanner = Scanner::new(file, offset, length);
    let Some(Step::Record { header, body: Ok(body), .. }) = scanner.next()? else { return Ok(None) };
    if header.kind != RecordKind::Trailer || scanner.offset() != length {
        return Ok(None);
    }
    Ok(Trailer::decode(&body).ok().map(|trailer| (offset, trailer)))
}

#[cfg(test)]
mod tests;
