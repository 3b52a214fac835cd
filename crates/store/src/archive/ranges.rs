//! What was read from the bucket lately, in blocks, in memory.
//!
//! In memory and not back on the disk: a record that is wanted again costs no more than before, nothing is written for
//! what may be one read, and a crash leaves nothing to clear away. Who wants whole segments gets the object's own URL.
//!
//! Blocks that are missing side by side are fetched with one read, and so are those behind them while somebody reads on:
//! records of one blob lie side by side. A block is fetched by one caller, and all others who want it wait for that one.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::{Condvar, Mutex};

/// Bytes of a block: what the time for an answer costs in bytes, about.
const BLOCK: u64 = if cfg!(test) { 1000 } else { 256 << 10 };
/// The most blocks read ahead.
const AHEAD_MAX: u64 = 16;
/// Segments of which is known where a reader is; beyond, all are forgotten.
const READERS_MAX: usize = 1024;

enum Block {
    Coming,
    Kept { bytes: Bytes, used: u64 },
}

/// Where the last fetch of a segment ended, and how many blocks it read ahead.
#[derive(Clone, Copy)]
struct Reader {
    next: u64,
    ahead: u64,
}

#[derive(Default)]
struct State {
    blocks: HashMap<(u32, u64), Block>,
    readers: HashMap<u32, Reader>,
    bytes: usize,
    uses: u64,
}

impl State {
    fn remove(&mut self, key: (u32, u64)) {
        if let Some(Block::Kept { bytes, .. }) = self.blocks.remove(&key) {
            self.bytes -= bytes.len();
        }
    }

    fn keep(&mut self, key: (u32, u64), bytes: Bytes, limit: usize) {
        self.remove(key);
        self.uses += 1;
        self.bytes += bytes.len();
        self.blocks.insert(key, Block::Kept { bytes, used: self.uses });
        while self.bytes > limit {
            let kept = self.blocks.iter().filter_map(|(key, block)| match block {
                Block::Kept { used, .. } => Some((*used, *key)),
                Block::Coming => None,
            });
            let Some((_, oldest)) = kept.min() else { break };
            self.remove(oldest);
        }
    }

    /// How many blocks to read ahead of a fetch that begins at `block`.
    fn ahead(&self, segment: u32, block: u64) -> u64 {
        match self.readers.get(&segment) {
            Some(reader) if reader.next == block => (reader.ahead * 2).clamp(1, AHEAD_MAX),
            _ => 0,
        }
    }
}

/// Blocks of objects.
pub(super) struct Ranges {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
    patience: Duration,
}

/// The blocks that one caller fetches; however that ends, nobody waits for them for ever.
struct Fetching<'a> {
    ranges: &'a Ranges,
    segment: u32,
    blocks: std::ops::Range<u64>,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        let mut state = self.ranges.state.lock();
        for block in self.blocks.clone() {
            if matches!(state.blocks.get(&(self.segment, block)), Some(Block::Coming)) {
                state.blocks.remove(&(self.segment, block));
            }
        }
        self.ranges.changed.notify_all();
    }
}

impl Ranges {
    /// Keeps at most `limit` bytes; who waits for another's fetch gives up after `patience`.
    pub(super) fn new(limit: usize, patience: Duration) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limit, patience }
    }

    /// Fills a buffer from `offset` of a segment's object, of which `length` bytes are known to be there. `fetch` gets
    /// exactly the bytes it is asked for, by offset and length.
    pub(super) fn read(
        &self,
        segment: u32,
        length: u64,
        offset: u64,
        buffer: &mut [u8],
        fetch: &dyn Fn(u64, u64) -> io::Result<Bytes>,
    ) -> io::Result<()> {
        let end = offset + buffer.len() as u64;
        if end > length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        while at < end {
            let block = at / BLOCK;
            let bytes = self.block_on(segment, length, block, (end - 1) / BLOCK, fetch)?;
            let from = (at - block * BLOCK) as usize;
            let count = (bytes.len() - from).min((end - at) as usize);
            let to = (at - offset) as usize;
            buffer[to..to + count].copy_from_slice(&bytes[from..from + count]);
            at += count as u64;
        }
        Ok(())
    }

    /// As [`Ranges::read`], if all of it is here.
    pub(super) fn read_at_once(&self, segment: u32, offset: u64, buffer: &mut [u8]) -> bool {
        let mut state = self.state.lock();
        let mut at = offset;
        let end = offset + buffer.len() as u64;
        while at < end {
            let block = at / BLOCK;
            state.uses += 1;
            let uses = state.uses;
            let Some(Block::Kept { bytes, used }) = state.blocks.get_mut(&(segment, block)) else { return false };
            *used = uses;
            let from = (at - block * BLOCK) as usize;
            if from >= bytes.len() {
                return false;
            }
            let count = (bytes.len() - from).min((end - at) as usize);
            let to = (at - offset) as usize;
            buffer[to..to + count].copy_from_slice(&bytes[from..from + count]);
            at += count as u64;
        }
        true
    }

    /// Forgets what is kept of a segment.
    pub(super) fn forget(&self, segment: u32) {
        let mut state = self.state.lock();
        let keys: Vec<_> = state.blocks.keys().copied().filter(|(of, _)| *of == segment).collect();
        for key in keys {
            if matches!(state.blocks.get(&key), Some(Block::Kept { .. })) {
                state.remove(key);
            }
        }
        state.readers.remove(&segment);
    }

    /// The bytes from the beginning of a block, at least those of the block: all that were fetched for this.
    fn block_on(
        &self,
        segment: u32,
        length: u64,
        block: u64,
        last: u64,
        fetch: &dyn Fn(u64, u64) -> io::Result<Bytes>,
    ) -> io::Result<Bytes> {
        let mut state = self.state.lock();
        loop {
            state.uses += 1;
            let uses = state.uses;
            match state.blocks.get_mut(&(segment, block)) {
                Some(Block::Kept { bytes, used }) => {
                    *used = uses;
                    return Ok(bytes.clone());
                }
                Some(Block::Coming) => {
                    if self.changed.wait_for(&mut state, self.patience).timed_out() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                None => break,
            }
        }
        let most = (last + state.ahead(segment, block)).min((length - 1) / BLOCK);
        let mut end = block;
        while end <= most && !state.blocks.contains_key(&(segment, end)) {
            state.blocks.insert((segment, end), Block::Coming);
            end += 1;
        }
        let ahead = state.ahead(segment, block);
        if state.readers.len() >= READERS_MAX {
            state.readers.clear();
        }
        state.readers.insert(segment, Reader { next: end, ahead });
        drop(state);
        let fetching = Fetching { ranges: self, segment, blocks: block..end };
        let from = block * BLOCK;
        let count = (end * BLOCK).min(length) - from;
        let fetched = fetch(from, count)?;
        if fetched.len() as u64 != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Of its own memory each, so that to forget one block frees it.
        let mut state = self.state.lock();
        for (number, part) in (block..).zip(fetched.chunks(BLOCK as usize)) {
            state.keep((segment, number), BytesMut::from(part).freeze(), self.limit);
        }
        drop(state);
        drop(fetching);
        Ok(fetched)
    }
}

#[cfg(test)]
mod tests;
