//! An object that no segment is of yet, as a file that is read from front to back.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Archive;
use crate::bucket::ObjectName;
use crate::disk::{DiskFile, ReadAt};

/// Bytes fetched at once: what is in memory of the object at a time.
const AHEAD: u64 = if cfg!(test) { 2000 } else { 4 << 20 };

/// An object, with the piece that was read last.
pub(crate) struct ObjectFile {
    archive: Arc<Archive>,
    name: ObjectName,
    length: u64,
    piece: Mutex<(u64, Bytes)>,
}

impl ObjectFile {
    /// An object of which `length` bytes are said to be there.
    pub(crate) fn new(archive: &Arc<Archive>, name: &ObjectName, length: u64) -> Self {
        Self { archive: Arc::clone(archive), name: name.clone(), length, piece: Mutex::default() }
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "an object is never written to"))
}

impl ReadAt for ObjectFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let wanted = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let mut piece = self.piece.lock();
        let mut done = 0;
        while done < wanted {
            let at = offset + done as u64;
            let (start, bytes) = &*piece;
            let within = at.checked_sub(*start).filter(|within| *within < bytes.len() as u64);
            let Some(within) = within else {
                *piece = (at, self.archive.fetch(&self.name, at, AHEAD.min(self.length - at))?);
                continue;
            };
            let there = &bytes[within as usize..];
            let count = there.len().min(wanted - done);
            buffer[done..done + count].copy_from_slice(&there[..count]);
            done += count;
        }
        Ok(done)
    }
}

impl DiskFile for ObjectFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at_once(&self, _: &mut [u8], _: u64) -> io::Result<Option<usize>> {
        Ok(None)
    }

    fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
        read_only()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn fetch(&self, _: Range<u64>) {}

    fn release(&self) {}
}
