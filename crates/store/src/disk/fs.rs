//! The real disk.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, Mode, OFlags, fadvise, open};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, pwritev};

use super::{DirectFile, Disk, DiskFile, ReadAt};

/// The most buffers that one system call takes.
const PARTS_MAX: usize = 1024;

/// A directory of a file system.
#[derive(Clone, Debug)]
pub struct FsDisk {
    root: PathBuf,
}

impl FsDisk {
    /// The files below `root`, which must exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path))
    }
}

impl Disk for FsDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(path))?;
        Ok(Arc::new(FsFile(file)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(path))?;
        Ok(Arc::new(FsFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in std::fs::read_dir(self.path(directory))? {
            // A name that is not text is not one of ours.
            names.extend(item?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn make_directory(&self, directory: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.path(directory))
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        File::open(self.path(directory))?.sync_all()
    }

    fn open_direct(&self, path: &str) -> Option<Arc<dyn DirectFile>> {
        // Whatever the reason: who asks has the file open as files are, and gets along with that.
        let file = open(self.path(path), OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()).ok();
        file.map(|file| Arc::new(FsBlocks(file.into())) as Arc<dyn DirectFile>)
    }

    fn before_index_commit(&self) -> io::Result<()> {
        Ok(())
    }
}

struct FsBlocks(File);

impl DirectFile for FsBlocks {
    fn read_blocks(&self, blocks: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match pread(&self.0, &mut *blocks, offset) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::INVAL) => return Err(io::ErrorKind::Unsupported.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write_blocks(&self, blocks: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < blocks.len() {
            match rustix::io::pwrite(&self.0, &blocks[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                // Also what becomes of the rest after a write that ended within a block.
                Err(Errno::INVAL) => return Err(io::ErrorKind::Unsupported.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

struct FsFile(File);

impl ReadAt for FsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match pread(&self.0, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }
}

impl DiskFile for FsFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let wanted = buffer.len();
        match preadv2(&self.0, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            // A short count may be the end of the file or the end of what is in memory; the slow way knows.
            Ok(count) if count == wanted => Ok(Some(count)),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        let mut index = 0;
        let mut skip = 0;
        while index < parts.len() {
            if parts[index].len() == skip {
                (index, skip) = (index + 1, 0);
                continue;
            }
            let written = if skip > 0 {
                pwritev(&self.0, &[IoSlice::new(&parts[index][skip..])], offset)
            } else {
                pwritev(&self.0, &parts[index..parts.len().min(index + PARTS_MAX)], offset)
            };
            let mut count = match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += count as u64;
            while count > 0 {
                let step = count.min(parts[index].len() - skip);
                count -= step;
                skip += step;
                if skip == parts[index].len() {
                    (index, skip) = (index + 1, 0);
                }
            }
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn fetch(&self, range: Range<u64>) {
        let length = NonZeroU64::new(range.end.saturating_sub(range.start));
        // Advice, which a file system may not take. Without a length it would be for the rest of the file.
        let _ = length.map(|length| fadvise(&self.0, range.start, Some(length), Advice::WillNeed));
    }

    fn release(&self) {
        // Advice, which a file system may not take.
        let _ = fadvise(&self.0, 0, None, Advice::DontNeed);
    }
}
