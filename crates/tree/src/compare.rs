//! What is there already: a plan against the disk, which is only read.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use larder_base::{Clock, ContentHash, Digest, Error, HashFunction, Result, Timestamp};
use rustix::fs::Dir;

use crate::content::{CUT, Content};
use crate::handles::{DirId, Handles, open_file, read_at, stat_at};
use crate::memory::{Memory, PathKey};
use crate::names;
use crate::parallel;
use crate::plan::{Plan, PlannedFile, PlannedRoot};
use crate::progress::Progress;
use crate::stat::{FileStat, NodeKind};

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where a root of a saved tree is to be restored.
#[derive(Debug)]
pub struct Target {
    /// Which root.
    pub name: String,
    /// The directory it goes to; links in this path are followed. It need not exist.
    pub path: PathBuf,
    /// What its files held when they were last saved or restored.
    pub memory: Memory,
}

/// A plan and how the disk differs from it.
#[derive(Debug)]
pub struct Comparison {
    pub(crate) sites: Vec<Site>,
    /// Where chunks that are needed lie on this disk.
    pub(crate) local: HashMap<ContentHash, LocalChunk>,
    /// Chunks that are needed and are nowhere here, in the order in which files need them.
    needed: Vec<Digest>,
    /// A moment before anything was looked at.
    pub(crate) observed: Timestamp,
    pub(crate) threads: usize,
    #[cfg(test)]
    pub(crate) edits: crate::edit::Edits,
}

/// One root and where it goes.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) path: PathBuf,
    pub(crate) root: PlannedRoot,
    /// `None` while the directory does not exist.
    pub(crate) handles: Option<Handles>,
    pub(crate) memory: Memory,
    /// The state of each directory, where there is one.
    pub(crate) dirs: Vec<Option<FileStat>>,
    pub(crate) files: Vec<Standing>,
    /// The further names of each file.
    pub(crate) names: Vec<Vec<usize>>,
    /// What an interrupted restore left.
    pub(crate) leftovers: Vec<(DirId, String)>,
}

/// How a file of the plan stands on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is as planned.
    Kept(FileStat),
    /// Only its mode or time differs.
    Touched(FileStat),
    /// It is to be written; this is what has its name now.
    Written(Option<FileStat>),
    /// It is another name of a file; this is what has its name now.
    Linked(Option<FileStat>),
}

/// A chunk in a file on this disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalChunk {
    pub(crate) site: usize,
    pub(crate) file: usize,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A chunk that was found in a file by reading it.
#[derive(Clone, Copy, Debug)]
struct FoundChunk {
    hash: ContentHash,
    offset: u64,
    length: u32,
}

/// Part of a file that must be read to know what it holds.
struct Reading {
    site: usize,
    file: usize,
    stat: FileStat,
    what: What,
}

enum What {
    /// Whether the chunk that is planned here is here.
    Piece { offset: u64, length: u32, hash: ContentHash },
    /// Whichever chunks the file holds, because its size differs.
    Anything,
}

impl Comparison {
    /// Compares with what the targets hold: by memory where a file is unchanged, else by reading files of the right size.
    /// Unreadable files count as different.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] when a root has no target or a target cannot be opened, naming it.
    pub fn of(
        plan: Plan,
        targets: Vec<Target>,
        clock: &dyn Clock,
        threads: usize,
        progress: &Progress,
    ) -> Result<Self> {
        let observed = clock.now();
        let mut targets: HashMap<String, Target> =
            targets.into_iter().map(|target| (target.name.clone(), target)).collect();
        progress.files.add(plan.files());
        progress.bytes.add(plan.bytes());
        let mut sites = Vec::with_capacity(plan.roots.len());
        for root in plan.roots {
            let target = targets.remove(&root.name).ok_or_else(|| {
                Error::invalid("restore tree", format!("nobody said where the root {:?} goes", root.name))
            })?;
            sites.push(Site::look(root, target, threads)?);
        }
        let mut comparison = Self {
            sites,
            local: HashMap::new(),
            needed: Vec::new(),
            observed,
            threads,
            #[cfg(test)]
            edits: crate::edit::Edits::default(),
        };
        comparison.read_unknown(progress)?;
        comparison.find_local();
        Ok(comparison)
    }

    /// Chunks to be fetched, in the order in which files need them; [`Comparison::begin`] may add some.
    pub fn needed(&self) -> &[Digest] {
        &self.needed
    }

    /// How many files are not as planned; further names of a file are not counted.
    pub fn differing(&self) -> usize {
        let files = self.sites.iter().flat_map(|site| &site.files);
        files.filter(|standing| matches!(standing, Standing::Written(_) | Standing::Touched(_))).count()
    }

