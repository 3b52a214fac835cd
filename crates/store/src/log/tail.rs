//! Small groups of the log on their way to the disk, past the system's memory.
//!
//! To fill fresh pages of memory with a small synced write, and to find them again for the sync that follows, costs more
//! than the write. So such a group goes from one buffer, used again and again, right to the disk. What is paid for it: the
//! first who reads there reads the disk, see [`crate::read_ahead`]. It takes whole blocks: a write begins with the block in which the log ends,
//! written again with the same bytes, and is filled up with zeros to the end of its last block.
//!
//! A write that makes a file longer costs its sync more than the bytes do: the file system has to make the new length
//! durable, and where the new blocks lie. So the file is kept longer than the log, by zeros. A group that reaches beyond
//! them is followed by the next stretch, and one sync pays for both; the groups after it only replace bytes that the file
//! has. The zeros are written, as space that is merely set aside has to be marked as written by the sync that
//! first writes there. Nobody relies on them: a reader knows where the log ends, and an opening finds that out.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{BLOCK, DirectFile, DiskFile, read_exact_at};

/// Bytes up to which a group goes past the system's memory. What is larger will rather be read as a whole soon, and
/// its sync has enough to do at once.
const DIRECT_MAX: usize = 256 << 10;

/// Bytes of a stretch of zeros. Shorter ones make the file longer more often; of longer ones the group that writes them
/// has to wait for more. Between 512 KiB and 2 MiB that comes to the same.
pub(crate) const AHEAD: usize = if cfg!(test) { 2 * BLOCK } else { 1 << 20 };

/// The end of the log's segment.
pub(super) struct Tail {
    direct: Arc<dyn DirectFile>,
    memory: Vec<u8>,
    /// Where the log ended after the last write through this: then the first bytes of the buffer are those of the log's
    /// last block.
    end: Option<u64>,
    /// What the file has between the end of the log and here are zeros, and the file is as long: to write there does not make
    /// it longer. 0 when that is not known.
    zeroed: u64,
    /// A stretch of zeros; `None` once the disk did not take one.
    stretch: Option<Vec<u8>>,
}

impl Tail {
    pub(super) fn new(direct: Arc<dyn DirectFile>) -> Self {
        // Memory that is only ever read as zeros is none that the process has.
        let stretch = Some(vec![0; AHEAD + BLOCK]);
        Self { direct, memory: vec![0; DIRECT_MAX + 3 * BLOCK], end: None, zeroed: 0, stretch }
    }

    /// Whether a group of so many bytes goes this way.
    pub(super) fn takes(length: u64) -> bool {
        length <= DIRECT_MAX as u64
    }

    /// Writes `pieces`, which this [`Tail::takes`], at `offset`, where the log in `file` ends, and zeros behind them where
    /// the file has none: none beyond `limit`, where the log will hardly get.
    ///
    /// # Errors
    /// Those of [`DirectFile::write_blocks`]. That zeros cannot be written is none.
    pub(super) fn write(&mut self, file: &dyn DiskFile, pieces: &[Bytes], offset: u64, limit: u64) -> io::Result<()> {
        let known = self.end.take() == Some(offset);
        let zeroed = std::mem::take(&mut self.zeroed);
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
        let end = start + blocks as u64;
        self.zeroed = if end > zeroed { self.write_zeros(file, end, limit) } else { zeroed };
        Ok(())
    }

    /// Writes the next stretch of zeros, from `start`, where the last block of the log ends; returns how far they reach.
    fn write_zeros(&mut self, file: &dyn DiskFile, start: u64, limit: u64) -> u64 {
        let room = limit.next_multiple_of(BLOCK as u64).saturating_sub(start);
        let Some(stretch) = self.stretch.as_ref().filter(|_| room > 0) else { return start };
        let aligned = stretch.as_ptr().align_offset(BLOCK);
        let length = room.min(AHEAD as u64);
        match self.direct.write_blocks(&stretch[aligned..aligned + length as usize], start) {
            Ok(()) => start + length,
            Err(error) => {
                tracing::debug!(%error, "the segment goes on without zeros ahead of its log");
                self.stretch = None;
                // On a full disk somebody else needs what there was room for. Where it stays it is zeros.
                let _ = file.truncate(start);
                start
            }
        }
    }

    /// The file was cut, or may have been, where the log ends.
    pub(super) fn was_cut(&mut self) {
        self.zeroed = 0;
    }
}

#[cfg(test)]
mod tests;
