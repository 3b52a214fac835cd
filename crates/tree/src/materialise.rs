//! Making a tree on the disk from chunks as they come, in any order and from several threads.
//!
//! Each file is written under a name of its own beside its place and renamed when it is complete, with mode and time
//! set: whatever ends a restore, every file is as it was or as it should be. What is left of an ended restore is
//! removed by the next.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_base::segment::{BadRecord, Codec, RecordHeader, RecordKind};
use larder_base::{ContentHash, Digest, Error, ErrorKind, Result, Timestamp};
use parking_lot::Mutex;
use rustix::fd::OwnedFd;

use crate::compare::Site;
use crate::edit::{self, Edits};
use crate::handles::DirId;
use crate::memory::Memory;
use crate::progress::Progress;
use crate::stat::FileStat;
use crate::survey::Omission;

mod building;
mod finish;
mod prepare;

use building::Building;

thread_local! {
    /// A chunk's content between its frame and the files it goes to.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A restore under way: wants chunks, and makes files of them.
#[derive(Debug)]
pub struct Materialiser<'a> {
    places: Vec<Place>,
    buildings: Vec<Building>,
    wanted: HashMap<ContentHash, Wanted>,
    needed: Vec<Digest>,
    /// Whether chunks are still being copied from files that may be replaced by those they are copied to.
    is_copying: AtomicBool,
    /// Files that became complete meanwhile.
    complete: Mutex<Vec<usize>>,
    refusals: Mutex<Vec<Omission>>,
    /// Drafts that are kept open between two chunks.
    open_drafts: AtomicUsize,
    is_failed: AtomicBool,
    observed: Timestamp,
    threads: usize,
    edits: Edits,
    progress: &'a Progress,
}

/// A root being restored.
#[derive(Debug)]
struct Place {
    site: Site,
    dirs: Vec<PlaceDir>,
    /// The number of the first passing name of its further names and links; files in all places have the numbers below.
    first_draft: usize,
    /// The state of each file that is in its place.
    done: Vec<Mutex<Option<FileStat>>>,
}

/// What became of a directory.
#[derive(Debug, Default)]
struct PlaceDir {
    /// Nothing can be made in it.
    is_refused: bool,
    /// It was made by this restore.
    is_new: bool,
    /// Its own permissions were widened so that it could be written to.
    is_opened: bool,
    /// Names in it have changed, and so has its time.
    is_changed: AtomicBool,
}

/// A chunk that files are waiting for.
#[derive(Debug)]
struct Wanted {
    length: u32,
    state: Mutex<ChunkState>,
    /// The files, and where in them.
    uses: Vec<(usize, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    Awaited,
    AtWork,
    Done,
}

/// What became of a chunk that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is where it belongs.
    Written,
    /// Nothing waits for it, or it came before.
    NotNeeded,
}

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// Files written anew.
    pub files_written: u64,
    /// Files whose mode or time was set and whose content was right.
    pub files_touched: u64,
    /// Files that were as they should be, further names of a file counted.
    pub files_kept: u64,
    /// Links and further names of files that were made.
    pub links_made: u64,
    /// What is not as it should be for lack of chunks; it is as it was.
    pub incomplete: Vec<String>,
    /// What could not be made, and why; it is as it was.
    pub refusals: Vec<Omission>,
    /// What to remember of each target, in the order of the saved roots, with their names.
    pub memories: Vec<(String, Memory)>,
}

impl Restored {
    /// Whether the whole tree is there.
    pub fn is_complete(&self) -> bool {
        self.incomplete.is_empty() && self.refusals.is_empty()
    }
}

