//! Saving what a survey found: read, cut and hash, ask what is missing, compress, fill segments, send; all at once, in
//! bounded memory and without temporary files.

use std::collections::HashSet;

use larder_base::segment::DEFAULT_LEVEL;
use larder_base::{ContentHash, Digest, Result};
use parking_lot::Mutex;

use crate::content::Content;
use crate::manifest::{EncodedManifest, describe};
use crate::memory::Memory;
use crate::progress::Progress;
use crate::survey::{FileState, Omission, Survey};

mod block;
mod budget;
mod cutting;
mod schedule;
mod segment;
mod work;

pub use segment::Segment;

use schedule::{FileId, KnownChunk, Outcome, Schedule, Unread};
use segment::Filler;
use work::{Crew, FailOnPanic};

/// A segment takes one in so many of the bytes that are to be read: compressed, they fill some ten segments.
const SEGMENT_SHARE: u64 = 64;
/// Bytes of a segment at least, if the limit allows them: each costs a request, a file and perhaps an object.
const SEGMENT_LEAST: usize = 8 * 1024 * 1024;

/// Where new chunks go: what the application does for a save. Called from several threads at once.
pub trait Sink: Sync {
    /// Those of `chunks` that the other side lacks. What is not among them must stay readable until the save is finished.
    ///
    /// # Errors
    /// Any error ends the save with it.
    fn missing(&self, chunks: &[Digest]) -> Result<Vec<ContentHash>>;

    /// Takes a full segment; returns when it is delivered. Segments are independent of each other and come in no order.
    ///
    /// # Errors
    /// Any error ends the save with it.
    fn send(&self, segment: Segment) -> Result<()>;
}

/// How much of the machine a save uses.
#[derive(Clone, Copy, Debug)]
pub struct CaptureLimits {
    /// Threads that read, hash and compress.
    pub threads: usize,
    /// Questions in flight at most.
    pub askers: usize,
    /// Segments in flight at most; one more is being filled.
    pub senders: usize,
    /// The zstd level of chunks.
    pub level: i32,
    /// Bytes of a segment at most; at least one record is in each.
    pub segment_bytes: usize,
    /// Bytes of file content in memory at most, segments not counted.
    pub held_bytes: u64,
}

impl CaptureLimits {
    /// Limits that keep a save below 256 MB: 48 MiB of content and four segments of 32 MiB, whatever the tree.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            askers: 2,
            senders: 3,
            level: DEFAULT_LEVEL,
            segment_bytes: 32 * 1024 * 1024,
            held_bytes: 48 * 1024 * 1024,
        }
    }
}

/// What was saved.
#[derive(Debug)]
pub struct Captured {
    /// What there was; its chunks were handed to the sink with all others.
    pub manifest: EncodedManifest,
    /// Files that the manifest names.
    pub files: u64,
    /// Bytes of them; a file with several names counts once.
    pub bytes: u64,
    /// What was asked for and left out.
    pub omissions: Vec<Omission>,
    /// What to remember of each source, in the order of the sources.
    pub memories: Vec<Memory>,
    /// The most bytes of content that were in memory at once.
    pub most_held_bytes: u64,
}

