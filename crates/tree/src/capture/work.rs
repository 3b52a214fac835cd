//! What the threads of a save do with the work they get.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender};
use larder_base::segment::Record;
use larder_base::{Clock, ContentHash, Digest, Error, ErrorKind, HashFunction};
use parking_lot::Mutex;
use rustix::fd::OwnedFd;

use super::Sink;
use super::block::Block;
use super::budget::Room;
use super::cutting::{Cutting, Hashing, Step};
use super::schedule::{FileId, Job, KnownChunk, NewChunk, Question, Schedule, Settled, Unread};
use super::segment::{Filler, Segment};
use crate::content::Content;
use crate::handles::{open_file, read_at};
use crate::progress::Progress;
use crate::stat::{FileStat, NodeKind};
use crate::survey::{FileState, FoundRoot, Omission};

/// How often reading a file is begun before it is left out for not holding still.
const ATTEMPTS: u32 = 4;

thread_local! {
    /// A file's content while it is hashed; only what must be sent is copied out of it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The threads of a save, and what they work on.
pub(super) struct Crew<'a> {
    pub(super) roots: &'a [FoundRoot],
    pub(super) schedule: &'a Schedule,
    pub(super) progress: &'a Progress,
    pub(super) clock: &'a dyn Clock,
    /// `None` when nothing is sent.
    pub(super) sending: Option<Sending<'a>>,
}

pub(super) struct Sending<'a> {
    pub(super) sink: &'a dyn Sink,
    pub(super) filler: &'a Mutex<Filler>,
    pub(super) level: i32,
}

/// Ends the save when its thread panics, so that no other thread waits for it for ever.
pub(super) struct FailOnPanic<'a>(pub(super) &'a Schedule);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::new(ErrorKind::Failed, "save tree", "a thread panicked"));
        }
    }
}

/// Sends segments until no more can come. After a failure the rest is dropped, so that nobody waits to hand one on.
pub(super) fn send_all(
    segments: &Receiver<Segment>,
    give_back: &Sender<BytesMut>,
    sink: &dyn Sink,
    schedule: &Schedule,
    progress: &Progress,
) {
    let mut has_failed = false;
    for segment in segments {
        if has_failed {
            continue;
        }
        let body = segment.body.clone();
        match sink.send(segment) {
            Ok(()) => {
                progress.segment_bytes_sent.add(body.len() as u64);
                // Whoever still holds the segment keeps it; the next one then gets memory of its own.
                if let Ok(buffer) = body.try_into_mut() {
                    // Nobody takes it when this was the last segment.
                    let _ = give_back.send(buffer);
                }
            }
            Err(error) => {
                schedule.fail(error);
                has_failed = true;
            }
        }
    }
}

