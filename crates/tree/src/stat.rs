//! What the file system says of a file without reading it.

use std::io;

use larder_base::Timestamp;
use larder_proto::reapi;
use rustix::fs::{FileType, Stat, Timespec, Timestamps};

/// The coarsest tick in which kernels stamp files on file systems that keep nanoseconds, doubled.
const FINE_TICK_NANOS: i128 = 20_000_000;
/// The coarsest tick of file systems that keep whole seconds.
const COARSE_TICK_NANOS: i128 = 2_000_000_000;

/// A file's time: nanoseconds since the Unix epoch, kept as the kernel and the protocol keep them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileTime {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl FileTime {
    /// Reads the protocol's form; `None` when the nanoseconds are no fraction of a second.
    pub(crate) fn from_proto(time: &reapi::Timestamp) -> Option<Self> {
        let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        Some(Self { seconds: time.seconds, nanos })
    }

    pub(crate) fn to_proto(self) -> reapi::Timestamp {
        reapi::Timestamp { seconds: self.seconds, nanos: self.nanos.cast_signed() }
    }

    /// The argument of `utimensat` that sets the modification time and leaves the access time.
    pub(crate) fn as_modification(self) -> Timestamps {
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: Timespec { tv_sec: self.seconds, tv_nsec: self.nanos.into() },
        }
    }

    fn total_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }
}

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    File,
    Directory,
    Symlink,
    /// A device, pipe or socket, by name.
    Special(&'static str),
}

/// The identity and state of a node; two equal ones mean that the content was not changed in between, but for the
/// last tick of the file system's clock ([`FileStat::is_settled`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStat {
    pub(crate) kind: NodeKind,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mtime: FileTime,
    pub(crate) ctime: FileTime,
    /// Permission bits, without set-id and sticky bits.
    pub(crate) mode: u32,
    /// How many names it has.
    pub(crate) names: u32,
}

/// What of a file's state tells whether its content was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mtime: FileTime,
    pub(crate) ctime: FileTime,
    pub(crate) names: u32,
}

impl Trace {
    /// Whether this is the same file with the same content as `earlier`.
    ///
    /// A name that comes or goes changes a file's change time and nothing else of it. Cargo does that to each artifact that
    /// it links anew, and those are the largest, so a change time that differs counts only while the number of names does not.
    pub(crate) fn is_unwritten_since(&self, earlier: &Self) -> bool {
        (self.device, self.inode, self.size, self.mtime) == (earlier.device, earlier.inode, earlier.size, earlier.mtime)
            && (self.ctime == earlier.ctime || self.names != earlier.names)
    }
}

impl FileStat {
    pub(crate) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => NodeKind::File,
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink,
            FileType::Fifo => NodeKind::Special("a pipe"),
            FileType::Socket => NodeKind::Special("a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => NodeKind::Special("a device"),
            _ => NodeKind::Special("of an unknown kind"),
        };
        Self {
            kind,
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: FileTime { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
            ctime: FileTime { seconds: stat.st_ctime, nanos: stat.st_ctime_nsec as u32 },
            mode: stat.st_mode & 0o777,
            names: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn of_open(file: impl rustix::fd::AsFd) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Whether it has more names than one.
    pub(crate) fn is_shared(&self) -> bool {
        self.names > 1
    }

    /// Whether both are the same file with the same content. A change of its permissions counts as a change, because
    /// the change time cannot tell them apart.
    pub(crate) fn is_same_content(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.device, self.inode, self.size) == (other.device, other.inode, other.size)
            && (self.mtime, self.ctime) == (other.mtime, other.ctime)
    }

    /// What tells later whether the content was changed.
    pub(crate) fn trace(&self) -> Trace {
        let Self { device, inode, size, mtime, ctime, names, .. } = *self;
        Trace { device, inode, size, mtime, ctime, names }
    }

    /// As [`Trace::is_unwritten_since`], of two nodes of one kind.
    pub(crate) fn is_unwritten_since(&self, earlier: &Self) -> bool {
        self.kind == earlier.kind && self.trace().is_unwritten_since(&earlier.trace())
    }

    /// Whether a write after `observed` is sure to show in the times: both are older than the tick that was running.
    /// A file that is not settled may be written again without its times changing (git's "racy" entries).
    pub(crate) fn is_settled(&self, observed: Timestamp) -> bool {
        // A file system that keeps whole seconds shows them in the time the kernel sets; the other can be set by anyone.
        let tick = if self.ctime.nanos == 0 { COARSE_TICK_NANOS } else { FINE_TICK_NANOS };
        let newest = self.mtime.max(self.ctime).total_nanos();
        newest + tick <= i128::from(observed.as_millis()) * 1_000_000
    }
}

#[cfg(test)]
mod tests;