impl Materialiser<'_> {
    /// Chunks to be handed in, in the order in which files need them.
    pub fn needed(&self) -> &[Digest] {
        &self.needed
    }

    /// Takes a chunk's record; verifies its checksum, its frame and its hash, and writes it to every file that waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the record is damaged: nothing was written, and a good one may follow. Any other
    /// error means that the restore cannot go on. A file that alone cannot be written is no error here; it is named in
    /// [`Restored::refusals`].
    pub fn push(&self, header: &RecordHeader, body: &[u8]) -> Result<Pushed> {
        self.progress.check("restore tree")?;
        if self.is_failed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Failed, "restore tree", "the restore has failed before"));
        }
        let Some(wanted) = self.wanted.get(&header.hash).filter(|_| header.kind == RecordKind::Chunk) else {
            return Ok(Pushed::NotNeeded);
        };
        if !wanted.claim() {
            return Ok(Pushed::NotNeeded);
        }
        let pushed = BUFFER.with_borrow_mut(|buffer| {
            let content = open(header, body, buffer).and_then(|content| {
                if content.len() == wanted.length as usize { Ok(content) } else { Err(BadRecord::Content) }
            });
            match content {
                Ok(content) => self.place(wanted, content),
                Err(bad) => {
                    Err(Error::new(ErrorKind::Corrupt, "restore tree", format!("chunk {}: {bad}", header.hash)))
                }
            }
        });
        let state = if pushed.is_ok() { ChunkState::Done } else { ChunkState::Awaited };
        *wanted.state.lock() = state;
        pushed.map(|()| Pushed::Written)
    }

    /// Writes a verified chunk to every file that waits for it.
    fn place(&self, wanted: &Wanted, content: &[u8]) -> Result<()> {
        for (building, offset) in &wanted.uses {
            if let Err(error) = self.write(*building, content, *offset) {
                self.give_up(*building, &error)?;
            }
        }
        Ok(())
    }

    /// A file cannot be written; when no other can be either, the restore has failed.
    fn give_up(&self, number: usize, error: &io::Error) -> Result<()> {
        let building = &self.buildings[number];
        let site = &self.places[building.place].site;
        let planned = &site.root.files[building.file];
        let path = site.display(planned.dir, &planned.name);
        self.fail_if_fatal(&path, error)?;
        if self.abandon(number) {
            self.refuse(path, error.to_string());
        }
        Ok(())
    }

    fn fail_if_fatal(&self, path: &str, error: &io::Error) -> Result<()> {
        if !edit::is_fatal(error) {
            return Ok(());
        }
        self.is_failed.store(true, Ordering::Release);
        let kind = if edit::is_full(error) { ErrorKind::Full } else { ErrorKind::Failed };
        Err(Error::new(kind, "restore tree", format!("cannot write {path}: {error}")))
    }

    fn refuse(&self, path: String, reason: String) {
        self.refusals.lock().push(Omission { path, reason });
    }

    fn changed(&self, place: usize, dir: DirId) {
        self.places[place].dirs[dir as usize].is_changed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Materialiser<'_> {
    fn drop(&mut self) {
        // Finished or not, no draft is left behind. After a kill the next restore does this.
        for number in 0..self.buildings.len() {
            if self.buildings[number].is_unfinished() {
                self.abandon(number);
            }
        }
    }
}

impl Place {
    /// The open handle of a directory.
    fn directory(&self, id: DirId) -> io::Result<Arc<OwnedFd>> {
        let handles = self.site.handles.as_ref().expect("the root is open since the restore began");
        handles.get(&self.site.root.table, id)
    }
}

impl Wanted {
    fn claim(&self) -> bool {
        let mut state = self.state.lock();
        let is_awaited = *state == ChunkState::Awaited;
        if is_awaited {
            *state = ChunkState::AtWork;
        }
        is_awaited
    }
}

/// The verified content of a record; uncompressed content is not copied.
fn open<'a>(header: &RecordHeader, body: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], BadRecord> {
    header.check_body(body)?;
    let content = match header.codec {
        Codec::Raw => body,
        Codec::Zstd => {
            header.decompress_into(body, buffer)?;
            buffer
        }
    };
    if header.hash.names(content) { Ok(content) } else { Err(BadRecord::Content) }
}

#[cfg(test)]
mod tests;
