//! Putting what the walking threads found into one order, the same for equal trees.

use std::ops::Range;

use super::{FoundDir, FoundFile, FoundLink};
use crate::handles::{DirTable, ROOT};
use crate::memory::PathKey;
use crate::stat::FileTime;

/// A directory that was visited, numbered by its place in the list; a parent comes before its children.
pub(super) struct Visited {
    /// `None` for the root.
    pub(super) parent: Option<usize>,
    pub(super) name: Box<str>,
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<FileTime>,
    pub(super) files: Vec<FoundFile>,
    pub(super) links: Vec<FoundLink>,
}

/// Numbers directories depth first and puts files and links in the order of their directories, all by name.
pub(super) fn arrange(mut visited: Vec<Visited>) -> (DirTable, Vec<FoundDir>, Vec<FoundFile>, Vec<FoundLink>) {
    let mut below: Vec<Vec<usize>> = visited.iter().map(|_| Vec::new()).collect();
    for (number, directory) in visited.iter().enumerate() {
        if let Some(parent) = directory.parent {
            below[parent].push(number);
        }
    }
    for children in &mut below {
        // Last name first, because they are taken from the end.
        children.sort_by(|a, b| visited[*b].name.cmp(&visited[*a].name));
    }
    let (mut table, mut dirs) = (DirTable::new(), Vec::<FoundDir>::with_capacity(visited.len()));
    let (mut files, mut links) = (Vec::new(), Vec::new());
    let mut waiting = if visited.is_empty() { Vec::new() } else { vec![(0, ROOT)] };
    while let Some((number, parent)) = waiting.pop() {
        let directory = &mut visited[number];
        let (id, key) = if directory.parent.is_none() {
            (ROOT, PathKey::ROOT)
        } else {
            let id = table.push(parent, &directory.name);
            dirs[parent as usize].children.push(id);
            (id, dirs[parent as usize].key.child(&directory.name))
        };
        directory.files.sort_by(|a, b| a.name.cmp(&b.name));
        directory.links.sort_by(|a, b| a.name.cmp(&b.name));
        dirs.push(FoundDir {
            key,
            mode: directory.mode,
            mtime: directory.mtime,
            children: Vec::new(),
            files: append(&mut files, directory.files.drain(..).map(|file| FoundFile { dir: id, ..file })),
            links: append(&mut links, directory.links.drain(..)),
        });
        waiting.extend(below[number].drain(..).map(|child| (child, id)));
    }
    (table, dirs, files, links)
}

fn append<T>(to: &mut Vec<T>, more: impl Iterator<Item = T>) -> Range<usize> {
    let start = to.len();
    to.extend(more);
    start..to.len()
}
