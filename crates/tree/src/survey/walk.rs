//! Walking a directory with several threads.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use larder_base::{Error, Result};
use parking_lot::{Condvar, Mutex};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType};

use super::arrange::{Visited, arrange};
use super::{FileState, FoundFile, FoundLink, FoundRoot, Omission, Source};
use crate::handles::{Handles, ROOT, open_directory, stat_at};
use crate::names;
use crate::progress::Progress;
use crate::selection::Picked;
use crate::stat::{FileStat, NodeKind};

/// Walks what `source` selects; what cannot be saved is added to `omissions`.
pub(super) fn walk(
    source: Source,
    threads: usize,
    progress: &Progress,
    omissions: &mut Vec<Omission>,
) -> Result<FoundRoot> {
    let Source { name, path, selection, memory } = source;
    let handles = Handles::open(&path).map_err(|error| {
        Error::invalid("save tree", format!("cannot open the directory {}: {error}", path.display()))
    })?;
    let walk = Walk { path: &path, progress, queue: Mutex::default(), changed: Condvar::new() };
    let top =
        Task { place: Place::Root(handles.root().clone()), shown: String::new(), depth: 0, picked: &selection.top };
    walk.queue.lock().tasks.push(top);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| walk.work());
        }
        walk.work();
    });
    let Queue { visited, omitted, .. } = walk.queue.into_inner();
    progress.check("save tree")?;
    omissions.extend(omitted);
    let (table, dirs, files, links) = arrange(visited);
    Ok(FoundRoot {
        name,
        path,
        handles,
        table,
        dirs,
        files,
        links,
        memory,
        #[cfg(test)]
        after_reading: super::tests::Hook::default(),
    })
}

struct Walk<'a> {
    path: &'a Path,
    progress: &'a Progress,
    queue: Mutex<Queue<'a>>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue<'a> {
    /// Taken from the end: the walk goes deep first, and few directories wait with an open parent.
    tasks: Vec<Task<'a>>,
    /// Threads that may still add tasks.
    busy: usize,
    visited: Vec<Visited>,
    omitted: Vec<Omission>,
}

/// A directory to be visited.
struct Task<'a> {
    place: Place,
    shown: String,
    depth: usize,
    picked: &'a Picked,
}

enum Place {
    Root(Arc<OwnedFd>),
    Below { parent: Arc<OwnedFd>, parent_number: usize, name: CString },
}

/// What one visit found.
#[derive(Default)]
struct Findings<'a> {
    files: Vec<FoundFile>,
    links: Vec<FoundLink>,
    below: Vec<(CString, String, &'a Picked)>,
    omitted: Vec<Omission>,
}

