//! Lists what lies below a root.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Paths below a root, relative to it and sorted. A path is a file, a symbolic link, or a directory that is empty;
/// directories that hold something are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The paths.
    pub(crate) paths: Vec<PathBuf>,
    /// Bytes of the files; hard-linked files count each time.
    pub(crate) bytes: u64,
}

/// Collects paths below one root, each once.
#[derive(Debug)]
pub(crate) struct Walk {
    root: PathBuf,
    paths: BTreeSet<PathBuf>,
    bytes: u64,
}

impl Walk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), paths: BTreeSet::new(), bytes: 0 }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Adds `path` (relative to the root) and all below it that `wanted` agrees to; links are added, not followed.
    /// What is not there is not added; what cannot be read is named in `warnings`.
    pub(crate) fn add(&mut self, path: &Path, wanted: &dyn Fn(&Path) -> bool, warnings: &mut Vec<String>) {
        if let Err(error) = self.try_add(path, wanted, warnings)
            && error.kind() != io::ErrorKind::NotFound
        {
            warnings.push(format!("left out {}: {error}", self.root.join(path).display()));
        }
    }

    fn try_add(&mut self, path: &Path, wanted: &dyn Fn(&Path) -> bool, warnings: &mut Vec<String>) -> io::Result<()> {
        if !wanted(path) {
            return Ok(());
        }
        let absolute = self.root.join(path);
        let metadata = fs::symlink_metadata(&absolute)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let mut is_empty = true;
            for entry in fs::read_dir(&absolute)? {
                is_empty = false;
                self.add(&path.join(entry?.file_name()), wanted, warnings);
            }
            if is_empty {
                // Git does not know a repository without its empty directories, and a build script may count on its own.
                self.paths.insert(path.to_owned());
            }
        } else if kind.is_file() || kind.is_symlink() {
            if self.paths.insert(path.to_owned()) && kind.is_file() {
                self.bytes += metadata.len();
            }
        } else {
            warnings.push(format!("left out {}: neither file, link nor directory", absolute.display()));
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Listing {
        Listing { paths: self.paths.into_iter().collect(), bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests;
