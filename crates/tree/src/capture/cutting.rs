//! A file larger than one chunk, read by one thread at a time and hashed by all.

use std::io;
use std::sync::Arc;

use larder_base::ContentHash;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;

use super::budget::Room;
use super::schedule::Unread;
use crate::content::{CUT, Content, Piece};
use crate::handles::read_at;
use crate::progress::Progress;
use crate::stat::FileStat;

/// How far ahead a large file is read: a whole chunk always lies in the window, and three quarters of it are new each time.
pub(super) const WINDOW_LEN: usize = 4 * CUT.max_len();

/// A large file that is being read.
pub(super) struct Cutting {
    file: OwnedFd,
    pub(super) assembly: Arc<Assembly>,
    window: Vec<u8>,
    filled: usize,
    offset: u64,
}

/// A chunk of a large file, waiting to be hashed.
pub(super) struct Hashing {
    pub(super) assembly: Arc<Assembly>,
    pub(super) number: usize,
    pub(super) content: Vec<u8>,
    pub(super) room: Room,
}

/// The chunks of a large file as far as they are hashed.
pub(super) struct Assembly {
    pub(super) unread: Unread,
    progress: Mutex<AssemblyProgress>,
}

#[derive(Default)]
struct AssemblyProgress {
    hashes: Vec<Option<ContentHash>>,
    lengths: Vec<u32>,
    hashed: usize,
    /// The state of the file after all of it was read, once that is so and it did not change.
    read: Option<FileStat>,
}

/// What reading on brought.
pub(super) enum Step {
    /// These chunks, and there is more.
    More(Box<Cutting>, Vec<Hashing>),
    /// These chunks, and the end, after `total` bytes; the handle is for a last look at the file's state.
    End { chunks: Vec<Hashing>, file: OwnedFd, total: u64 },
}

impl Cutting {
    pub(super) fn new(file: OwnedFd, unread: Unread) -> Self {
        // One byte more than the file: a window that is not filled means its end.
        let length = WINDOW_LEN.min(usize::try_from(unread.expected.size).map_or(WINDOW_LEN, |size| size + 1));
        let assembly = Arc::new(Assembly { unread, progress: Mutex::default() });
        Self { file, assembly, window: vec![0; length], filled: 0, offset: 0 }
    }

    /// Fills the window and takes the whole chunks out of it.
    pub(super) fn step(mut self: Box<Self>, room: &mut Room, progress: &Progress) -> io::Result<Step> {
        let got = read_at(&self.file, &mut self.window[self.filled..], self.offset)?;
        progress.bytes_read.add(got as u64);
        self.offset += got as u64;
        self.filled += got;
        let is_end = self.filled < self.window.len();
        let mut begin = 0;
        let mut chunks = Vec::new();
        while self.filled - begin >= CUT.max_len() || (is_end && begin < self.filled) {
            let length = CUT.next(&self.window[begin..self.filled]);
            let content = self.window[begin..begin + length].to_vec();
            let number = self.assembly.expect(length as u32);
            chunks.push(Hashing { assembly: self.assembly.clone(), number, content, room: room.split(length as u64) });
            begin += length;
        }
        self.window.copy_within(begin..self.filled, 0);
        self.filled -= begin;
        if is_end {
            let Self { file, offset: total, .. } = *self;
            return Ok(Step::End { chunks, file, total });
        }
        Ok(Step::More(self, chunks))
    }
}

impl Assembly {
    /// Makes a place for the next chunk and says which.
    fn expect(&self, length: u32) -> usize {
        let mut progress = self.progress.lock();
        progress.hashes.push(None);
        progress.lengths.push(length);
        progress.hashes.len() - 1
    }

    /// Puts the hash of a chunk in its place. The content, when this was all that lacked.
    pub(super) fn put(&self, number: usize, hash: ContentHash) -> Option<(Content, FileStat)> {
        let mut progress = self.progress.lock();
        progress.hashes[number] = Some(hash);
        progress.hashed += 1;
        progress.whole()
    }

    /// All chunks have been read, and the file did not change. The content, when this was all that lacked.
    pub(super) fn end(&self, stat: FileStat) -> Option<Content> {
        let mut progress = self.progress.lock();
        progress.read = Some(stat);
        progress.whole().map(|(content, _)| content)
    }
}

impl AssemblyProgress {
    fn whole(&self) -> Option<(Content, FileStat)> {
        let stat = self.read.filter(|_| self.hashed == self.hashes.len())?;
        let pieces = self.hashes.iter().zip(&self.lengths);
        let pieces = pieces.map(|(hash, length)| Piece { hash: hash.expect("every chunk is hashed"), length: *length });
        Some((Content::Cut(pieces.collect()), stat))
    }
}
