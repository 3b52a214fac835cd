//! Keys: readable parts, then hashes.
//!
//! ```text
//! go-1.26.8-linux-x86_64-<settings>-[<job>-]<lock files>
//! ```
//! Up to and with `<settings>` it says which builds can share a cache at all, so that beginning is the last fallback; what
//! it finds was made alike, from other lock files. Every part that is shortened or rewritten for reading is hashed whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use larder_base::{ContentHash, Error, ErrorKind, HashFunction, Hasher, Key, Result};

use super::Project;

/// Changes when equal inputs should no longer share with what earlier versions of this code saved.
const FORMAT: &str = "1";
/// The most characters of one readable part.
const PART_CHARS: usize = 40;
/// Hexadecimal digits of a hash in a key. Keys of one project are few, and a clash costs a rebuild.
pub(crate) const HASH_CHARS: usize = 12;

/// What a key is made from.
pub(super) struct Keyed<'a> {
    pub(super) name: &'a str,
    /// Readable parts.
    pub(super) parts: &'a [String],
    pub(super) settings: &'a BTreeMap<String, String>,
    /// Lines that count like lock files.
    pub(super) facts: &'a [String],
    /// Lock files, relative to the project's folder.
    pub(super) locks: &'a [PathBuf],
}

/// The key and the beginnings of keys to fall back to, best first.
///
/// # Errors
/// When a lock file cannot be read, naming it.
pub(super) fn compose(project: &Project<'_>, keyed: &Keyed<'_>) -> Result<(Key, Vec<String>)> {
    let mut parts = vec![keyed.name.to_owned()];
    parts.extend(keyed.parts.iter().map(|part| readable(part)));
    parts.extend([readable(&project.os), readable(&project.arch), hash_settings(project, keyed)]);
    let stem = parts.join("-") + "-";
    let mut fallbacks = vec![stem.clone()];
    if let Some(job) = &project.job {
        fallbacks.insert(0, format!("{stem}{}-", readable(job)));
    }
    let key = format!("{}{}", fallbacks[0], hash_locks(project, keyed)?).parse::<Key>()?;
    Ok((key, fallbacks))
}

fn hash_settings(project: &Project<'_>, keyed: &Keyed<'_>) -> String {
    let mut lines = Lines::new();
    lines.add(&["format", FORMAT]);
    lines.add(&["machine", &project.os, &project.arch]);
    for part in keyed.parts {
        lines.add(&["part", part]);
    }
    for (name, value) in keyed.settings {
        lines.add(&["setting", name, value]);
    }
    lines.finish()
}

fn hash_locks(project: &Project<'_>, keyed: &Keyed<'_>) -> Result<String> {
    let mut lines = Lines::new();
    if let Some(job) = &project.job {
        lines.add(&["job", job]);
    }
    for fact in keyed.facts {
        lines.add(&["fact", fact]);
    }
    for lock in keyed.locks {
        let path = project.directory.join(lock);
        let content = std::fs::read(&path).map_err(|error| {
            Error::new(ErrorKind::Failed, "read lock file", path.display().to_string()).with_source(error)
        })?;
        lines.add(&["lock", &lock.to_string_lossy(), &ContentHash::of(&content).to_hex()]);
    }
    Ok(lines.finish())
}

/// The part as a key shows it: short, and of characters that need no quoting anywhere.
pub(crate) fn readable(part: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    part.chars().take(PART_CHARS).map(safe).collect()
}

/// Hashes lists of words so that no two different lists of lists look alike.
pub(crate) struct Lines(Hasher);

impl Lines {
    /// No lists yet.
    pub(crate) fn new() -> Self {
        Self(Hasher::new(HashFunction::Sha256))
    }

    /// Takes in the next list.
    pub(crate) fn add(&mut self, words: &[&str]) {
        self.0.update(&(words.len() as u64).to_le_bytes());
        for word in words {
            self.0.update(&(word.len() as u64).to_le_bytes());
            self.0.update(word.as_bytes());
        }
    }

    /// The hash of all of them, as short as a key shows it.
    pub(crate) fn finish(self) -> String {
        self.0.finish().hash.to_hex()[..HASH_CHARS].to_owned()
    }
}

#[cfg(test)]
mod tests;