impl Crew<'_> {
    /// Does what is to be done until nothing is left.
    pub(super) fn work(&self) {
        while let Some(job) = self.schedule.next() {
            if let Err(error) = self.progress.check("save tree") {
                return self.schedule.fail(error);
            }
            let is_packing = matches!(job, Job::Pack(_));
            match job {
                Job::Read(unread, room) => self.read(unread, room),
                Job::Cut(cutting, block) => self.cut(cutting, block),
                Job::Hash(hashing) => self.hash(hashing),
                Job::Again(chunk, room) => self.read_again(chunk, room),
                Job::Pack(chunk) => self.pack(chunk),
            }
            self.schedule.done(is_packing);
        }
    }

    /// Asks what is missing until nothing is left to ask.
    pub(super) fn ask(&self) {
        let Some(sending) = &self.sending else { return };
        while let Some(question) = self.schedule.next_question() {
            let digests: Vec<Digest> = match &question {
                Question::Known(chunks) => chunks.iter().map(|chunk| chunk.digest).collect(),
                Question::New(chunks) => chunks.iter().map(|chunk| chunk.digest).collect(),
            };
            match sending.sink.missing(&digests) {
                Ok(missing) => self.schedule.answered(question, &missing.into_iter().collect::<HashSet<ContentHash>>()),
                Err(error) => return self.schedule.fail(error),
            }
        }
    }

    fn open(&self, (root, file): FileId) -> io::Result<OwnedFd> {
        let root = &self.roots[root];
        let file = &root.files[file];
        open_file(&*root.handles.get(&root.table, file.dir)?, &file.name)
    }

    /// Reads a file of at most one chunk, or begins a larger one.
    fn read(&self, unread: Unread, room: Room) {
        let unread = Unread { begun: self.clock.now(), ..unread };
        let (id, expected) = (unread.file, unread.expected);
        let opened = self.open(id);
        if unread.is_large() {
            match opened {
                Ok(file) => self.schedule.add_cutting(Box::new(Cutting::new(file, unread))),
                Err(error) => {
                    self.schedule.cutting_ended();
                    self.leave_out_for(id, &error);
                }
            }
            return;
        }
        let read = opened.and_then(|file| {
            BUFFER.with_borrow_mut(|buffer| {
                // One byte more than expected shows in the same read whether the file has grown.
                let length = expected.size as usize + 1;
                if buffer.len() < length {
                    buffer.resize(length, 0);
                }
                let got = read_at(&file, &mut buffer[..length], 0)?;
                self.progress.bytes_read.add(got as u64);
                let seen = self.look_after_reading(id, &file)?;
                let is_steady = got as u64 == expected.size && seen.is_same_content(&expected);
                if is_steady {
                    self.take_in(&unread, seen, &buffer[..got], room);
                }
                Ok((is_steady, seen))
            })
        });
        match read {
            Ok((true, _)) => {}
            Ok((false, seen)) => self.begin_again(unread, seen),
            Err(error) => self.leave_out_for(id, &error),
        }
    }

    /// The whole content of a small file is at hand.
    fn take_in(&self, unread: &Unread, stat: FileStat, content: &[u8], room: Room) {
        if content.is_empty() {
            return self.settle(unread, stat, Content::Empty);
        }
        let digest = Digest::by(HashFunction::TREE, content);
        self.offer(digest, || Bytes::copy_from_slice(content), Some(room));
        self.settle(unread, stat, Content::One(digest.hash));
    }

    fn cut(&self, cutting: Box<Cutting>, block: Block) {
        let assembly = cutting.assembly.clone();
        let id = assembly.unread.file;
        let (chunks, end) = match cutting.step(block, self.progress) {
            Ok(Step::More(cutting, chunks)) => {
                self.schedule.add_cutting(cutting);
                (chunks, None)
            }
            Ok(Step::End { chunks, file, total }) => (chunks, Some((self.look_after_reading(id, &file), total))),
            Err(error) => (Vec::new(), Some((Err(error), 0))),
        };
        self.schedule.add_hashing(chunks);
        let Some((seen, total)) = end else { return };
        self.schedule.cutting_ended();
        let expected = assembly.unread.expected;
        match seen {
            Err(error) => self.leave_out_for(id, &error),
            Ok(seen) if total != expected.size || !seen.is_same_content(&expected) => {
                self.begin_again(assembly.unread, seen);
            }
            Ok(seen) => {
                if let Some(content) = assembly.end(seen) {
                    self.settle(&assembly.unread, seen, content);
                }
            }
        }
    }

    fn hash(&self, hashing: Hashing) {
        let Hashing { assembly, number, content } = hashing;
        let digest = Digest::by(HashFunction::TREE, &content);
        self.offer(digest, || content, None);
        if let Some((content, stat)) = assembly.put(number, digest.hash) {
            self.settle(&assembly.unread, stat, content);
        }
    }

    /// Reads a chunk that the other side turned out to lack. That it still is what it was shows in its hash.
    fn read_again(&self, chunk: KnownChunk, room: Room) {
        let length = usize::try_from(chunk.digest.size).expect("a chunk fits in memory");
        let content = self.open(chunk.file).and_then(|file| {
            let mut content = vec![0; length];
            let got = read_at(&file, &mut content, chunk.offset)?;
            content.truncate(got);
            self.progress.bytes_read.add(got as u64);
            Ok(content)
        });
        match content {
            Ok(content) if chunk.digest.hash.names(&content) => {
                self.schedule.add_packing(NewChunk { digest: chunk.digest, content: content.into(), room: Some(room) });
            }
            Ok(_) | Err(_) => self.schedule.lose(chunk.digest.hash),
        }
    }

    fn pack(&self, chunk: NewChunk) {
        let Some(sending) = &self.sending else { return };
        let NewChunk { digest, content, room } = chunk;
        let record = Record::chunk(digest.hash, content, sending.level);
        let pushed = sending.filler.lock().push(&record);
        drop((record, room));
        match pushed {
            Ok(()) => {
                self.progress.chunks_sent.add(1);
                self.progress.raw_bytes_sent.add(digest.size);
            }
            Err(error) => self.schedule.fail(error),
        }
    }

    /// A chunk was read; its content is kept when the other side may lack it.
    fn offer(&self, digest: Digest, content: impl FnOnce() -> Bytes, room: Option<Room>) {
        if self.sending.is_some() {
            self.schedule.add_new(digest, content, room);
        }
    }

    fn look_after_reading(&self, id: FileId, file: &OwnedFd) -> io::Result<FileStat> {
        #[cfg(test)]
        self.roots[id.0].after_reading.run(&self.roots[id.0].files[id.1].name);
        #[cfg(not(test))]
        let _ = id;
        FileStat::of_open(file)
    }

    /// A file was not what it was expected to be: it is read once more, up to a limit.
    fn begin_again(&self, unread: Unread, seen: FileStat) {
        if seen.kind != NodeKind::File {
            return self.leave_out(unread.file, "it is no longer a file".to_owned());
        }
        if unread.attempt >= ATTEMPTS {
            return self.leave_out(unread.file, "it changed while it was being read".to_owned());
        }
        self.schedule.add_files([Unread { expected: seen, attempt: unread.attempt + 1, ..unread }]);
    }

    fn settle(&self, unread: &Unread, stat: FileStat, content: Content) {
        self.progress.files_done.add(1);
        self.progress.bytes_done.add(stat.size);
        let state = FileState::Read(content, unread.begun);
        self.schedule.settle(Settled { file: unread.file, stat, state });
    }

    fn leave_out_for(&self, id: FileId, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            // Gone since it was found: as if it had never been there.
            let stat = self.roots[id.0].files[id.1].stat;
            return self.schedule.settle(Settled { file: id, stat, state: FileState::LeftOut });
        }
        self.leave_out(id, format!("cannot read it: {error}"));
    }

    fn leave_out(&self, id: FileId, reason: String) {
        let root = &self.roots[id.0];
        let file = &root.files[id.1];
        self.schedule.omit(Omission { path: root.display(file), reason });
        self.schedule.settle(Settled { file: id, stat: file.stat, state: FileState::LeftOut });
    }
}
