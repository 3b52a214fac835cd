//! The directories of a tree, and open handles on them.
//!
//! Everything below a root is reached through the handle of its directory and without following symbolic links, so that
//! no link planted in the tree leads a read or a write outside of it. Only the path of the root itself is resolved.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::names;
use crate::stat::FileStat;

/// How many directories are kept open at most.
const OPEN_MAX: usize = 128;

/// The number of a directory in its tree; a parent has a smaller one than its children.
pub(crate) type DirId = u32;
/// The directory at the top.
pub(crate) const ROOT: DirId = 0;

/// The directories of a tree.
#[derive(Debug)]
pub(crate) struct DirTable {
    nodes: Vec<DirNode>,
}

#[derive(Debug)]
struct DirNode {
    parent: DirId,
    name: Box<str>,
}

impl DirTable {
    /// A table of the root only.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![DirNode { parent: ROOT, name: "".into() }] }
    }

    /// Adds a directory.
    pub(crate) fn push(&mut self, parent: DirId, name: &str) -> DirId {
        let id = DirId::try_from(self.nodes.len()).expect("a tree has fewer than 2^32 directories");
        assert!(parent < id, "a parent comes before its children");
        self.nodes.push(DirNode { parent, name: name.into() });
        id
    }

    pub(crate) fn parent(&self, id: DirId) -> DirId {
        self.nodes[id as usize].parent
    }

    pub(crate) fn name(&self, id: DirId) -> &str {
        &self.nodes[id as usize].name
    }

    /// The path below the root; empty for the root.
    pub(crate) fn path(&self, id: DirId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while at != ROOT {
            names.push(self.name(at));
            at = self.parent(at);
        }
        names.reverse();
        names.join("/")
    }

    /// The path below the root of a name in a directory.
    pub(crate) fn path_in(&self, id: DirId, name: &str) -> String {
        names::join(&self.path(id), name)
    }
}

/// Open handles on the directories of one tree.
#[derive(Debug)]
pub(crate) struct Handles {
    root: Arc<OwnedFd>,
    open: Mutex<HashMap<DirId, Arc<OwnedFd>>>,
}

impl Handles {
    /// Opens the root, following links.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root: Arc::new(root), open: Mutex::new(HashMap::new()) })
    }

    pub(crate) fn root(&self) -> &Arc<OwnedFd> {
        &self.root
    }

    /// The handle of a directory, opened from its parent's when it is not open.
    pub(crate) fn get(&self, table: &DirTable, id: DirId) -> io::Result<Arc<OwnedFd>> {
        if id == ROOT {
            return Ok(self.root.clone());
        }
        if let Some(handle) = self.open.lock().get(&id) {
            return Ok(handle.clone());
        }
        let parent = self.get(table, table.parent(id))?;
        let handle = Arc::new(open_directory(&parent, table.name(id))?);
        let mut open = self.open.lock();
        if open.len() >= OPEN_MAX {
            // Work goes through a tree directory by directory: those in use come back at once, the others do not.
            open.clear();
        }
        open.insert(id, handle.clone());
        Ok(handle)
    }
}

/// Opens a directory by its name in another.
pub(crate) fn open_directory(parent: &OwnedFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Opens a file for reading by its name in a directory. What is no regular file is opened too; look at its state.
pub(crate) fn open_file(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    // NONBLOCK: a pipe that took the place of a file must not stop the reader until someone writes to it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// The state of a name in a directory; of the link itself when it is one.
pub(crate) fn stat_at(parent: &OwnedFd, name: impl rustix::path::Arg) -> io::Result<FileStat> {
    Ok(FileStat::of(&rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

/// Reads from `offset` until `buffer` is full or the file ends; says how many bytes were read.
pub(crate) fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
