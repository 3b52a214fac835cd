//! Who restored an entry.

use std::sync::Arc;

use crate::{BoxFuture, EntryAddress, Result, Timestamp};

/// The most readers of one entry that are remembered: those that restored it last.
pub const READERS_MAX: usize = 8;

/// Somebody who restored an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The name of the principal.
    pub name: Arc<str>,
    /// When it last restored it.
    pub last: Timestamp,
    /// How often, since it is one of those remembered.
    pub restores: u64,
}

/// The last distinct readers of an entry, at most [`READERS_MAX`], the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReaderList(Vec<Reader>);

impl ReaderList {
    /// Takes in what a reader did beyond what is known of it.
    pub fn add(&mut self, reader: Reader) {
        match self.0.iter_mut().find(|known| known.name == reader.name) {
            Some(known) => {
                known.last = known.last.max(reader.last);
                known.restores = known.restores.saturating_add(reader.restores);
            }
            None => self.0.push(reader),
        }
        self.0.sort_by(|one, other| other.last.cmp(&one.last).then_with(|| one.name.cmp(&other.name)));
        self.0.truncate(READERS_MAX);
    }

    /// The readers, the last one first.
    pub fn readers(&self) -> &[Reader] {
        &self.0
    }

    /// The readers, the last one first.
    pub fn into_readers(self) -> Vec<Reader> {
        self.0
    }
}

/// An entry as somebody saw it: where it was, and its revision.
pub type SeenEntry = (EntryAddress, u64);

/// Remembers who restored entries, for as long as these are there. See `docs/design/005-readers.md`.
pub trait Readers: Send + Sync {
    /// Notes that somebody restored an entry. It does not wait: the note is durable some time later, and lost if the
    /// process is killed before. A name longer than [`crate::WRITER_MAX_BYTES`] is not noted.
    fn note(&self, address: &EntryAddress, revision: u64, reader: &str);

    /// Who restored these entries, of each those that did last, the last one first. One that was replaced or removed since
    /// it was seen has no readers.
    fn readers<'a>(&'a self, entries: &'a [SeenEntry]) -> BoxFuture<'a, Result<Vec<Vec<Reader>>>>;
}

#[cfg(test)]
mod tests;
