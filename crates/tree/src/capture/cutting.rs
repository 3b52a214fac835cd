//! A file larger than one chunk, read by one thread at a time and hashed by all.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use larder_base::ContentHash;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;

use super::block::Block;
use super::schedule::Unread;
use crate::content::{CUT, Content, Piece};
use crate::handles::read_at;
use crate::progress::Progress;
use crate::stat::FileStat;

/// A large file that is being read.
pub(super) struct Cutting {
    file: OwnedFd,
    pub(super) assembly: Arc<Assembly>,
    /// What was read behind the last chunk that is whole.
    tail: Vec<u8>,
    offset: u64,
}

/// A chunk of a large file, waiting to be hashed.
pub(super) struct Hashing {
    pub(super) assembly: Arc<Assembly>,
    pub(super) number: usize,
    /// A part of the block that it was read into, which holds the room.
    pub(super) content: Bytes,
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
        let assembly = Arc::new(Assembly { unread, progress: Mutex::default() });
        Self { file, assembly, tail: Vec::with_capacity(CUT.max_len()), offset: 0 }
    }

    /// Fills a block and takes the whole chunks out of it.
    pub(super) fn step(mut self: Box<Self>, mut block: Block, progress: &Progress) -> io::Result<Step> {
        let bytes = block.as_mut();
        let (kept, free) = bytes.split_at_mut(self.tail.len());
        kept.copy_from_slice(&self.tail);
        let got = read_at(&self.file, free, self.offset)?;
        progress.bytes_read.add(got as u64);
        self.offset += got as u64;
        let is_end = got < free.len();
        let filled = &bytes[..self.tail.len() + got];
        let mut cuts = Vec::new();
        let mut begin = 0;
        while filled.len() - begin >= CUT.max_len() || (is_end && begin < filled.len()) {
            let length = CUT.next(&filled[begin..]);
            cuts.push((self.assembly.expect(length as u32), begin..begin + length));
            begin += length;
        }
        self.tail.clear();
        self.tail.extend_from_slice(&filled[begin..]);
        let content = block.freeze();
        let hashing =
            |(number, range)| Hashing { assembly: self.assembly.clone(), number, content: content.slice(range) };
        let chunks = cuts.into_iter().map(hashing).collect();
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
