//! A segment whose chunks are in the bucket only, as a file.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::{Archive, unreachable};
use crate::disk::{DiskFile, ReadAt};
use crate::stub::Stub;

/// Reads what the stub has from the disk, and all else from the bucket.
pub(crate) struct Hollow {
    segment: u32,
    stub: Stub,
    /// `None` when the store is opened without its bucket.
    archive: Option<Arc<Archive>>,
}

impl Hollow {
    pub(crate) fn new(segment: u32, stub: Stub, archive: Option<Arc<Archive>>) -> Self {
        Self { segment, stub, archive }
    }

    /// How many of `wanted` bytes from an offset are in the object: a trailer that was added here is not.
    fn in_object(archive: &Archive, segment: u32, offset: u64, wanted: usize) -> io::Result<usize> {
        let row = archive.stored(segment).ok_or(io::ErrorKind::NotFound)?;
        Ok(usize::try_from(row.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(wanted))
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a sealed segment is never written to"))
}

impl ReadAt for Hollow {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let wanted = usize::try_from(self.stub.spans.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        let buffer = &mut buffer[..wanted];
        if self.stub.read(offset, buffer)? {
            return Ok(wanted);
        }
        let Some(archive) = &self.archive else { return Err(unreachable("the store was opened without it")) };
        let (object, added) = buffer.split_at_mut(Self::in_object(archive, self.segment, offset, wanted)?);
        if !object.is_empty() {
            archive.read_at(self.segment, offset, object)?;
        }
        if self.stub.read(offset + object.len() as u64, added)? { Ok(wanted) } else { Ok(object.len()) }
    }
}

impl DiskFile for Hollow {
    fn size(&self) -> io::Result<u64> {
        Ok(self.stub.spans.length)
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let Some(archive) = &self.archive else { return Ok(None) };
        Ok(archive.read_at_once(self.segment, offset, buffer).then_some(buffer.len()))
    }

    fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
        read_only()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        self.stub.file.sync()
    }

    fn fetch(&self, _: Range<u64>) {}

    fn release(&self) {}
}
