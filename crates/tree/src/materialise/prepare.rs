//! The beginning of a restore: directories, what is in the way, and what can be had from this disk.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_base::{ContentHash, Digest, Error, ErrorKind, Result};
use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::building::Building;
use super::{ChunkState, Materialiser, Place, PlaceDir, Wanted};
use crate::compare::{Comparison, LocalChunk, Site, Standing, at_least};
use crate::content::Content;
use crate::handles::{DirId, Handles, ROOT, open_file, read_at, stat_at};
use crate::parallel;
use crate::progress::Progress;
use crate::stat::NodeKind;

/// The permissions without which nothing can be made in a directory.
const OWNER_ALL: u32 = 0o700;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Comparison {
    /// Begins the restore: makes directories, clears what is in the way, and copies the chunks that are on this disk.
    ///
    /// What the plan names wins over what is there, except that a directory with something in it is never removed: a
    /// file or link planned in its place is refused. What the plan does not name is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when another restore of a target runs, and an error when the disk cannot be written.
    pub fn begin(self, progress: &Progress) -> Result<Materialiser<'_>> {
        let local = self.local;
        let mut first_draft = self.sites.iter().map(|site| site.root.files.len()).sum();
        let mut places = Vec::with_capacity(self.sites.len());
        for site in self.sites {
            let drafts = site.root.files.len() + site.root.links.len();
            places.push(Place::open(site, first_draft)?);
            first_draft += drafts;
        }
        let mut materialiser = Materialiser {
            places,
            buildings: Vec::new(),
            wanted: HashMap::new(),
            needed: Vec::new(),
            is_copying: AtomicBool::new(true),
            complete: Mutex::default(),
            refusals: Mutex::default(),
            open_drafts: AtomicUsize::new(0),
            is_failed: AtomicBool::new(false),
            observed: self.observed,
            threads: self.threads,
            #[cfg(test)]
            edits: self.edits,
            #[cfg(not(test))]
            edits: crate::edit::Edits::default(),
            progress,
        };
        materialiser.make_directories()?;
        materialiser.clear_leftovers()?;
        materialiser.plan_buildings()?;
        materialiser.copy_local(&local)?;
        materialiser.make_empty_files()?;
        Ok(materialiser)
    }
}

impl Place {
    fn open(mut site: Site, first_draft: usize) -> Result<Self> {
        if site.handles.is_none() {
            let opened = fs::create_dir_all(&site.path).and_then(|()| Handles::open(&site.path));
            site.handles = Some(opened.map_err(|error| {
                let message = format!("cannot make the directory {}: {error}", site.path.display());
                Error::new(ErrorKind::Failed, "restore tree", message)
            })?);
        }
        let dirs = site.root.dirs.iter().map(|_| PlaceDir::default()).collect();
        let done = site.root.files.iter().map(|_| Mutex::new(None)).collect();
        let place = Self { site, dirs, first_draft, done };
        let root = place.directory(ROOT).expect("the root is open");
        match rustix::fs::flock(&root, FlockOperation::NonBlockingLockExclusive) {
            // Where directories cannot be locked, two restores at once each remove what the other has not finished.
            Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL | Errno::BADF) => Ok(place),
            Err(error) => {
                let message = format!("{} is being restored by another process: {error}", place.site.path.display());
                Err(Error::new(ErrorKind::Unavailable, "restore tree", message).with_hint("try again when it is done"))
            }
        }
    }

    /// Whether something is going to be made in a directory.
    fn is_to_change(&self, id: DirId) -> bool {
        let dir = &self.site.root.dirs[id as usize];
        let differs = |file: usize| !matches!(self.site.files[file], Standing::Kept(_) | Standing::Touched(_));
        let has_new_directory =
            |child: usize| self.site.root.table.parent(child as DirId) == id && self.site.dirs[child].is_none();
        !dir.links.is_empty()
            || self.site.leftovers.iter().any(|(parent, _)| *parent == id)
            || dir.files.clone().any(differs)
            || (id as usize + 1..self.dirs.len()).any(has_new_directory)
    }
}