    /// Reads what memory does not know, and settles how each file stands.
    fn read_unknown(&mut self, progress: &Progress) -> Result<()> {
        let readings = self.readings();
        let results = parallel::map(self.threads, readings.len(), |number| {
            let reading = &readings[number];
            let read = || self.sites[reading.site].read(reading, progress).unwrap_or_default();
            progress.check("restore tree").map(|()| read())
        });
        let mut found: HashMap<(usize, usize), Vec<FoundChunk>> = HashMap::new();
        for (reading, result) in readings.iter().zip(results) {
            found.entry((reading.site, reading.file)).or_default().extend(result?);
        }
        for (number, site) in self.sites.iter_mut().enumerate() {
            for file in 0..site.files.len() {
                let pieces = found.remove(&(number, file)).unwrap_or_default();
                site.settle(file, &pieces);
                for FoundChunk { hash, offset, length } in pieces {
                    self.local.entry(hash).or_insert(LocalChunk { site: number, file, offset, length });
                }
            }
        }
        Ok(())
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readings = Vec::new();
        for (number, site) in self.sites.iter().enumerate() {
            for (file, (planned, standing)) in site.root.files.iter().zip(&site.files).enumerate() {
                let Standing::Written(Some(stat)) = *standing else { continue };
                if stat.kind != NodeKind::File || site.memory.recall(site.key(planned), &stat).is_some() {
                    continue;
                }
                let reading = |what| Reading { site: number, file, stat, what };
                if stat.size == planned.size {
                    readings.extend(planned.content.pieces(planned.size).map(|(offset, piece)| {
                        reading(What::Piece { offset, length: piece.length, hash: piece.hash })
                    }));
                } else if stat.size.min(planned.size) > CUT.max_len() as u64 {
                    readings.push(reading(What::Anything));
                }
            }
        }
        readings
    }

    /// Where the chunks of files to be written can be had without fetching them.
    fn find_local(&mut self) {
        let mut wanted = HashSet::new();
        for (number, site) in self.sites.iter().enumerate() {
            for (file, standing) in site.files.iter().enumerate() {
                let planned = &site.root.files[file];
                let (stat, known) = match standing {
                    Standing::Written(Some(stat)) => (stat, site.memory.recall(site.key(planned), stat)),
                    Standing::Kept(stat) | Standing::Touched(stat) => (stat, Some(&planned.content)),
                    Standing::Written(None) | Standing::Linked(_) => continue,
                };
                for (offset, piece) in known.into_iter().flat_map(|content| content.pieces(stat.size)) {
                    let place = LocalChunk { site: number, file, offset, length: piece.length };
                    self.local.entry(piece.hash).or_insert(place);
                }
            }
        }
        for site in &self.sites {
            for (planned, standing) in site.root.files.iter().zip(&site.files) {
                if !matches!(standing, Standing::Written(_)) {
                    continue;
                }
                for (_, piece) in planned.content.pieces(planned.size) {
                    if wanted.insert(piece.hash) && !self.local.contains_key(&piece.hash) {
                        self.needed.push(Digest { hash: piece.hash, size: piece.length.into() });
                    }
                }
            }
        }
        self.local.retain(|hash, _| wanted.contains(hash));
    }
}

/// What one directory of the plan looks like on the disk.
#[derive(Default)]
struct Look {
    stat: Option<FileStat>,
    files: Vec<Option<FileStat>>,
    leftovers: Vec<String>,
}

