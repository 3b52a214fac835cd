//! Stubs: what stays on the disk of a segment whose chunks are in the bucket only.
//!
//! A stub holds every record of its segment but the chunks: entries, recipes, grants, adoptions and the trailer. So the
//! log stays whole on the disk, and opening, presence, eviction's plan and a rebuild of the index need no bucket. A stub
//! is believed only where the segment's own file is not.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::{Record, RecordKind, SEGMENT_HEADER};
use larder_base::{Error, ErrorKind, Result};

use crate::body::{Trailer, TrailerLine};
use crate::codec::{Reader, Writer};
use crate::disk::{Disk, DiskFile, OnDisk, read_exact_at};
use crate::scan::{Scanner, Step};

/// The most bytes copied at once.
const PIECE: u64 = 1 << 20;

/// Bytes of a segment that its stub has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// Where they begin in the segment.
    offset: u64,
    length: u64,
    /// Where they begin in the stub.
    at: u64,
}

/// Which bytes of a segment its stub has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spans {
    /// Bytes of the segment.
    pub(crate) length: u64,
    spans: Vec<Span>,
}

impl Spans {
    /// The spans of a segment with these records, whose trailer begins at `trailer`.
    pub(crate) fn of(lines: &Trailer, trailer: u64, length: u64) -> Self {
        let mut spans: Vec<Span> = Vec::new();
        let records = lines.placed().filter(|(_, _, line)| line.kind != RecordKind::Chunk);
        let records = records.map(|(_, offset, line)| (offset, line.record_len()));
        for (offset, bytes) in records.chain([(trailer, length - trailer)]) {
            match spans.last_mut() {
                Some(last) if last.offset + last.length == offset => last.length += bytes,
                _ => spans.push(Span { offset, length: bytes, at: 0 }),
            }
        }
        let mut made = Self { length, spans };
        made.place();
        made
    }

    /// Lays the spans out one after the other behind the table.
    fn place(&mut self) {
        let mut at = SEGMENT_HEADER.len() as u64 + self.to_record().len();
        for span in &mut self.spans {
            span.at = at;
            at += span.length;
        }
    }

    fn to_record(&self) -> Record {
        let mut body = Writer::with_capacity(12 + 16 * self.spans.len());
        body.u64(self.length);
        body.count(self.spans.len());
        for span in &self.spans {
            body.u64(span.offset);
            body.u64(span.length);
        }
        Record::other(RecordKind::Stub, None, body.0.into())
    }

    fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "stub record");
        let length = reader.u64()?;
        let count = reader.count(16)?;
        let spans = (0..count).map(|_| Ok(Span { offset: reader.u64()?, length: reader.u64()?, at: 0 }));
        let spans = spans.collect::<Result<Vec<_>>>()?;
        reader.end()?;
        let mut end = 0;
        for span in &spans {
            let next = span.offset.checked_add(span.length).filter(|next| span.offset >= end && *next <= length);
            end = next.ok_or_else(|| reader.malformed())?;
        }
        let mut made = Self { length, spans };
        made.place();
        Ok(made)
    }

    /// Bytes of the stub.
    pub(crate) fn stub_len(&self) -> u64 {
        let table = SEGMENT_HEADER.len() as u64 + self.to_record().len();
        table + self.spans.iter().map(|span| span.length).sum::<u64>()
    }

    /// Where in the stub the byte at `offset` of the segment is, and how many that follow it are there, too.
    fn find(&self, offset: u64) -> Option<(u64, u64)> {
        let after = self.spans.partition_point(|span| span.offset <= offset);
        let span = self.spans[..after].last()?;
        let within = offset - span.offset;
        (within < span.length).then(|| (span.at + within, span.length - within))
    }
}

/// A stub that is open.
pub(crate) struct Stub {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) spans: Spans,
}