impl Materialiser<'_> {
    fn clear_leftovers(&self) -> Result<()> {
        for (number, place) in self.places.iter().enumerate() {
            for (dir, name) in &place.site.leftovers {
                let removed = place.directory(*dir).and_then(|parent| self.edits.remove(&parent, name));
                match removed {
                    Ok(()) => self.changed(number, *dir),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        let path = place.site.display(*dir, name);
                        self.fail_if_fatal(&path, &error)?;
                        self.refuse(path, format!("what an interrupted restore left cannot be removed: {error}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes what directories are missing, parents first, and makes those writable that will be written to.
    fn make_directories(&mut self) -> Result<()> {
        for number in 0..self.places.len() {
            for id in 0..self.places[number].dirs.len() {
                if let Err(error) = self.make_directory(number, id as DirId) {
                    let site = &self.places[number].site;
                    let path = site.path.join(site.root.table.path(id as DirId)).display().to_string();
                    self.fail_if_fatal(&path, &error)?;
                    self.refuse(path, error.to_string());
                    self.places[number].dirs[id].is_refused = true;
                }
            }
        }
        Ok(())
    }

    fn make_directory(&mut self, number: usize, id: DirId) -> io::Result<()> {
        let place = &self.places[number];
        let parent_id = place.site.root.table.parent(id);
        if id != ROOT && place.dirs[parent_id as usize].is_refused {
            // Named once, for the directory that could not be made.
            self.places[number].dirs[id as usize].is_refused = true;
            return Ok(());
        }
        if let Some(stat) = place.site.dirs[id as usize] {
            if stat.mode & OWNER_ALL != OWNER_ALL && place.is_to_change(id) {
                self.edits.set_directory_mode(&*place.directory(id)?, stat.mode | OWNER_ALL)?;
                self.places[number].dirs[id as usize].is_opened = true;
            }
            return Ok(());
        }
        if id == ROOT {
            return Ok(());
        }
        let (parent, name) = (place.directory(parent_id)?, place.site.root.table.name(id));
        self.changed(number, parent_id);
        match self.edits.make_directory(&parent, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if stat_at(&parent, name)?.kind == NodeKind::Directory {
                    // It is there and could not be looked into; whether it can be used shows below.
                    place.directory(id)?;
                    return Ok(());
                }
                // A file or link in the way; what a link points to is not touched.
                self.edits.remove(&parent, name)?;
                self.edits.make_directory(&parent, name)?;
            }
            made => made?,
        }
        place.directory(id)?;
        self.places[number].dirs[id as usize].is_new = true;
        Ok(())
    }

    /// Lists the files to be written and the chunks they wait for.
    fn plan_buildings(&mut self) -> Result<()> {
        for place in 0..self.places.len() {
            for file in 0..self.places[place].site.files.len() {
                match self.places[place].site.files[file] {
                    Standing::Kept(stat) => {
                        *self.places[place].done[file].lock() = Some(stat);
                        self.progress.files_done.add(1);
                        self.progress.bytes_done.add(stat.size);
                    }
                    Standing::Touched(_) => self.touch(place, file)?,
                    Standing::Linked(_) => {}
                    Standing::Written(found) => {
                        let is_directory = found.is_some_and(|stat| stat.kind == NodeKind::Directory);
                        self.plan_building(place, file, is_directory)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn plan_building(&mut self, place: usize, file: usize, is_directory: bool) -> Result<()> {
        let planned = &self.places[place].site.root.files[file];
        let number = self.buildings.len();
        self.buildings.push(Building::new(place, file, planned.content.piece_count()));
        if self.places[place].dirs[planned.dir as usize].is_refused {
            self.abandon(number);
            return Ok(());
        }
        if is_directory && let Err(error) = self.clear_directory(place, planned.dir, &planned.name) {
            return self.give_up(number, &error);
        }
        let planned = &self.places[place].site.root.files[file];
        for (offset, piece) in planned.content.pieces(planned.size) {
            let wanted = self.wanted.entry(piece.hash).or_insert_with(|| {
                self.needed.push(Digest { hash: piece.hash, size: piece.length.into() });
                Wanted { length: piece.length, state: Mutex::new(ChunkState::Awaited), uses: Vec::new() }
            });
            wanted.uses.push((number, offset));
        }
        Ok(())
    }

    /// Removes a directory that is in the way of a file or link, if it is empty.
    pub(super) fn clear_directory(&self, place: usize, dir: DirId, name: &str) -> io::Result<()> {
        let parent = self.places[place].directory(dir)?;
        match self.edits.remove_directory(&parent, name) {
            Ok(()) => {
                self.changed(place, dir);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Err(io::Error::new(
                io::ErrorKind::DirectoryNotEmpty,
                "a directory that is not empty is in its place; remove it to restore the file",
            )),
            Err(error) => Err(error),
        }
    }

    /// Sets the mode and time of a file whose content is right.
    fn touch(&self, place: usize, file: usize) -> Result<()> {
        let site = &self.places[place].site;
        let planned = &site.root.files[file];
        let Standing::Touched(stat) = site.files[file] else { return Ok(()) };
        let touch = || {
            let parent = self.places[place].directory(planned.dir)?;
            // With the time that is set here, another content would pass for the one that was compared.
            if !stat_at(&parent, &*planned.name)?.is_same_content(&stat) {
                return Err(io::Error::other("it was changed during the restore; restore again"));
            }
            if stat.mode != planned.mode {
                self.edits.set_mode(&open_file(&parent, &planned.name)?, planned.mode)?;
            }
            if let Some(mtime) = planned.mtime {
                self.edits.set_mtime_at(&parent, &planned.name, mtime)?;
            }
            stat_at(&parent, &*planned.name)
        };
        match touch() {
            Ok(stat) => {
                *self.places[place].done[file].lock() = Some(stat);
                self.progress.files_done.add(1);
                self.progress.bytes_done.add(stat.size);
            }
            Err(error) => {
                let path = site.display(planned.dir, &planned.name);
                self.fail_if_fatal(&path, &error)?;
                self.refuse(path, error.to_string());
            }
        }
        Ok(())
    }

    /// Copies chunks from files here, before any of those files can be replaced; what could not be copied is needed.
    fn copy_local(&mut self, local: &HashMap<ContentHash, LocalChunk>) -> Result<()> {
        let mut copies: Vec<_> = local.iter().filter(|(hash, _)| self.wanted.contains_key(*hash)).collect();
        copies.sort_unstable_by_key(|(_, from)| (from.site, from.file, from.offset));
        let copied = parallel::map(self.threads, copies.len(), |number| {
            let (hash, from) = copies[number];
            self.progress.check("restore tree")?;
            BUFFER.with_borrow_mut(|buffer| {
                let content = at_least(buffer, from.length as usize);
                let wanted = &self.wanted[hash];
                if self.read_local(from, content).is_ok() && hash.names(content) {
                    self.place(wanted, content)?;
                    *wanted.state.lock() = ChunkState::Done;
                }
                Ok(())
            })
        });
        copied.into_iter().collect::<Result<()>>()?;
        self.is_copying.store(false, Ordering::Release);
        let complete = std::mem::take(&mut *self.complete.lock());
        let completed = parallel::map(self.threads, complete.len(), |index| {
            let number = complete[index];
            self.complete(number).or_else(|error| self.give_up(number, &error))
        });
        completed.into_iter().collect::<Result<()>>()?;
        let wanted = &self.wanted;
        self.needed.retain(|chunk| *wanted[&chunk.hash].state.lock() != ChunkState::Done);
        Ok(())
    }

    fn read_local(&self, from: &LocalChunk, content: &mut [u8]) -> io::Result<()> {
        let place = &self.places[from.site];
        let planned = &place.site.root.files[from.file];
        let file = open_file(&*place.directory(planned.dir)?, &planned.name)?;
        let got = read_at(&file, content, from.offset)?;
        self.progress.bytes_read.add(got as u64);
        if got == content.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn make_empty_files(&self) -> Result<()> {
        for (number, building) in self.buildings.iter().enumerate() {
            if self.planned(number).content == Content::Empty
                && building.is_unfinished()
                && let Err(error) = self.write_whole(number, b"")
            {
                self.give_up(number, &error)?;
            }
        }
        Ok(())
    }
}
