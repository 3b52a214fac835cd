//! What a tree's files held when they were last looked at, so that unchanged ones are not read again.
//!
//! The memory of a tree is one small file, loaded and replaced whole. It is a hint: one that is absent, damaged or of
//! another version is as good as empty. Its format is in `docs/format-tree.md`.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Write as _};
use std::path::Path;

use larder_base::{ContentHash, Error, ErrorKind, HashFunction, Result, Timestamp};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::content::{CUT, Content, Piece};
use crate::stat::{FileStat, FileTime, Trace};

const MAGIC: [u8; 8] = *b"LARDMEM\x02";
/// Bytes of an entry before its chunks.
const FIXED_LEN: usize = 65;
/// How many rounds an entry outlives the last that saw its file, so that saves of different parts of one tree do not
/// forget each other's files.
const ROUNDS_KEPT: u8 = 8;

/// What the files of one tree held when they were last saved or restored.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: HashMap<u64, Remembered, BuildHasherDefault<Identity>>,
}

#[derive(Clone, Debug)]
struct Remembered {
    trace: Trace,
    /// Rounds since the file was last seen.
    age: u8,
    content: Content,
}

/// Stands for a path in a memory. Two paths with one key only cost a reading: the inode tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathKey(u64);

impl PathKey {
    /// The key of the root of a tree.
    pub(crate) const ROOT: Self = Self(0);

    /// The key of `name` in the directory that has this key.
    pub(crate) fn child(self, name: &str) -> Self {
        Self(xxh3_64_with_seed(name.as_bytes(), self.0))
    }
}

/// Hashes what is a hash already.
#[derive(Clone, Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl Memory {
    /// A memory of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The memory kept at `path`; an empty one when there is none that can be read.
    pub fn load(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| Self::decode(&bytes)).unwrap_or_default()
    }

    /// Replaces the memory kept at `path`, whole or not at all. The directory must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] when the file cannot be written; the old one is then still there.
    pub fn store(&self, path: &Path) -> Result<()> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let write = || -> io::Result<()> {
            let mut file = fs::File::create(&unfinished)?;
            file.write_all(&self.encode())?;
            drop(file);
            fs::rename(&unfinished, path)
        };
        write().map_err(|error| {
            Error::new(ErrorKind::Failed, "remember files", format!("cannot write {}: {error}", path.display()))
                .with_hint("the next save reads every file again; make the directory writable to avoid that")
        })
    }

    /// How many files are remembered.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What the file at `path` holds, if it is unwritten since it was recorded.
    pub(crate) fn recall(&self, path: PathKey, stat: &FileStat) -> Option<&Content> {
        let known = self.files.get(&path.0)?;
        stat.trace().is_unwritten_since(&known.trace).then_some(&known.content)
    }

    /// Begins a save or restore: what it does not record grows older, and what was not seen for long is forgotten.
    pub(crate) fn begin_round(&mut self) {
        self.files.retain(|_, known| {
            known.age += 1;
            known.age <= ROUNDS_KEPT
        });
    }

    /// Records what a file held when its state was `stat`, provided that no write after `observed` can go unseen. Otherwise
    /// what was known of it stays if it holds for this state, too: a name that came or went a moment ago hides no write.
    pub(crate) fn record(&mut self, path: PathKey, stat: &FileStat, content: Content, observed: Timestamp) {
        if stat.is_settled(observed) {
            self.files.insert(path.0, Remembered { trace: stat.trace(), age: 0, content });
        } else if self.recall(path, stat) != Some(&content) {
            self.files.remove(&path.0);
        } else if let Some(known) = self.files.get_mut(&path.0) {
            known.age = 0;
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.files.len() * (FIXED_LEN + 36));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&(self.files.len() as u64).to_le_bytes());
        for (path, known) in &self.files {
            let Trace { device, inode, size, mtime, ctime, names } = known.trace;
            for number in [*path, device, inode, size] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for time in [mtime, ctime] {
                out.extend_from_slice(&time.seconds.to_le_bytes());
                out.extend_from_slice(&time.nanos.to_le_bytes());
            }
            out.extend_from_slice(&names.to_le_bytes());
            out.push(known.age);
            out.extend_from_slice(&(known.content.piece_count() as u32).to_le_bytes());
            for (_, piece) in known.content.pieces(size) {
                out.extend_from_slice(piece.hash.as_bytes());
                out.extend_from_slice(&piece.length.to_le_bytes());
            }
        }
        let checksum = xxh3_64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, checksum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(body) != u64::from_le_bytes(*checksum) {
            return None;
        }
        let mut rest = body.strip_prefix(&MAGIC)?;
        let count = u64_from(&mut rest)?;
        // The count is checked by reading; only what the bytes can hold is reserved for it.
        let mut files = HashMap::with_capacity_and_hasher(
            usize::try_from(count).ok()?.min(rest.len() / FIXED_LEN),
            BuildHasherDefault::default(),
        );
        for _ in 0..count {
            let (path, known) = Remembered::decode(&mut rest)?;
            files.insert(path, known);
        }
        rest.is_empty().then_some(Self { files })
    }
}

impl Remembered {
    fn decode(rest: &mut &[u8]) -> Option<(u64, Self)> {
        let path = u64_from(rest)?;
        let (device, inode, size) = (u64_from(rest)?, u64_from(rest)?, u64_from(rest)?);
        let (mtime, ctime) = (time_from(rest)?, time_from(rest)?);
        let names = u32_from(rest)?;
        let age = take::<1>(rest)?[0];
        let count = u32_from(rest)?;
        let mut pieces = Vec::with_capacity((count as usize).min(rest.len() / 36));
        for _ in 0..count {
            pieces.push(Piece { hash: ContentHash::new(HashFunction::TREE, take(rest)?), length: u32_from(rest)? });
        }
        let total: u64 = pieces.iter().map(|piece| u64::from(piece.length)).sum();
        let content = match pieces.as_slice() {
            [] => Content::Empty,
            [one] if one.length as usize <= CUT.max_len() => Content::One(one.hash),
            [_] => return None,
            _ => Content::Cut(pieces.into()),
        };
        let trace = Trace { device, inode, size, mtime, ctime, names };
        (total == size).then_some((path, Self { trace, age, content }))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn u64_from(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn u32_from(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn time_from(rest: &mut &[u8]) -> Option<FileTime> {
    let seconds = u64_from(rest)?.cast_signed();
    Some(FileTime { seconds, nanos: u32_from(rest)? })
}

#[cfg(test)]
mod tests;