impl Stub {
    /// Reads the table of a stub.
    pub(crate) fn open(file: Arc<dyn DiskFile>, path: &str) -> Result<Self> {
        let damaged = || Error::new(ErrorKind::Corrupt, "open stub", format!("{path} is damaged"));
        let mut header = [0; SEGMENT_HEADER.len()];
        let length = file.size().at("measure stub", path)?;
        let start = header.len() as u64;
        read_exact_at(&*file, &mut header, 0).at("read stub", path)?;
        if header != SEGMENT_HEADER {
            return Err(damaged());
        }
        let step = Scanner::new(&*file, start, length).next().at("read stub", path)?;
        let Some(Step::Record { header, body: Ok(body), .. }) = step else { return Err(damaged()) };
        if header.kind != RecordKind::Stub {
            return Err(damaged());
        }
        let spans = Spans::decode(&body)?;
        if spans.stub_len() != length {
            return Err(damaged());
        }
        Ok(Self { file, spans })
    }

    /// Fills the buffer from `offset` of the segment, if the stub has all of that.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let Some((at, there)) = self.spans.find(offset).filter(|(_, there)| *there >= buffer.len() as u64) else {
            return Ok(buffer.is_empty());
        };
        debug_assert!(there >= buffer.len() as u64);
        read_exact_at(&*self.file, buffer, at).map(|()| true)
    }
}

/// Writes the stub of a segment that ends in a trailer at an offset, durable but for its name.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &str,
    segment: &dyn DiskFile,
    length: u64,
    (offset, trailer): &(u64, Trailer),
) -> Result<Spans> {
    let spans = Spans::of(trailer, *offset, length);
    write_spans(disk, path, &spans, |span, from, buffer| {
        read_exact_at(segment, buffer, span.offset + from).at("read segment", path)
    })?;
    Ok(spans)
}

/// Writes the stub of a segment of chunks alone, `end` bytes in the bucket, to which a trailer is added here.
pub(crate) fn write_table(disk: &dyn Disk, path: &str, end: u64, trailer: &Trailer) -> Result<Spans> {
    let record = trailer.to_record(end);
    let bytes: Bytes = [&record.header.encode()[..], &record.body].concat().into();
    let spans = Spans::of(trailer, end, end + record.len());
    write_spans(disk, path, &spans, |_, from, buffer| {
        buffer.copy_from_slice(&bytes[from as usize..from as usize + buffer.len()]);
        Ok(())
    })?;
    Ok(spans)
}

fn write_spans(
    disk: &dyn Disk,
    path: &str,
    spans: &Spans,
    read: impl Fn(&Span, u64, &mut [u8]) -> Result<()>,
) -> Result<()> {
    let file = disk.create(path).at("make stub", path)?;
    let made = || {
        let table = spans.to_record();
        let header = table.header.encode();
        let parts = [IoSlice::new(&SEGMENT_HEADER), IoSlice::new(&header), IoSlice::new(&table.body)];
        file.write_at(&parts, 0).at("write stub", path)?;
        let mut waiting = Vec::new();
        let mut at = SEGMENT_HEADER.len() as u64 + table.len();
        for span in &spans.spans {
            let mut from = 0;
            while from < span.length {
                let count = (span.length - from).min(PIECE);
                let begin = waiting.len();
                waiting.resize(begin + count as usize, 0);
                read(span, from, &mut waiting[begin..])?;
                from += count;
                if waiting.len() as u64 >= PIECE {
                    file.write_at(&[IoSlice::new(&waiting)], at).at("write stub", path)?;
                    at += waiting.len() as u64;
                    waiting.clear();
                }
            }
        }
        file.write_at(&[IoSlice::new(&waiting)], at).at("write stub", path)?;
        file.sync().at("sync stub", path)
    };
    made().inspect_err(|_| {
        // One that stays is overwritten later, or removed by the next opening.
        let _ = disk.remove(path);
    })
}

/// The lines of a segment's chunks, with ordinals.
pub(crate) fn chunks(trailer: &Trailer) -> impl Iterator<Item = (u32, &TrailerLine)> {
    trailer.placed().filter(|(_, _, line)| line.kind == RecordKind::Chunk).map(|(ordinal, _, line)| (ordinal, line))
}

#[cfg(test)]
mod tests;
