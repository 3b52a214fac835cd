//! Filling segments.

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender};
use larder_base::segment::{Record, SEGMENT_HEADER};
use larder_base::{Error, ErrorKind, Result};

/// The body of an upload: a segment header and the records of new chunks.
#[derive(Clone, Debug)]
pub struct Segment {
    /// All of it, in the segment format.
    pub body: Bytes,
    /// How many records it holds.
    pub records: u32,
}

/// Puts records into segments and hands on each that is full.
pub(super) struct Filler {
    body: BytesMut,
    records: u32,
    limit: usize,
    full: Sender<Segment>,
    /// Buffers of segments that are sent. Fresh memory costs more than what is copied into it.
    sent: Receiver<BytesMut>,
}

impl Filler {
    /// Segments have at most `limit` bytes, or one record.
    pub(super) fn new(limit: usize, full: Sender<Segment>, sent: Receiver<BytesMut>) -> Self {
        Self { body: BytesMut::new(), records: 0, limit, full, sent }
    }

    /// Adds a record; waits while the segment that is full by it cannot be handed on.
    pub(super) fn push(&mut self, record: &Record) -> Result<()> {
        let length = usize::try_from(record.len()).expect("a chunk's record fits in memory");
        if self.records > 0 && self.body.len() + length > self.limit {
            self.flush()?;
        }
        if self.records == 0 {
            self.body = self.sent.try_recv().unwrap_or_default();
            self.body.clear();
            // Only the pages that are written take memory.
            self.body.reserve(self.limit.max(SEGMENT_HEADER.len() + length));
            self.body.extend_from_slice(&SEGMENT_HEADER);
        }
        self.body.extend_from_slice(&record.header.encode());
        self.body.extend_from_slice(&record.body);
        self.records += 1;
        Ok(())
    }

    /// Hands on what there is.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        let segment =
            Segment { body: std::mem::take(&mut self.body).into(), records: std::mem::take(&mut self.records) };
        // Senders leave only after a failure, which is then what is reported.
        self.full
            .send(segment)
            .map_err(|_| Error::new(ErrorKind::Unavailable, "send segment", "the senders have stopped"))
    }
}
