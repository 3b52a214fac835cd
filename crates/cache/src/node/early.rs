//! A head start for the push: the chunks of a save go up as soon as the part that brought them is verified here, while other
//! parts are still coming and before an entry names them.
//!
//! Nothing depends on it. When the entry is sent it is asked what is missing above, and what did not go early goes then. What
//! an abandoned save leaves above are chunks that no entry names, as a push that is broken off does.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{ContentHash, Namespace, PartName, UploadId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Chunks whose names are remembered, 33 bytes each; the parts that bring more get no head start.
const CHUNKS_MAX: usize = 500_000;
/// Chunks in a part beyond which it cannot be adopted anyway.
pub(super) const PART_CHUNKS_MAX: usize = 65_536;
/// About how many bytes are sent in one step: an entry that waits meanwhile is next.
const STEP_BYTES: u64 = 64 << 20;
/// How long nothing is sent early after it failed: whatever is wrong, entries that wait find out.
const REST: Duration = Duration::from_secs(60);

/// What may be sent early.
#[derive(Default)]
pub(super) struct Early(Mutex<State>);

#[derive(Default)]
struct State {
    /// The chunks of parts that were received.
    received: HashMap<PartName, Vec<ContentHash>>,
    /// The chunks of parts that were adopted, with the bytes of each part.
    waiting: VecDeque<(Namespace, u64, Vec<ContentHash>)>,
    /// All of these chunks.
    chunks: usize,
    rests_until: Option<Instant>,
}

impl Early {
    /// A part was received, and perhaps received before.
    pub(super) fn received(&self, part: &PartName, chunks: Vec<ContentHash>) {
        let mut state = self.0.lock();
        state.forget(part);
        if state.chunks + chunks.len() <= CHUNKS_MAX {
            state.chunks += chunks.len();
            state.received.insert(part.clone(), chunks);
        }
    }

    /// A part that was received is adopted: what is in it may be sent. Says whether there is anything.
    pub(super) fn adopted(&self, namespace: &Namespace, part: &PartName, bytes: u64) -> bool {
        let mut state = self.0.lock();
        let Some(chunks) = state.received.remove(part) else { return false };
        state.waiting.push_back((namespace.clone(), bytes, chunks));
        true
    }

    /// A part is not to be sent.
    pub(super) fn forget(&self, part: &PartName) {
        self.0.lock().forget(part);
    }

    /// No part of an upload is to be sent any more, unless it was adopted.
    pub(super) fn forget_upload(&self, upload: &UploadId) {
        let mut state = self.0.lock();
        let parts: Vec<_> = state.received.keys().filter(|part| part.upload == *upload).cloned().collect();
        parts.iter().for_each(|part| state.forget(part));
    }

    /// Chunks of one namespace that are to be sent now.
    pub(super) fn take(&self) -> Option<(Namespace, Vec<ContentHash>)> {
        let mut state = self.0.lock();
        if state.rests_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let (namespace, mut bytes, mut chunks) = state.waiting.pop_front()?;
        while let Some((_, more, others)) =
            state.waiting.pop_front_if(|(next, more, _)| *next == namespace && bytes + *more <= STEP_BYTES)
        {
            bytes += more;
            chunks.extend(others);
        }
        state.chunks -= chunks.len();
        Some((namespace, chunks))
    }

    /// What was taken could not be sent.
    pub(super) fn failed(&self) {
        let mut state = self.0.lock();
        state.rests_until = Some(Instant::now() + REST);
        // Their entries send what is lacking.
        let waiting = std::mem::take(&mut state.waiting);
        state.chunks -= waiting.iter().map(|(_, _, chunks)| chunks.len()).sum::<usize>();
    }
}

impl State {
    fn forget(&mut self, part: &PartName) {
        if let Some(chunks) = self.received.remove(part) {
            self.chunks -= chunks.len();
        }
    }
}

/// The names of the chunks of a segment that flows by. It is believed only once the segment was adopted, and so verified.
pub(super) struct Names {
    /// Bytes that are passed over: of the segment's header, then of a body.
    skip: usize,
    /// The beginning of a record's header.
    head: Vec<u8>,
    chunks: Vec<ContentHash>,
    is_segment: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            skip: SEGMENT_HEADER.len(),
            head: Vec::with_capacity(RECORD_HEADER_LEN),
            chunks: Vec::new(),
            is_segment: true,
        }
    }
}

impl Names {
    /// Looks at the next bytes.
    pub(super) fn see(&mut self, mut piece: &[u8]) {
        while self.is_segment {
            let passed = self.skip.min(piece.len());
            self.skip -= passed;
            piece = &piece[passed..];
            if piece.is_empty() {
                return;
            }
            let (head, rest) = piece.split_at(piece.len().min(RECORD_HEADER_LEN - self.head.len()));
            self.head.extend_from_slice(head);
            piece = rest;
            let Some(head) = self.head.first_chunk() else { return };
            match RecordHeader::decode(head) {
                Ok(header) if header.kind == RecordKind::Chunk && self.chunks.len() < PART_CHUNKS_MAX => {
                    self.chunks.push(header.hash);
                    self.skip = header.stored_len as usize;
                    self.head.clear();
                }
                _ => {
                    self.is_segment = false;
                    self.chunks = Vec::new();
                }
            }
        }
    }

    /// The chunks; none of what is no segment.
    pub(super) fn chunks(self) -> Vec<ContentHash> {
        if self.is_segment { self.chunks } else { Vec::new() }
    }
}
