//! Who does what next. All threads of a save take their work from here, the latest stage first, so that content leaves
//! memory before more is read.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use larder_base::{ContentHash, Digest, Error, Timestamp};
use parking_lot::{Condvar, Mutex};

use super::block::{BLOCK_LEN, Block, Blocks};
use super::budget::{Budget, Room};
use super::cutting::{Cutting, Hashing};
use crate::content::CUT;
use crate::stat::FileStat;
use crate::survey::{FileState, Omission};

/// The most chunks in one question.
const QUESTION_MAX: usize = 4096;
/// How many new chunks make a question worth asking while more are being read.
const QUESTION_MIN: usize = 512;

/// A file: the number of its root, and its number there.
pub(super) type FileId = (usize, usize);

/// One thing to do.
pub(super) enum Job {
    /// Read a file from its beginning.
    Read(Unread, Room),
    /// Read on in a large file.
    Cut(Box<Cutting>, Block),
    /// Hash one chunk of a large file.
    Hash(Hashing),
    /// Read a chunk of a file that was not read because its content is known.
    Again(KnownChunk, Room),
    /// Compress a chunk into the segment being filled.
    Pack(NewChunk),
}

/// A file to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    pub(super) file: FileId,
    /// The state it was last seen in.
    pub(super) expected: FileStat,
    /// How often reading it was begun, with this time.
    pub(super) attempt: u32,
    /// A moment before the reading that counts.
    pub(super) begun: Timestamp,
}

impl Unread {
    /// Whether it is to be cut.
    pub(super) fn is_large(&self) -> bool {
        self.expected.size > CUT.max_len() as u64
    }
}

/// A chunk whose content is at hand.
pub(super) struct NewChunk {
    pub(super) digest: Digest,
    pub(super) content: Bytes,
    /// Content in a block has its room there, and the manifest's is not counted.
    pub(super) room: Option<Room>,
}

/// A chunk whose content is in a file that was not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownChunk {
    pub(super) digest: Digest,
    pub(super) file: FileId,
    pub(super) offset: u64,
}

/// Chunks to ask the other side about.
pub(super) enum Question {
    Known(Vec<KnownChunk>),
    New(Vec<NewChunk>),
}

/// A file whose content is settled.
pub(super) struct Settled {
    pub(super) file: FileId,
    pub(super) stat: FileStat,
    pub(super) state: FileState,
}

pub(super) struct Schedule {
    state: Mutex<State>,
    /// There may be something to do, or nothing is left.
    work: Condvar,
    /// There is something to ask, or nothing is left. Apart from `work`: chunks come by the thousand, and one in hundreds
    /// makes a question.
    questions: Condvar,
    limits: Limits,
}

struct Limits {
    /// For blocks, and for the content of small files.
    budget: Budget,
    blocks: Blocks,
    /// How many large files are read at once; each keeps up to a chunk beside the budget.
    cuttings: usize,
    /// How many chunks that wait for a thread are enough to keep all busy while a large file is read on. More would
    /// only go through more memory.
    backlog: usize,
}

#[derive(Default)]
struct State {
    known: VecDeque<KnownChunk>,
    unread: VecDeque<Unread>,
    cutting: VecDeque<Box<Cutting>>,
    /// Large files begun and not ended.
    cuttings_open: usize,
    most_cuttings: usize,
    hashing: VecDeque<Hashing>,
    again: VecDeque<KnownChunk>,
    new: Vec<NewChunk>,
    new_bytes: u64,
    packing: VecDeque<NewChunk>,
    /// Threads at work on what makes new chunks.
    producing_now: usize,
    packing_now: usize,
    asking_now: usize,
    /// Every chunk that was or will be asked about in this save.
    seen: HashSet<ContentHash>,
    outcome: Outcome,
    failed: Option<Error>,
}

/// What a run of the schedule brought to light.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) settled: Vec<Settled>,
    pub(super) omissions: Vec<Omission>,
    /// Chunks that the other side lacks and the file that was remembered to hold them no longer has.
    pub(super) lost: HashSet<ContentHash>,
}

