//! Small groups of the log on their way to the disk, past the system's memory.
//!
//! To fill fresh pages of memory with a small synced write, and to find them again for the sync that follows, costs more
//! than the write. So such a group goes from one buffer, used again and again, right to the disk. What is paid for it: the
//! first who reads there reads the disk, see [`crate::read_ahead`]. It takes whole blocks: a write begins with the block in which the log ends,
//! written again with the same bytes, and is filled up with zeros to the end of its last block.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{BLOCK, DirectFile, ReadAt, read_exact_at};

/// Bytes up to which a group goes past the system's memory. What is larger will rather be read as a whole soon, and
/// its sync has enough to do at once.
const DIRECT_MAX: usize = 256 << 10;

/// The end of the log's segment.
pub(super) struct Tail {
    direct: Arc<dyn DirectFile>,
    memory: Vec<u8>,
    /// Where the log ended after the last write through this: then the first bytes of the buffer are those of the log's
    /// last block.
    end: Option<u64>,
}

impl Tail {
    pub(super) fn new(direct: Arc<dyn DirectFile>) -> Self {
        Self { direct, memory: vec![0; DIRECT_MAX + 3 * BLOCK], end: None }
    }

    /// Whether a group of so many bytes goes this way.
    pub(super) fn takes(length: u64) -> bool {
        length <= DIRECT_MAX as u64
    }

    /// Writes `pieces`, which this [`Tail::takes`], at `offset`, where the log in `file` ends.
    ///
    /// # Errors
    /// Those of [`DirectFile::write_blocks`].
    pub(super) fn write(&mut self, file: &dyn ReadAt, pieces: &[Bytes], offset: u64) -> io::Result<()> {
        let known = self.end.take() == Some(offset);
        let aligned = self.memory.as_ptr().align_offset(BLOCK);
        let memory = &mut self.memory[aligned..];
        let head = (offset % BLOCK as u64) as usize;
        let start = offset - head as u64;
        if !known {
            read_exact_at(file, &mut memory[..head], start)?;
        }
        let mut at = head;
        for piece in pieces {
            memory[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        let blocks = at.next_multiple_of(BLOCK);
        memory[at..blocks].fill(0);
        self.direct.write_blocks(&memory[..blocks], start)?;
        memory.copy_within(at - at % BLOCK..at, 0);
        self.end = Some(start + at as u64);
        Ok(())
    }
}

/// Whether what a file has from `offset` to `end` is nothing but what fills up the last block.
pub(crate) fn is_padding(file: &dyn ReadAt, offset: u64, end: u64) -> io::Result<bool> {
    let padding = offset.next_multiple_of(BLOCK as u64) - offset;
    if end - offset != padding {
        return Ok(false);
    }
    let mut bytes = [0; BLOCK];
    let bytes = &mut bytes[..padding as usize];
    read_exact_at(file, bytes, offset)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests;
