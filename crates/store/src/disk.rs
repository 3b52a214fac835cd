//! The disk as the store sees it: a few operations on files below one directory, so that tests can put one in its place
//! that fails, tears and forgets.
//!
//! What the store relies on: bytes written and then synced stay; a file that was created or renamed stays so once its
//! directory was synced; bytes not yet synced may be there after a crash, in whole, in part or not at all.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use larder_base::{Error, ErrorKind, Result};

mod fs;

pub use fs::FsDisk;

/// What a [`DirectFile`] is written in, in bytes: the page of most machines and a multiple of the sector of any disk.
pub(crate) const BLOCK: usize = 4096;

/// Files below one directory. Paths are relative to it, with `/` between names.
pub trait Disk: Send + Sync {
    /// Makes an empty file and opens it to read and write; a file of that name is emptied.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to read and write.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file, replacing the target.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The names of the files in a directory, in no order.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Makes a directory if there is none.
    fn make_directory(&self, directory: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &str) -> io::Result<()>;
    /// Opens a file to move whole blocks between the store's own memory and the disk, past the system's. `None` where that
    /// cannot be done.
    fn open_direct(&self, path: &str) -> Option<Arc<dyn DirectFile>>;
    /// Called before the index, which does its own writing, commits: a test disk can fail or cut here.
    fn before_index_commit(&self) -> io::Result<()>;
}

/// A file that is read and written in whole blocks: their length, their place in memory and their offset are multiples of
/// 4096. What it writes is seen by whoever reads the file, and is as durable as any write: not before a
/// [`DiskFile::sync`].
///
/// # Errors
/// Of both verbs [`io::ErrorKind::Unsupported`], perhaps with some of it done, when the file system does no such thing
/// after all: all of it is to be done in another way.
pub trait DirectFile: Send + Sync {
    /// Reads into `blocks` from `offset`; fewer bytes only at the end of the file.
    fn read_blocks(&self, blocks: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes `blocks` at `offset`.
    fn write_blocks(&self, blocks: &[u8], offset: u64) -> io::Result<()>;
}

/// What can be read at any place.
pub trait ReadAt: Send + Sync {
    /// Reads into `buffer` from `offset`; fewer bytes only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// An open file. All positions are absolute; many threads may use one file.
pub trait DiskFile: ReadAt {
    /// Bytes of the file.
    fn size(&self) -> io::Result<u64>;
    /// As [`ReadAt::read_at`], but only what is in memory already: `None` when it would have to wait.
    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>>;
    /// Writes all of `parts`, one after the other, from `offset`.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// Makes the bytes and the size durable.
    fn sync(&self) -> io::Result<()>;
    /// Begins to bring a range into memory, without waiting for it: it is read soon. It may do nothing.
    fn fetch(&self, range: Range<u64>);
    /// Gives back the memory that holds bytes which are durable: they are not read again soon. It may do nothing.
    fn release(&self);
}

/// The store's error for a failed operation on a file.
pub(crate) fn disk_error(operation: &'static str, path: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::Full, operation, format!("{path}: no space left on the disk"))
                .with_hint("free space on the disk, or lower the store's quota")
                .with_source(error)
        }
        io::ErrorKind::HostUnreachable => {
            let message = format!("{path}: what is wanted of it is in the bucket, which cannot be reached");
            Error::new(ErrorKind::Unavailable, operation, message).with_source(error)
        }
        _ => Error::new(ErrorKind::Failed, operation, path)
            .with_hint("look at the disk: the store takes no writes until it is opened again")
            .with_source(error),
    }
}

/// Fills `buffer` from `offset`, or says that the file ends before.
pub(crate) fn read_exact_at(file: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buffer, offset)? == buffer.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Adds a file's name to what went wrong with it.
pub(crate) trait OnDisk<T> {
    /// The store's error for this failure of `operation` on `path`.
    fn at(self, operation: &'static str, path: &str) -> Result<T>;
}

impl<T> OnDisk<T> for io::Result<T> {
    fn at(self, operation: &'static str, path: &str) -> Result<T> {
        self.map_err(|error| disk_error(operation, path, error))
    }
}

#[cfg(test)]
pub(crate) mod faulty;
