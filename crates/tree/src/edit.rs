//! Every change that a restore makes below a root, one function each, so that tests can end a restore between any two.

use std::io;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::stat::{FileStat, FileTime};

/// Changes the file system; names are always meant in an open directory and never followed.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    /// How many more changes succeed; the next is torn, and everything after it fails as after a kill.
    #[cfg(test)]
    left: Option<std::sync::atomic::AtomicI64>,
}

impl Edits {
    #[cfg(test)]
    pub(crate) fn ending_after(changes: i64) -> Self {
        Self { left: Some(changes.into()) }
    }

    /// Whether the next change may be made.
    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        let Some(left) = &self.left else { return Ok(()) };
        let left = left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        if left > 0 { Ok(()) } else { Err(Errno::IO.into()) }
    }

    /// A write that is the next to fail leaves half of its bytes.
    #[cfg(test)]
    fn tear(&self, file: &OwnedFd, content: &[u8], offset: u64) {
        if self.left.as_ref().is_some_and(|left| left.load(std::sync::atomic::Ordering::SeqCst) == 0) {
            rustix::io::pwrite(file, &content[..content.len() / 2], offset).unwrap();
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the tests' form counts and fails")]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn make_directory(&self, parent: &OwnedFd, name: &str) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::mkdirat(parent, name, Mode::RWXU)?)
    }

    /// Makes a file that was not there, for writing. Nobody else may open it before its mode is set.
    pub(crate) fn create(&self, parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        self.step()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?)
    }

    pub(crate) fn write_at(&self, file: &OwnedFd, mut content: &[u8], mut offset: u64) -> io::Result<()> {
        #[cfg(test)]
        self.tear(file, content, offset);
        self.step()?;
        while !content.is_empty() {
            match rustix::io::pwrite(file, content, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    content = &content[written..];
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(crate) fn set_mode(&self, file: &OwnedFd, mode: u32) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
    }

    /// Sets the permission bits of a directory and leaves its set-id and sticky bits, which belong to the place.
    pub(crate) fn set_directory_mode(&self, directory: &OwnedFd, mode: u32) -> io::Result<()> {
        self.step()?;
        let special = rustix::fs::fstat(directory)?.st_mode & 0o7000;
        Ok(rustix::fs::fchmod(directory, Mode::from_raw_mode(mode | special))?)
    }

    pub(crate) fn set_mtime(&self, file: &OwnedFd, mtime: FileTime) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::futimens(file, &mtime.as_modification())?)
    }

    pub(crate) fn set_mtime_at(&self, parent: &OwnedFd, name: &str, mtime: FileTime) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::utimensat(parent, name, &mtime.as_modification(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Puts a finished file, link or name in its place, over what is there unless that is a directory.
    pub(crate) fn rename(&self, parent: &OwnedFd, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::renameat(parent, from, parent, to)?)
    }

    /// Gives the file `old` a further name.
    pub(crate) fn link(&self, from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::linkat(from, old, to, new, AtFlags::empty())?)
    }

    pub(crate) fn symlink(&self, target: &str, parent: &OwnedFd, name: &str) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::symlinkat(target, parent, name)?)
    }

    /// Removes what is no directory.
    pub(crate) fn remove(&self, parent: &OwnedFd, name: &str) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, parent: &OwnedFd, name: &str) -> io::Result<()> {
        self.step()?;
        Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }
}

/// Whether a failed change means that no other will succeed either: the disk is full, read-only or broken.
pub(crate) fn is_fatal(error: &io::Error) -> bool {
    let broken = [Errno::ROFS, Errno::IO].map(Errno::raw_os_error);
    is_full(error) || error.raw_os_error().is_some_and(|code| broken.contains(&code))
}

/// Whether there is no room for what was to be written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

/// Opens a file being written again, if it is still the one that was created.
pub(crate) fn open_created(parent: &OwnedFd, name: &str, created: &FileStat) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let found = FileStat::of_open(&file)?;
    if (found.device, found.inode) == (created.device, created.inode) {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "another file took the place of the one being written"))
    }
}
