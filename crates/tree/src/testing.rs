//! What the tests of this crate share: the other side in memory, a clock moved by hand, trees to save.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, SEGMENT_HEADER};
use larder_base::{Clock, ContentHash, Digest, Error, ErrorKind, HashFunction, Result, Timestamp};
use parking_lot::Mutex;

use crate::{
    CaptureLimits, Captured, Comparison, Materialiser, Memory, Plan, PlanLimits, Progress, Restored, Segment,
    Selection, Sink, Source, Survey, Target,
};

/// A clock far enough ahead that every file is settled.
#[derive(Debug)]
pub(crate) struct LateClock;

impl Clock for LateClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1 << 45)
    }
}

/// The other side: holds records by chunk.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) records: Mutex<HashMap<ContentHash, (RecordHeader, Bytes)>>,
    pub(crate) asked: Mutex<Vec<ContentHash>>,
    pub(crate) segments: AtomicU64,
    /// Segments to accept before failing.
    pub(crate) accepts: Option<u64>,
}

impl Shelf {
    pub(crate) fn content(&self, hash: &ContentHash) -> Option<Bytes> {
        let records = self.records.lock();
        let (header, body) = records.get(hash)?;
        Some(header.open_chunk(body).unwrap())
    }

    pub(crate) fn raw_bytes(&self) -> u64 {
        self.records.lock().values().map(|(header, _)| u64::from(header.raw_len)).sum()
    }
}

impl Sink for Shelf {
    fn missing(&self, chunks: &[Digest]) -> Result<Vec<ContentHash>> {
        self.asked.lock().extend(chunks.iter().map(|chunk| chunk.hash));
        let records = self.records.lock();
        Ok(chunks.iter().map(|chunk| chunk.hash).filter(|hash| !records.contains_key(hash)).collect())
    }

    fn send(&self, segment: Segment) -> Result<()> {
        let number = self.segments.fetch_add(1, Ordering::SeqCst);
        if self.accepts.is_some_and(|accepts| number >= accepts) {
            return Err(Error::new(ErrorKind::Full, "send segment", "the shelf is full"));
        }
        assert_eq!(segment.body[..16], SEGMENT_HEADER);
        let (mut rest, mut count) = (segment.body.slice(16..), 0);
        while !rest.is_empty() {
            let header = rest.split_to(RECORD_HEADER_LEN);
            let header = RecordHeader::decode(header[..].try_into().unwrap()).unwrap();
            let body = rest.split_to(header.stored_len as usize);
            header.open_chunk(&body).unwrap();
            let before = self.records.lock().insert(header.hash, (header, body));
            assert!(before.is_none(), "a chunk was sent twice");
            count += 1;
        }
        assert_eq!(segment.records, count);
        Ok(())
    }
}

pub(crate) fn limits() -> CaptureLimits {
    CaptureLimits::new(3)
}

pub(crate) fn source(path: &Path, memory: Memory) -> Source {
    Source { name: "work".into(), path: path.to_owned(), selection: Selection::everything(), memory }
}

pub(crate) fn survey(path: &Path, memory: Memory) -> Survey<'static> {
    Survey::take(vec![source(path, memory)], &LateClock, 3, &Progress::new()).unwrap()
}

/// Saves all of a directory.
pub(crate) fn save(path: &Path, memory: Memory, shelf: &Shelf) -> Captured {
    survey(path, memory).save(shelf, &limits(), &Progress::new()).unwrap()
}

/// Bytes that do not compress and never repeat, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes a file and the directories it needs.
pub(crate) fn put(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Restores what was saved into a directory; chunks come from the shelf by several threads.
pub(crate) fn restore(captured: &Captured, shelf: &Shelf, path: &Path, memory: Memory) -> (Restored, Progress) {
    let progress = Progress::new();
    let comparison = compare(captured, path, memory, &progress);
    let restored = fill(comparison.begin(&progress).unwrap(), shelf).finish(&LateClock).unwrap();
    (restored, progress)
}

pub(crate) fn compare(captured: &Captured, path: &Path, memory: Memory, progress: &Progress) -> Comparison {
    let plan = Plan::read(captured.manifest.bytes.clone(), &PlanLimits::default()).unwrap();
    let target = Target { name: "work".into(), path: path.to_owned(), memory };
    Comparison::of(plan, vec![target], &LateClock, 3, progress).unwrap()
}

/// Hands in every chunk that is needed.
pub(crate) fn fill<'a>(materialiser: Materialiser<'a>, shelf: &Shelf) -> Materialiser<'a> {
    let needed = materialiser.needed().to_vec();
    crate::parallel::map(3, needed.len(), |number| {
        let (header, body) = shelf.records.lock()[&needed[number].hash].clone();
        materialiser.push(&header, &body).unwrap();
    });
    materialiser
}

/// Everything about a tree that a restore should bring back, in the order of names.
pub(crate) fn picture(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inodes = HashMap::new();
    describe(root, root, &mut inodes, &mut lines);
    lines
}

fn describe(root: &Path, at: &Path, inodes: &mut HashMap<u64, String>, lines: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let mode = meta.mode() & 0o777;
        let time = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
        if meta.is_symlink() {
            lines.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
        } else if meta.is_dir() {
            lines.push(format!("{name}/ {mode:o} {time}"));
            describe(root, &path, inodes, lines);
        } else {
            let first = inodes.entry(meta.ino()).or_insert_with(|| name.clone()).clone();
            let hash = HashFunction::TREE.hash(&fs::read(&path).unwrap());
            lines.push(format!("{name} {mode:o} {time} {} {hash:?} = {first}", meta.len()));
        }
    }
}