impl<'a> Walk<'a> {
    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if self.progress.is_stopped() {
                // Whoever waits looks again and stops, too.
                self.changed.notify_all();
                return;
            }
            let Some(task) = queue.tasks.pop() else {
                if queue.busy == 0 {
                    return;
                }
                self.changed.wait(&mut queue);
                continue;
            };
            queue.busy += 1;
            drop(queue);
            let mut findings = Findings::default();
            let visited = self.visit(&task, &mut findings);
            queue = self.queue.lock();
            queue.busy -= 1;
            queue.omitted.append(&mut findings.omitted);
            if let Some((handle, visited)) = visited {
                let parent_number = queue.visited.len();
                queue.visited.push(Visited { files: findings.files, links: findings.links, ..visited });
                let depth = task.depth + 1;
                queue.tasks.extend(findings.below.into_iter().map(|(name, shown, picked)| Task {
                    place: Place::Below { parent: handle.clone(), parent_number, name },
                    shown,
                    depth,
                    picked,
                }));
            }
            if !queue.tasks.is_empty() || queue.busy == 0 {
                self.changed.notify_all();
            }
        }
    }

    /// Opens a directory and sorts its children by kind; `None` when it cannot be opened.
    fn visit(&self, task: &Task<'a>, findings: &mut Findings<'a>) -> Option<(Arc<OwnedFd>, Visited)> {
        let (handle, parent, name) = match &task.place {
            Place::Root(handle) => (handle.clone(), None, ""),
            Place::Below { parent, parent_number, name } => match open_directory(parent, name) {
                Ok(handle) => {
                    let name = name.to_str().expect("only names of valid text are visited");
                    (Arc::new(handle), Some(*parent_number), name)
                }
                Err(error) => {
                    self.omit_error(findings, &task.shown, "cannot open the directory", &error);
                    return None;
                }
            },
        };
        let listed = match task.picked {
            Picked::Whole => self.list(task, &handle, findings),
            Picked::Some(children) => {
                for (name, picked) in children {
                    if let Ok(name) = CString::new(name.as_bytes()) {
                        self.find(task, &handle, &name, None, picked, findings);
                    }
                }
                Ok(())
            }
        };
        if let Err(error) = listed {
            self.omit_error(findings, &task.shown, "cannot list the directory", &error);
        }
        let state = FileStat::of_open(&handle).ok().filter(|_| parent.is_some());
        let visited = Visited {
            parent,
            name: name.into(),
            mode: state.map(|state| state.mode),
            mtime: state.filter(|_| matches!(task.picked, Picked::Whole)).map(|state| state.mtime),
            files: Vec::new(),
            links: Vec::new(),
        };
        Some((handle, visited))
    }

    fn list(&self, task: &Task<'a>, handle: &Arc<OwnedFd>, findings: &mut Findings<'a>) -> io::Result<()> {
        for entry in Dir::read_from(handle)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.find(task, handle, entry.file_name(), Some(entry.file_type()), task.picked, findings);
            }
        }
        Ok(())
    }

    /// Sorts one child by its kind; `kind` is what the listing said, where it said anything.
    fn find(
        &self,
        task: &Task<'a>,
        handle: &OwnedFd,
        name: &CStr,
        kind: Option<FileType>,
        picked: &'a Picked,
        findings: &mut Findings<'a>,
    ) {
        let Ok(text) = name.to_str() else {
            let shown = names::join(&task.shown, &OsStr::from_bytes(name.to_bytes()).to_string_lossy());
            return self.omit(findings, &shown, "the name is not valid UTF-8");
        };
        if text.starts_with(names::UNFINISHED_PREFIX) {
            return;
        }
        let shown = || names::join(&task.shown, text);
        if kind == Some(FileType::Directory) {
            return findings.below.push((name.to_owned(), shown(), picked));
        }
        let stat = match stat_at(handle, name) {
            Ok(stat) => stat,
            // A file that went away since it was listed was not there; one that was asked for by name is missed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && kind.is_some() => return,
            Err(error) => return self.omit_error(findings, &shown(), "cannot look at it", &error),
        };
        if matches!(picked, Picked::Some(_)) && stat.kind != NodeKind::Directory {
            let reason = "it is no directory, but files below it were asked for; a link is not followed";
            return self.omit(findings, &shown(), reason);
        }
        match stat.kind {
            NodeKind::Directory => findings.below.push((name.to_owned(), shown(), picked)),
            NodeKind::File => {
                findings.files.push(FoundFile { dir: ROOT, name: text.into(), stat, state: FileState::Unread });
            }
            NodeKind::Symlink => self.find_link(task, handle, text, findings),
            NodeKind::Special(what) => self.omit(findings, &shown(), &format!("it is {what}")),
        }
    }

    fn find_link(&self, task: &Task<'a>, handle: &OwnedFd, name: &str, findings: &mut Findings<'a>) {
        let shown = names::join(&task.shown, name);
        let target = match rustix::fs::readlinkat(handle, name, Vec::new()) {
            Ok(target) => target,
            Err(error) => return self.omit_error(findings, &shown, "cannot read the link", &error.into()),
        };
        let Ok(target) = target.to_str() else {
            return self.omit(findings, &shown, "the link's target is not valid UTF-8");
        };
        if let Some(problem) = names::target_problem(task.depth, target) {
            return self.omit(findings, &shown, &format!("{problem} ({target})"));
        }
        findings.links.push(FoundLink { name: name.into(), target: target.into() });
    }

    fn omit(&self, findings: &mut Findings<'a>, shown: &str, reason: &str) {
        let path = self.path.join(shown).display().to_string();
        findings.omitted.push(Omission { path, reason: reason.to_owned() });
    }

    fn omit_error(&self, findings: &mut Findings<'a>, shown: &str, what: &str, error: &io::Error) {
        self.omit(findings, shown, &format!("{what}: {error}"));
    }
}
