//! A segment as an opening reads it: once, from one end to the other, and mostly from the disk, as small groups were
//! written past the system's memory. To fill that with what is not read again takes longer than the reading.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{BLOCK, DirectFile, DiskFile, ReadAt};

/// Bytes read from the disk at once: some requests to the device side by side.
const WINDOW: usize = 4 << 20;

/// A file that is read through a window of whole blocks.
pub(crate) struct Replayed {
    file: Arc<dyn DiskFile>,
    direct: Arc<dyn DirectFile>,
    window: Mutex<Window>,
}

struct Window {
    memory: Vec<u8>,
    /// Where the bytes begin, a multiple of [`BLOCK`], and how many there are.
    start: u64,
    length: usize,
}

impl Replayed {
    /// `direct` is the same file. Nothing changes it while this lives.
    pub(crate) fn new(file: Arc<dyn DiskFile>, direct: Arc<dyn DirectFile>) -> Self {
        let window = Window { memory: vec![0; WINDOW + BLOCK], start: 0, length: 0 };
        Self { file, direct, window: Mutex::new(window) }
    }
}

impl ReadAt for Replayed {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut window = self.window.lock();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let moved = if window.has(at) { Ok(()) } else { window.move_to(&*self.direct, at) };
            let found = if moved.is_ok() { window.from(at) } else { &[] };
            let count = found.len().min(buffer.len() - done);
            if count == 0 {
                // The end of the file, or something that this way cannot do: the file itself tells.
                return Ok(done + self.file.read_at(&mut buffer[done..], at)?);
            }
            buffer[done..done + count].copy_from_slice(&found[..count]);
            done += count;
        }
        Ok(done)
    }
}

impl Window {
    fn move_to(&mut self, direct: &dyn DirectFile, offset: u64) -> io::Result<()> {
        self.length = 0;
        self.start = offset - offset % BLOCK as u64;
        let aligned = self.aligned();
        self.length = direct.read_blocks(&mut self.memory[aligned..aligned + WINDOW], self.start)?;
        Ok(())
    }

    fn has(&self, offset: u64) -> bool {
        (self.start..self.start + self.length as u64).contains(&offset)
    }

    fn aligned(&self) -> usize {
        self.memory.as_ptr().align_offset(BLOCK)
    }

    /// What the window holds from an offset on.
    fn from(&self, offset: u64) -> &[u8] {
        let aligned = self.aligned();
        let bytes = &self.memory[aligned..aligned + self.length];
        usize::try_from(offset - self.start).ok().and_then(|skip| bytes.get(skip..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