impl Site {
    fn look(root: PlannedRoot, target: Target, threads: usize) -> Result<Self> {
        let Target { path, memory, .. } = target;
        let handles = match Handles::open(&path) {
            Ok(handles) => Some(handles),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let message = format!("cannot open the directory {}: {error}", path.display());
                return Err(Error::invalid("restore tree", message));
            }
        };
        let looks = match &handles {
            None => root.dirs.iter().map(|_| Look::default()).collect(),
            Some(handles) => parallel::map(threads, root.dirs.len(), |id| look_into(&root, handles, id as DirId)),
        };
        let mut names = vec![Vec::new(); root.files.len()];
        for (number, file) in root.files.iter().enumerate() {
            if let Some(first) = file.same_as {
                names[first].push(number);
            }
        }
        let (dirs, files, leftovers) = (Vec::new(), Vec::new(), Vec::new());
        let mut site = Self { path, root, handles, memory, dirs, files, names, leftovers };
        for (id, look) in looks.into_iter().enumerate() {
            let planned = site.root.dirs[id].files.clone();
            let mut found = look.files.into_iter();
            for file in planned {
                let found = found.next().flatten();
                let is_name = site.root.files[file].same_as.is_some();
                site.files.push(if is_name { Standing::Linked(found) } else { Standing::Written(found) });
            }
            site.dirs.push(look.stat);
            site.leftovers.extend(look.leftovers.into_iter().map(|name| (id as DirId, name)));
        }
        Ok(site)
    }

    pub(crate) fn key(&self, file: &PlannedFile) -> PathKey {
        self.root.dirs[file.dir as usize].key.child(&file.name)
    }

    /// Where something is, for messages.
    pub(crate) fn display(&self, dir: DirId, name: &str) -> String {
        self.path.join(self.root.table.path_in(dir, name)).display().to_string()
    }

    /// Reads a part of a file; the chunks that turned out to be there.
    fn read(&self, reading: &Reading, progress: &Progress) -> io::Result<Vec<FoundChunk>> {
        let Some(handles) = &self.handles else { return Ok(Vec::new()) };
        let planned = &self.root.files[reading.file];
        let file = open_file(&*handles.get(&self.root.table, planned.dir)?, &planned.name)?;
        let found = BUFFER.with_borrow_mut(|buffer| match reading.what {
            What::Piece { offset, length, hash } => {
                let content = at_least(buffer, length as usize);
                let got = read_at(&file, content, offset)?;
                progress.bytes_read.add(got as u64);
                let is_there = got == content.len() && hash.names(content);
                Ok::<_, io::Error>(if is_there { vec![FoundChunk { hash, offset, length }] } else { Vec::new() })
            }
            What::Anything => {
                let mut found = Vec::new();
                let (mut offset, mut filled) = (0, 0);
                let buffer = at_least(buffer, 3 * CUT.max_len());
                loop {
                    let got = read_at(&file, &mut buffer[filled..], offset + filled as u64)?;
                    progress.bytes_read.add(got as u64);
                    filled += got;
                    let is_end = filled < buffer.len();
                    let mut begin = 0;
                    while filled - begin >= CUT.max_len() || (is_end && begin < filled) {
                        let length = CUT.next(&buffer[begin..filled]);
                        let hash = HashFunction::TREE.hash(&buffer[begin..begin + length]);
                        found.push(FoundChunk { hash, offset: offset + begin as u64, length: length as u32 });
                        begin += length;
                    }
                    if is_end {
                        return Ok(found);
                    }
                    buffer.copy_within(begin..filled, 0);
                    filled -= begin;
                    offset += begin as u64;
                }
            }
        })?;
        // What changed meanwhile is not what was found; it is written anew.
        let is_steady = FileStat::of_open(&file)?.is_same_content(&reading.stat);
        Ok(if is_steady { found } else { Vec::new() })
    }

    /// Decides how a file stands, now that it is known which of its chunks are there.
    fn settle(&mut self, file: usize, found: &[FoundChunk]) {
        let Standing::Written(Some(stat)) = self.files[file] else { return };
        let planned = &self.root.files[file];
        if stat.kind != NodeKind::File || stat.size != planned.size {
            return;
        }
        let is_same = match self.memory.recall(self.key(planned), &stat) {
            Some(content) => *content == planned.content,
            None => planned.content == Content::Empty || found.len() == planned.content.piece_count(),
        };
        if !is_same {
            return;
        }
        let is_as_planned = stat.mode == planned.mode && planned.mtime.is_none_or(|mtime| mtime == stat.mtime);
        // Setting the time of one name sets it of all: a file of which a name is not planned as one of its own is made anew.
        if is_as_planned {
            self.files[file] = Standing::Kept(stat);
        } else if self.names_of(file, &stat) == stat.names as usize {
            self.files[file] = Standing::Touched(stat);
        }
    }

    /// How many of the names that a file is to have are names of what is there now.
    fn names_of(&self, file: usize, stat: &FileStat) -> usize {
        let is_same = |name: &&usize| match self.files[**name] {
            Standing::Linked(Some(found)) => (found.device, found.inode) == (stat.device, stat.inode),
            _ => false,
        };
        1 + self.names[file].iter().filter(is_same).count()
    }
}

/// The first `length` bytes of a buffer that is used again and again.
pub(crate) fn at_least(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

fn look_into(root: &PlannedRoot, handles: &Handles, id: DirId) -> Look {
    // A directory that is not there, is no directory or cannot be opened has nothing to offer.
    let Ok(handle) = handles.get(&root.table, id) else { return Look::default() };
    let files = &root.files[root.dirs[id as usize].files.clone()];
    let files = files.iter().map(|file| stat_at(&handle, &*file.name).ok()).collect();
    let entries = Dir::read_from(&*handle).into_iter().flatten().flatten();
    let leftovers = entries
        .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
        .filter(|name| name.starts_with(names::UNFINISHED_PREFIX))
        .collect();
    Look { stat: FileStat::of_open(&*handle).ok(), files, leftovers }
}

#[cfg(test)]
mod tests;