impl Survey<'_> {
    /// Reads what is not remembered, and sends nothing: afterwards the manifest is known.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Unavailable`] when it was stopped.
    pub fn look(&mut self, limits: &CaptureLimits, progress: &Progress) -> Result<()> {
        let schedule = Schedule::new(limits.held_bytes, limits.threads);
        schedule.add_files(self.unread_files());
        let crew = Crew { roots: &self.roots, schedule: &schedule, progress, clock: self.clock, sending: None };
        run(&crew, limits.threads, 0);
        let outcome = schedule.take_outcome()?;
        self.take_in(outcome);
        Ok(())
    }

    /// What a save would leave now, if that is known without reading a file.
    pub fn manifest(&self) -> Option<EncodedManifest> {
        (self.unread() == 0).then(|| EncodedManifest::of(&describe(&self.roots)))
    }

    /// Sends what the other side lacks. A file that goes away meanwhile is left out, one that cannot be read or does not
    /// hold still is left out and named in [`Captured::omissions`].
    ///
    /// # Errors
    /// The sink's, or [`larder_base::ErrorKind::Unavailable`] when it was stopped.
    pub fn save(mut self, sink: &dyn Sink, limits: &CaptureLimits, progress: &Progress) -> Result<Captured> {
        let schedule = Schedule::new(limits.held_bytes, limits.threads);
        let (full, segments) = crossbeam_channel::bounded(0);
        let (give_back, sent) = crossbeam_channel::unbounded();
        let filler = Mutex::new(Filler::new(self.segment_bytes(limits), full, sent));
        let manifest = std::thread::scope(|scope| {
            for _ in 0..limits.senders.max(1) {
                let (segments, give_back) = (segments.clone(), give_back.clone());
                let schedule = &schedule;
                scope.spawn(move || {
                    let _guard = FailOnPanic(schedule);
                    work::send_all(&segments, &give_back, sink, schedule, progress);
                });
            }
            drop(segments);
            let sent = self.send_all(&schedule, &filler, sink, limits, progress);
            // The senders end when no filler is left that could hand them more.
            drop(filler);
            sent
        })?;
        schedule.take_outcome()?;
        Ok(self.into_captured(manifest, schedule.most_held()))
    }

    fn send_all(
        &mut self,
        schedule: &Schedule,
        filler: &Mutex<Filler>,
        sink: &dyn Sink,
        limits: &CaptureLimits,
        progress: &Progress,
    ) -> Result<EncodedManifest> {
        for known in self.known_chunks() {
            schedule.add_known(known);
        }
        let mut unread: Vec<_> = self.unread_files().collect();
        loop {
            schedule.add_files(unread);
            let sending = Some(work::Sending { sink, filler, level: limits.level });
            let crew = Crew { roots: &self.roots, schedule, progress, clock: self.clock, sending };
            run(&crew, limits.threads, limits.askers.max(1));
            let outcome = schedule.take_outcome()?;
            unread = self.holders_of(&outcome.lost, &outcome);
            self.take_in(outcome);
            if unread.is_empty() {
                break;
            }
        }
        let manifest = EncodedManifest::of(&describe(&self.roots));
        for (digest, content) in &manifest.chunks {
            schedule.add_new(*digest, || content.clone(), None);
        }
        let sending = Some(work::Sending { sink, filler, level: limits.level });
        run(&Crew { roots: &self.roots, schedule, progress, clock: self.clock, sending }, 1, 1);
        filler.lock().flush()?;
        schedule.take_outcome().map(|_| manifest)
    }

    /// Bytes of a segment in this save: less when there is little to send, as the other side checks a segment when all of it
    /// is there, and should not be left to do most of that when everything is sent.
    fn segment_bytes(&self, limits: &CaptureLimits) -> usize {
        let unread: u64 = self.unread_files().map(|unread| unread.expected.size).sum();
        let share = usize::try_from(unread / SEGMENT_SHARE).unwrap_or(usize::MAX);
        share.max(SEGMENT_LEAST).min(limits.segment_bytes)
    }

    fn unread_files(&self) -> impl Iterator<Item = Unread> + '_ {
        let begun = self.observed;
        self.roots.iter().enumerate().flat_map(move |(root, found)| {
            let files = found.files.iter().enumerate();
            let unread = files.filter(|(_, file)| matches!(file.state, FileState::Unread));
            unread.map(move |(number, file)| Unread { file: (root, number), expected: file.stat, attempt: 1, begun })
        })
    }

    /// Every chunk of the files whose content is known without having it at hand.
    fn known_chunks(&self) -> impl Iterator<Item = KnownChunk> + '_ {
        self.roots.iter().enumerate().flat_map(|(root, found)| {
            found.files.iter().enumerate().flat_map(move |(number, file)| {
                let content = match &file.state {
                    FileState::Remembered(content) | FileState::Read(content, _) => content,
                    _ => &Content::Empty,
                };
                content.pieces(file.stat.size).map(move |(offset, piece)| KnownChunk {
                    digest: Digest { hash: piece.hash, size: piece.length.into() },
                    file: (root, number),
                    offset,
                })
            })
        })
    }

    /// The files that are believed to hold one of these chunks; all must be read, since one that was, did not.
    fn holders_of(&self, lost: &HashSet<ContentHash>, outcome: &Outcome) -> Vec<Unread> {
        if lost.is_empty() {
            return Vec::new();
        }
        let settled: HashSet<_> = outcome.settled.iter().map(|settled| settled.file).collect();
        let mut holders: Vec<_> = self
            .known_chunks()
            .filter(|chunk| lost.contains(&chunk.digest.hash) && !settled.contains(&chunk.file))
            .map(|chunk| chunk.file)
            .collect();
        holders.dedup();
        let expected = |(root, file): FileId| self.roots[root].files[file].stat;
        holders
            .into_iter()
            .map(|file| Unread { file, expected: expected(file), attempt: 1, begun: self.observed })
            .collect()
    }

    fn take_in(&mut self, outcome: Outcome) {
        for settled in outcome.settled {
            let file = &mut self.roots[settled.file.0].files[settled.file.1];
            file.stat = settled.stat;
            file.state = settled.state;
        }
        self.omissions.extend(outcome.omissions);
        self.omissions.sort();
    }

    fn into_captured(self, manifest: EncodedManifest, most_held_bytes: u64) -> Captured {
        let (mut files, mut bytes) = (0, 0);
        let mut memories = Vec::with_capacity(self.roots.len());
        for mut root in self.roots {
            root.memory.begin_round();
            for number in 0..root.files.len() {
                let file = &root.files[number];
                let Some((first, content)) = root.content(number) else { continue };
                let (key, stat, content) = (root.key(file), first.stat, content.clone());
                files += 1;
                if !matches!(file.state, FileState::SameAs(_)) {
                    bytes += stat.size;
                }
                // Under each of its names, since any of them may be the one that stays.
                let since = if let FileState::Read(_, begun) = first.state { begun } else { self.observed };
                root.memory.record(key, &stat, content, since);
            }
            memories.push(root.memory);
        }
        Captured { manifest, files, bytes, omissions: self.omissions, memories, most_held_bytes }
    }
}

/// Works until nothing is left to do or something failed.
fn run(crew: &Crew<'_>, threads: usize, askers: usize) {
    std::thread::scope(|scope| {
        for _ in 0..askers {
            scope.spawn(|| {
                let _guard = FailOnPanic(crew.schedule);
                crew.ask();
            });
        }
        for _ in 1..threads {
            scope.spawn(|| {
                let _guard = FailOnPanic(crew.schedule);
                crew.work();
            });
        }
        let _guard = FailOnPanic(crew.schedule);
        crew.work();
    });
}

#[cfg(test)]
mod tests;