impl Schedule {
    /// A schedule that keeps at most `held_bytes` of content in memory, or one block and one chunk.
    pub(super) fn new(held_bytes: u64, threads: usize) -> Self {
        let cuttings = (held_bytes / (3 * BLOCK_LEN as u64)).max(1);
        let budget = Budget::new(held_bytes.saturating_sub(cuttings * CUT.max_len() as u64));
        let cuttings = usize::try_from(cuttings).unwrap_or(usize::MAX);
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            questions: Condvar::new(),
            limits: Limits { budget, blocks: Blocks::default(), cuttings, backlog: 2 * threads },
        }
    }

    /// The most bytes of content that were in memory at once: blocks, small files, and what large ones keep.
    pub(super) fn most_held(&self) -> u64 {
        self.limits.budget.most() + self.state.lock().most_cuttings as u64 * CUT.max_len() as u64
    }

    /// To be called after every change that may give others something to do.
    fn wake(&self, state: &State) {
        let is_over = state.failed.is_some() || state.is_finished();
        self.work.notify_all();
        if is_over {
            self.questions.notify_all();
        } else if !state.known.is_empty() || state.should_ask(&self.limits) {
            self.questions.notify_one();
        }
    }

    /// Adds files to be read.
    pub(super) fn add_files(&self, files: impl IntoIterator<Item = Unread>) {
        let mut state = self.state.lock();
        state.unread.extend(files);
        self.wake(&state);
    }

    /// A large file is read to its end, or given up.
    pub(super) fn cutting_ended(&self) {
        self.state.lock().cuttings_open -= 1;
    }

    /// Adds a chunk to be asked about, unless that was done before.
    pub(super) fn add_known(&self, chunk: KnownChunk) {
        let mut state = self.state.lock();
        if state.seen.insert(chunk.digest.hash) {
            state.known.push_back(chunk);
        }
    }

    /// Adds a chunk whose content is at hand, unless it was asked about before.
    pub(super) fn add_new(&self, digest: Digest, content: impl FnOnce() -> Bytes, room: Option<Room>) {
        if !self.state.lock().seen.insert(digest.hash) {
            return;
        }
        // The copy is made outside of the lock.
        let chunk = NewChunk { digest, content: content(), room };
        let mut state = self.state.lock();
        state.new_bytes += chunk.digest.size;
        state.new.push(chunk);
        self.wake(&state);
    }

    pub(super) fn add_cutting(&self, cutting: Box<Cutting>) {
        self.state.lock().cutting.push_back(cutting);
    }

    pub(super) fn add_hashing(&self, chunks: Vec<Hashing>) {
        let mut state = self.state.lock();
        state.hashing.extend(chunks);
        self.wake(&state);
    }

    /// Adds a chunk that the other side is known to lack.
    pub(super) fn add_packing(&self, chunk: NewChunk) {
        self.state.lock().packing.push_back(chunk);
    }

    pub(super) fn settle(&self, settled: Settled) {
        self.state.lock().outcome.settled.push(settled);
    }

    pub(super) fn omit(&self, omission: Omission) {
        self.state.lock().outcome.omissions.push(omission);
    }

    /// A chunk is not where it was remembered; it may be asked about again when another file turns out to hold it.
    pub(super) fn lose(&self, hash: ContentHash) {
        let mut state = self.state.lock();
        state.seen.remove(&hash);
        state.outcome.lost.insert(hash);
    }

    /// Ends everything; the first reason is kept.
    pub(super) fn fail(&self, error: Error) {
        let mut state = self.state.lock();
        state.failed.get_or_insert(error);
        self.wake(&state);
    }

    /// What came of all work, once every thread is done.
    pub(super) fn take_outcome(&self) -> Result<Outcome, Error> {
        let mut state = self.state.lock();
        match state.failed.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut state.outcome)),
        }
    }

    /// The next thing to do; `None` when nothing is left or the save has failed. Report with [`Schedule::done`].
    pub(super) fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if let Some(job) = state.take_job(&self.limits) {
                if matches!(job, Job::Pack(_)) {
                    state.packing_now += 1;
                } else {
                    state.producing_now += 1;
                }
                return Some(job);
            }
            if state.is_finished() {
                self.wake(&state);
                return None;
            }
            self.work.wait(&mut state);
        }
    }

    /// A job taken with [`Schedule::next`] is done.
    pub(super) fn done(&self, was_packing: bool) {
        let mut state = self.state.lock();
        if was_packing {
            state.packing_now -= 1;
        } else {
            state.producing_now -= 1;
        }
        self.wake(&state);
    }

    /// The next question; `None` when none will follow. Report with [`Schedule::answered`].
    pub(super) fn next_question(&self) -> Option<Question> {
        let mut state = self.state.lock();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if !state.known.is_empty() {
                let count = state.known.len().min(QUESTION_MAX);
                state.asking_now += 1;
                return Some(Question::Known(state.known.drain(..count).collect()));
            }
            if state.should_ask(&self.limits) {
                let rest = state.new.len().saturating_sub(QUESTION_MAX);
                let chunks = state.new.split_off(rest);
                state.new_bytes = state.new.iter().map(|chunk| chunk.digest.size).sum();
                state.asking_now += 1;
                return Some(Question::New(chunks));
            }
            if state.is_finished() {
                self.wake(&state);
                return None;
            }
            self.questions.wait(&mut state);
        }
    }

    /// A question was answered: these of its chunks are missing.
    pub(super) fn answered(&self, mut question: Question, missing: &HashSet<ContentHash>) {
        // Content that is not needed leaves memory before anyone is told to look for room.
        match &mut question {
            Question::Known(chunks) => chunks.retain(|chunk| missing.contains(&chunk.digest.hash)),
            Question::New(chunks) => chunks.retain(|chunk| missing.contains(&chunk.digest.hash)),
        }
        let mut state = self.state.lock();
        match question {
            Question::Known(chunks) => state.again.extend(chunks),
            Question::New(chunks) => state.packing.extend(chunks),
        }
        state.asking_now -= 1;
        self.wake(&state);
    }
}

