//! The workspace on disk: where it is and which files belong to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command;

/// A checkout of this repository.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace at `root`.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The workspace that the current folder lies in.
    pub(crate) fn locate() -> Result<Self, String> {
        let start = std::env::current_dir().map_err(|error| format!("cannot tell the current folder: {error}"))?;
        start
            .ancestors()
            .find(|folder| fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]")))
            .map(|root| Self::at(root.to_owned()))
            .ok_or_else(|| format!("{} is not inside the workspace", start.display()))
    }

    /// The folder of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of a file.
    pub(crate) fn read(&self, relative: &str) -> Result<String, String> {
        fs::read_to_string(self.path(relative)).map_err(|error| format!("cannot read {relative}: {error}"))
    }

    /// Names of the folders in `relative`, sorted.
    pub(crate) fn folders(&self, relative: &str) -> Result<Vec<String>, String> {
        let failed = |error| format!("cannot list {relative}: {error}");
        let mut names = Vec::new();
        for item in fs::read_dir(self.path(relative)).map_err(failed)? {
            let item = item.map_err(failed)?;
            if item.path().is_dir() {
                names.push(item.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Paths of all regular files that git tracks, and of new ones it does not ignore, sorted.
    pub(crate) fn files(&self) -> Result<Vec<String>, String> {
        let listing = command::output(
            &self.root,
            "git",
            &["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        )?;
        let mut files: Vec<String> = listing
            .split('\0')
            .filter(|path| !path.is_empty())
            .filter(|path| fs::symlink_metadata(self.path(path)).is_ok_and(|found| found.is_file()))
            .map(str::to_owned)
            .collect();
        files.sort();
        Ok(files)
    }
}
