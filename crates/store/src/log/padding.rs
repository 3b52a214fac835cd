//! What the end of a segment's file has behind the log, as it is found by who reads it: zeros.

use std::io;

use super::tail::AHEAD;
use crate::disk::{BLOCK, ReadAt, read_exact_at};

/// The most zeros that a file has behind its log: to the end of the last block, and what is written ahead. Where there are
/// more, the first of them are what a crash left of a group.
const MOST: usize = BLOCK + AHEAD;

const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The zeros that a file ends in, looked for when they are first asked for and then known: whoever steps through a torn
/// end may ask at each of its records.
pub(crate) struct Padding<'a> {
    file: &'a dyn ReadAt,
    end: u64,
    start: Option<u64>,
}

impl<'a> Padding<'a> {
    /// Of a file that ends at `end`.
    pub(crate) fn new(file: &'a dyn ReadAt, end: u64) -> Self {
        Self { file, end, start: None }
    }

    /// Whether the file has nothing from `offset` on but what may lie behind a log that ends there.
    pub(crate) fn begins_by(&mut self, offset: u64) -> io::Result<bool> {
        Ok(self.start()? <= offset)
    }

    /// How much of what the file has from `offset` on are zeros at its end.
    pub(crate) fn behind(&mut self, offset: u64) -> io::Result<u64> {
        if offset >= self.end {
            return Ok(0);
        }
        Ok(self.end - self.start()?.max(offset))
    }

    /// Where the zeros begin. The last record may end in zeros of its own: those count here, too.
    fn start(&mut self) -> io::Result<u64> {
        if let Some(start) = self.start {
            return Ok(start);
        }
        let length = self.end.min(MOST as u64);
        let mut bytes = vec![0; length as usize];
        read_exact_at(self.file, &mut bytes, self.end - length)?;
        let whole = bytes.rchunks(BLOCK).take_while(|block| **block == ZEROS[..block.len()]).map(<[u8]>::len);
        let mixed = &bytes[..bytes.len() - whole.sum::<usize>()];
        let content = mixed.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Ok(*self.start.insert(self.end - length + content as u64))
    }
}

#[cfg(test)]
mod tests;