impl State {
    fn take_job(&mut self, limits: &Limits) -> Option<Job> {
        // Only one thread at a time can read on in a large file. What it finds keeps the others busy, so it goes first
        // while there is little for them to do.
        if self.hashing.len() + self.packing.len() < limits.backlog
            && !self.cutting.is_empty()
            && let Some(room) = limits.budget.take(BLOCK_LEN as u64)
        {
            return self.cutting.pop_front().map(|cutting| Job::Cut(cutting, limits.blocks.take(room)));
        }
        if let Some(chunk) = self.packing.pop_front() {
            return Some(Job::Pack(chunk));
        }
        if let Some(hashing) = self.hashing.pop_front() {
            return Some(Job::Hash(hashing));
        }
        let (source, bytes) = self.next_read(limits)?;
        let room = limits.budget.take(bytes)?;
        match source {
            ReadFrom::Cutting => self.cutting.pop_front().map(|cutting| Job::Cut(cutting, limits.blocks.take(room))),
            ReadFrom::Known => self.again.pop_front().map(|chunk| Job::Again(chunk, room)),
            ReadFrom::Unread => self.unread.pop_front().map(|unread| {
                self.cuttings_open += usize::from(unread.is_large());
                self.most_cuttings = self.most_cuttings.max(self.cuttings_open);
                Job::Read(unread, room)
            }),
        }
    }

    /// What would be read next, and how much room its chunks take.
    fn next_read(&self, limits: &Limits) -> Option<(ReadFrom, u64)> {
        if !self.cutting.is_empty() {
            return Some((ReadFrom::Cutting, BLOCK_LEN as u64));
        }
        if let Some(chunk) = self.again.front() {
            return Some((ReadFrom::Known, chunk.digest.size));
        }
        let unread = self.unread.front()?;
        if unread.is_large() {
            // Opening it takes no room; each step of cutting it does.
            return (self.cuttings_open < limits.cuttings).then_some((ReadFrom::Unread, 0));
        }
        Some((ReadFrom::Unread, unread.expected.size))
    }

    /// Whether the new chunks at hand are many enough, or no more will come before they are asked about.
    fn should_ask(&self, limits: &Limits) -> bool {
        if self.new.is_empty() {
            return false;
        }
        let is_enough = self.new.len() >= QUESTION_MIN || self.new_bytes >= limits.budget.limit() / 4;
        let may_read = self.next_read(limits).is_some_and(|(_, bytes)| limits.budget.has(bytes));
        is_enough || (self.producing_now == 0 && self.hashing.is_empty() && !may_read)
    }

    fn is_finished(&self) -> bool {
        self.producing_now + self.packing_now + self.asking_now == 0
            && self.known.is_empty()
            && self.unread.is_empty()
            && self.cutting.is_empty()
            && self.hashing.is_empty()
            && self.again.is_empty()
            && self.new.is_empty()
            && self.packing.is_empty()
    }
}

enum ReadFrom {
    Cutting,
    Known,
    Unread,
}
