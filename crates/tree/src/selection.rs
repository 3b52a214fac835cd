//! Which part of a directory is saved.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use larder_base::{Error, Result};

/// The files and directories of a root that are saved.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub(crate) top: Picked,
}

/// What is saved of one directory.
#[derive(Clone, Debug)]
pub(crate) enum Picked {
    /// It and all below it.
    Whole,
    /// These of its children.
    Some(BTreeMap<OsString, Picked>),
}

impl Default for Picked {
    fn default() -> Self {
        Self::Some(BTreeMap::new())
    }
}

impl Selection {
    /// All of the root.
    pub fn everything() -> Self {
        Self { top: Picked::Whole }
    }

    /// The named files, and the named directories with all below them. Relative paths are meant from the root; absolute
    /// ones must lie below it. Nothing is looked up: a path that does not exist is reported when the tree is surveyed.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] for a path that leads outside of `root`, naming it.
    pub fn of<P: AsRef<Path>>(root: &Path, paths: impl IntoIterator<Item = P>) -> Result<Self> {
        // A root is often reached through a link, and absolute paths then come in either form.
        let resolved = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let mut selection = Self::default();
        for path in paths {
            let path = path.as_ref();
            let inside = components_below(root, &resolved, path).ok_or_else(|| {
                Error::invalid("select files", format!("{} lies outside of {}", path.display(), root.display()))
                    .with_hint("name files below the directory that is saved")
            })?;
            selection.top.pick(&inside);
        }
        Ok(selection)
    }

    /// Whether it selects nothing.
    pub fn is_empty(&self) -> bool {
        matches!(&self.top, Picked::Some(children) if children.is_empty())
    }
}

impl Picked {
    fn pick(&mut self, path: &[OsString]) {
        let mut at = self;
        for name in path {
            match at {
                Self::Whole => return,
                Self::Some(children) => at = children.entry(name.clone()).or_default(),
            }
        }
        *at = Self::Whole;
    }
}

/// The components of `path` below the root, `..` taken as written; `None` when it leads outside.
fn components_below(root: &Path, resolved: &Path, path: &Path) -> Option<Vec<OsString>> {
    let plain = plain(path)?;
    let relative = if plain.is_absolute() {
        let root = self::plain(root)?;
        plain.strip_prefix(&root).or_else(|_| plain.strip_prefix(resolved)).ok()?.to_owned()
    } else {
        plain
    };
    Some(relative.iter().map(OsStr::to_owned).collect())
}

/// The path without `.` and `..`; `None` when it goes up from where it begins.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
            Component::CurDir => {}
            Component::ParentDir => {
                plain.file_name()?;
                plain.pop();
            }
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
