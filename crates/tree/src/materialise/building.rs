//! One file being written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::fd::OwnedFd;

use super::Materialiser;
use crate::edit;
use crate::names::UNFINISHED_PREFIX;
use crate::plan::PlannedFile;
use crate::stat::FileStat;

/// How many files of several chunks are kept open between them.
const OPEN_MAX: usize = 64;

/// A file being written.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) place: usize,
    pub(super) file: usize,
    chunks: usize,
    /// Chunks that are still to be written.
    left: AtomicUsize,
    draft: Mutex<Draft>,
}

/// The file under its passing name.
#[derive(Debug)]
enum Draft {
    /// Nothing has been written.
    None,
    /// It exists, and is open while there is room for it.
    Begun(FileStat, Option<Arc<OwnedFd>>),
    /// It is in its place.
    Done,
    /// It cannot be made.
    Refused,
}

impl Building {
    pub(super) fn new(place: usize, file: usize, chunks: usize) -> Self {
        Self { place, file, chunks, left: AtomicUsize::new(chunks), draft: Mutex::new(Draft::None) }
    }

    /// Whether it is neither in its place nor given up.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(*self.draft.lock(), Draft::None | Draft::Begun(..))
    }
}

#[cfg(test)]
impl Building {
    /// Closes the draft, as is done when too many are open.
    pub(super) fn close_draft(&self) {
        let mut draft = self.draft.lock();
        let Draft::Begun(_, file) = &mut *draft else { panic!("the draft is begun") };
        *file = None;
    }
}

/// The passing name of the file, link or name with this number.
pub(super) fn draft_name(number: usize) -> String {
    format!("{UNFINISHED_PREFIX}{number:x}")
}

impl Materialiser<'_> {
    /// Writes a chunk of a file; puts the file in its place when it was the last.
    pub(super) fn write(&self, number: usize, content: &[u8], offset: u64) -> io::Result<()> {
        let building = &self.buildings[number];
        let is_copying = self.is_copying.load(Ordering::Acquire);
        if building.chunks == 1 && !is_copying {
            return self.write_whole(number, content);
        }
        let Some(file) = self.draft(number)? else { return Ok(()) };
        self.edits.write_at(&file, content, offset)?;
        drop(file);
        self.progress.bytes_written.add(content.len() as u64);
        if building.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            if is_copying {
                self.complete.lock().push(number);
            } else {
                self.complete(number)?;
            }
        }
        Ok(())
    }

    /// Makes a file of one chunk, or of none, in one go.
    pub(super) fn write_whole(&self, number: usize, content: &[u8]) -> io::Result<()> {
        let building = &self.buildings[number];
        let mut draft = building.draft.lock();
        if !matches!(*draft, Draft::None) {
            return Ok(());
        }
        let (parent, name) = (self.parent(number)?, draft_name(number));
        self.changed(building.place, self.planned(number).dir);
        let file = self.edits.create(&parent, &name)?;
        // Given up from here on, it has something to be removed.
        *draft = Draft::Begun(FileStat::of_open(&file)?, None);
        if !content.is_empty() {
            self.edits.write_at(&file, content, 0)?;
            self.progress.bytes_written.add(content.len() as u64);
        }
        self.settle(number, &parent, &name, &file)?;
        *draft = Draft::Done;
        Ok(())
    }

    /// All chunks of a file are written: puts it in its place.
    pub(super) fn complete(&self, number: usize) -> io::Result<()> {
        let building = &self.buildings[number];
        let mut draft = building.draft.lock();
        let Draft::Begun(created, file) = &mut *draft else { return Ok(()) };
        let (parent, name) = (self.parent(number)?, draft_name(number));
        let file = match file.take() {
            Some(file) => {
                self.open_drafts.fetch_sub(1, Ordering::Relaxed);
                file
            }
            None => Arc::new(edit::open_created(&parent, &name, created)?),
        };
        self.settle(number, &parent, &name, &file)?;
        *draft = Draft::Done;
        Ok(())
    }

    /// Gives a file up and removes its draft; says whether it was not given up before.
    pub(super) fn abandon(&self, number: usize) -> bool {
        let mut draft = self.buildings[number].draft.lock();
        match std::mem::replace(&mut *draft, Draft::Refused) {
            Draft::Refused => return false,
            Draft::None | Draft::Done => {}
            Draft::Begun(_, file) => {
                if file.is_some() {
                    self.open_drafts.fetch_sub(1, Ordering::Relaxed);
                }
                // What cannot be removed now is removed by the next restore.
                if let Ok(parent) = self.parent(number) {
                    let _ = self.edits.remove(&parent, &draft_name(number));
                }
            }
        }
        true
    }

    /// Sets mode and time, and renames: from here on the file is as planned.
    fn settle(&self, number: usize, parent: &OwnedFd, name: &str, file: &OwnedFd) -> io::Result<()> {
        let (building, planned) = (&self.buildings[number], self.planned(number));
        self.edits.set_mode(file, planned.mode)?;
        if let Some(mtime) = planned.mtime {
            self.edits.set_mtime(file, mtime)?;
        }
        self.edits.rename(parent, name, &planned.name)?;
        let done = &self.places[building.place].done[building.file];
        let stat = FileStat::of_open(file)?;
        *done.lock() = Some(stat);
        if !self.places[building.place].site.names[building.file].is_empty() {
            // Now rather than at the end: each name changes the file's own time, and what changed only just before the
            // end of the restore is not remembered.
            self.make_names_of(building.place, building.file);
            let named = FileStat::of_open(file)?;
            if named.is_unwritten_since(&stat) {
                *done.lock() = Some(named);
            }
        }
        self.progress.files_done.add(1);
        self.progress.bytes_done.add(planned.size);
        Ok(())
    }

    /// The draft of a file, begun if it was not; `None` when the file was given up.
    fn draft(&self, number: usize) -> io::Result<Option<Arc<OwnedFd>>> {
        let building = &self.buildings[number];
        let mut draft = building.draft.lock();
        let (created, file) = match &mut *draft {
            Draft::Done | Draft::Refused => return Ok(None),
            Draft::Begun(_, Some(file)) => return Ok(Some(file.clone())),
            Draft::Begun(created, None) => {
                let parent = self.parent(number)?;
                (*created, Arc::new(edit::open_created(&parent, &draft_name(number), created)?))
            }
            Draft::None => {
                self.changed(building.place, self.planned(number).dir);
                let file = self.edits.create(&*self.parent(number)?, &draft_name(number))?;
                (FileStat::of_open(&file)?, Arc::new(file))
            }
        };
        let has_room = self.open_drafts.fetch_add(1, Ordering::Relaxed) < OPEN_MAX;
        if !has_room {
            self.open_drafts.fetch_sub(1, Ordering::Relaxed);
        }
        *draft = Draft::Begun(created, has_room.then(|| file.clone()));
        Ok(Some(file))
    }

    pub(super) fn planned(&self, number: usize) -> &PlannedFile {
        let building = &self.buildings[number];
        &self.places[building.place].site.root.files[building.file]
    }

    /// The open directory that a file goes to.
    fn parent(&self, number: usize) -> io::Result<Arc<OwnedFd>> {
        let place = &self.places[self.buildings[number].place];
        place.directory(self.planned(number).dir)
    }
}
