//! What is there to save: the first look at the directories, which reads no file.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use larder_base::{Clock, Result, Timestamp};

use crate::content::Content;
use crate::handles::{DirId, DirTable, Handles};
use crate::memory::{Memory, PathKey};
use crate::progress::Progress;
use crate::selection::Selection;
use crate::stat::{FileStat, FileTime};

mod arrange;
mod walk;

/// A directory that is to be saved.
#[derive(Debug)]
pub struct Source {
    /// Which it is; the restoring side says where each name goes.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What of it is saved.
    pub selection: Selection,
    /// What its files held when it was last saved or restored.
    pub memory: Memory,
}

/// Something that was asked for and is not saved, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Omission {
    /// Where it is.
    pub path: String,
    /// Why it is left out.
    pub reason: String,
}

impl fmt::Display for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Directories as they were found, with what is remembered of their files.
pub struct Survey<'a> {
    pub(crate) roots: Vec<FoundRoot>,
    pub(crate) omissions: Vec<Omission>,
    /// A moment before anything was looked at.
    pub(crate) observed: Timestamp,
    /// Tells when the reading of each file begins.
    pub(crate) clock: &'a dyn Clock,
}

/// One directory that is to be saved. Directories are numbered depth first, children in the order of their names;
/// files and links follow the order of their directories.
#[derive(Debug)]
pub(crate) struct FoundRoot {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) handles: Handles,
    pub(crate) table: DirTable,
    pub(crate) dirs: Vec<FoundDir>,
    pub(crate) files: Vec<FoundFile>,
    pub(crate) links: Vec<FoundLink>,
    pub(crate) memory: Memory,
    /// Tests change files here, between reading one and looking whether it changed.
    #[cfg(test)]
    pub(crate) after_reading: tests::Hook,
}

#[derive(Debug)]
pub(crate) struct FoundDir {
    pub(crate) key: PathKey,
    /// Its permission bits; `None` for the root, whose own state is not saved.
    pub(crate) mode: Option<u32>,
    /// Its modification time, when all below it was asked for. One that is only on the way to something changes with
    /// files that are not saved.
    pub(crate) mtime: Option<FileTime>,
    pub(crate) children: Vec<DirId>,
    pub(crate) files: Range<usize>,
    pub(crate) links: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct FoundFile {
    pub(crate) dir: DirId,
    pub(crate) name: Box<str>,
    pub(crate) stat: FileStat,
    pub(crate) state: FileState,
}

/// What is known of a file's content.
#[derive(Clone, Debug)]
pub(crate) enum FileState {
    /// Nothing yet.
    Unread,
    /// It is remembered, or follows from the size, and was not read.
    Remembered(Content),
    /// It was read, all of it after this moment.
    Read(Content, Timestamp),
    /// It is another name of the file with this number, which comes before it.
    SameAs(usize),
    /// It is gone or had to be left out.
    LeftOut,
}

#[derive(Debug)]
pub(crate) struct FoundLink {
    pub(crate) name: Box<str>,
    pub(crate) target: Box<str>,
}

impl fmt::Debug for Survey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survey").field("roots", &self.roots).field("omissions", &self.omissions).finish_non_exhaustive()
    }
}

impl<'a> Survey<'a> {
    /// Looks at all sources with `threads` threads. Directories that vanish meanwhile are no error; what cannot be saved
    /// is in the [`Survey::omissions`].
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] when the path of a source is no readable directory, naming it.
    pub fn take(sources: Vec<Source>, clock: &'a dyn Clock, threads: usize, progress: &Progress) -> Result<Self> {
        let observed = clock.now();
        let mut omissions = Vec::new();
        let mut roots = Vec::with_capacity(sources.len());
        for source in sources {
            let mut root = walk::walk(source, threads, progress, &mut omissions)?;
            root.join_hard_links();
            root.recall();
            roots.push(root);
        }
        omissions.sort();
        let survey = Self { roots, omissions, observed, clock };
        for file in survey.roots.iter().flat_map(|root| &root.files) {
            let size = if matches!(file.state, FileState::SameAs(_)) { 0 } else { file.stat.size };
            progress.files.add(1);
            progress.bytes.add(size);
            if !matches!(file.state, FileState::Unread) {
                progress.files_done.add(1);
                progress.bytes_done.add(size);
            }
        }
        Ok(survey)
    }

    /// How many files must be read before their content is known; other names of a file are not counted.
    pub fn unread(&self) -> usize {
        let files = self.roots.iter().flat_map(|root| &root.files);
        files.filter(|file| matches!(file.state, FileState::Unread)).count()
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.roots.iter().map(|root| root.files.len()).sum()
    }

    /// What was asked for and is not saved, as far as it is known yet.
    pub fn omissions(&self) -> &[Omission] {
        &self.omissions
    }
}

impl FoundRoot {
    /// Where a file is, for messages.
    pub(crate) fn display(&self, file: &FoundFile) -> String {
        self.path.join(self.table.path_in(file.dir, &file.name)).display().to_string()
    }

    pub(crate) fn key(&self, file: &FoundFile) -> PathKey {
        self.dirs[file.dir as usize].key.child(&file.name)
    }

    /// The content of a file, followed to its first name; `None` when it is not known or left out.
    pub(crate) fn content(&self, file: usize) -> Option<(&FoundFile, &Content)> {
        let found = &self.files[file];
        match &found.state {
            FileState::Remembered(content) | FileState::Read(content, _) => Some((found, content)),
            FileState::SameAs(first) => self.content(*first),
            FileState::Unread | FileState::LeftOut => None,
        }
    }

    /// Makes every further name of a file point to its first.
    fn join_hard_links(&mut self) {
        let mut first_names = HashMap::new();
        for (number, file) in self.files.iter_mut().enumerate() {
            if file.stat.is_shared() {
                let first = *first_names.entry((file.stat.device, file.stat.inode)).or_insert(number);
                if first != number {
                    file.state = FileState::SameAs(first);
                }
            }
        }
    }

    /// Settles what is known without reading. A file is known by any of its names.
    fn recall(&mut self) {
        for number in 0..self.files.len() {
            let named = &self.files[number];
            let first = if let FileState::SameAs(first) = named.state { first } else { number };
            let file = &self.files[first];
            if !matches!(file.state, FileState::Unread) {
                continue;
            }
            let state = if file.stat.size == 0 {
                FileState::Remembered(Content::Empty)
            } else if let Some(content) = self.memory.recall(self.key(named), &file.stat) {
                FileState::Remembered(content.clone())
            } else {
                continue;
            };
            self.files[first].state = state;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
