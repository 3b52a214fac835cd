//! What the threads of a store share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_base::{Clock, ContentHash, EntryAddress, Error, ErrorKind, Result, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::archive::Archive;
use crate::at_hand::AtHand;
use crate::body::Recipe;
use crate::committer::Queue;
use crate::disk::{Disk, DiskFile};
use crate::files::SegmentFiles;
use crate::heat::Heat;
use crate::index::{SharedIndex, Table};
use crate::options::Options;
use crate::overlay::Layer;
use crate::pool::Pool;
use crate::read_ahead::ReadAhead;
use crate::readers::ReaderNotes;
use crate::row::EntryKey;
use crate::served::Served;
use crate::transfer::Claims;
use crate::whole::WholeEntries;

/// Chunks in recipes kept decoded, about 40 bytes each.
const RECIPE_CHUNKS_KEPT: usize = 200_000;

/// Shared by everything: settings, the outside world, and the state that readers need.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: SharedIndex,
    pub(crate) heat: Heat,
    pub(crate) files: SegmentFiles,
    /// The bucket, if the store has one.
    pub(crate) archive: Option<Arc<Archive>>,
    pub(crate) queue: Queue,
    pub(crate) pool: Pool,
    pub(crate) usage: Usage,
    pub(crate) health: Health,
    /// The file that the log is appended to.
    pub(crate) active: RwLock<Option<(u32, Arc<dyn DiskFile>)>>,
    /// When entries were last served, since the last checkpoint.
    pub(crate) served: Mutex<Served>,
    /// Who restored entries, since the last checkpoint.
    pub(crate) readers: Mutex<ReaderNotes>,
    /// Whether there may be readers of any entry at all.
    pub(crate) has_readers: AtomicBool,
    pub(crate) recipes: Mutex<RecipeCache>,
    pub(crate) whole: Mutex<WholeEntries>,
    pub(crate) at_hand: AtHand,
    pub(crate) read_ahead: ReadAhead,
    /// Held while a checkpoint is made.
    pub(crate) checkpoint: Mutex<()>,
    /// Parts of uploads that someone works on.
    pub(crate) parts: Claims,
    /// Ids of names that were published; an id never changes.
    pub(crate) names: RwLock<HashMap<Box<str>, u32>>,
}

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The id of a name that was looked up since it was published.
    pub(crate) fn known_name(&self, name: &str) -> Option<u32> {
        self.names.read().get(name).copied()
    }

    /// The index key of an address whose names are all known so.
    pub(crate) fn known_entry_key(&self, address: &EntryAddress) -> Option<EntryKey> {
        let scope = address.scope.to_string();
        let names = self.names.read();
        let id = |name: &str| names.get(name).copied();
        let (namespace, scope, door) = (id(address.namespace.as_str())?, id(&scope)?, id(address.door.as_str())?);
        Some(EntryKey::new(namespace, scope, door, address.key.as_str()))
    }

    /// Makes changes of rows visible, all at once.
    pub(crate) fn publish(&self, changes: Layer) {
        self.index.overlay.publish(changes, |changes| {
            self.at_hand.forget(changes.rows(Table::Entries).keys().map(|key| &**key));
        });
    }

    /// Bytes at which the present segment is sealed: less under a small quota, so that there is something to evict.
    pub(crate) fn segment_len(&self) -> u64 {
        let quota = self.usage.quota.load(Ordering::Relaxed);
        self.options.segment_len.min((quota / 16).max(1 << 16))
    }
}

/// How full the store is, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) segments: AtomicU64,
    pub(crate) staging: AtomicU64,
    pub(crate) index: AtomicU64,
    pub(crate) quota: AtomicU64,
    /// The disk had no space at the last write.
    pub(crate) disk_full: AtomicBool,
}

impl Usage {
    pub(crate) fn used(&self) -> u64 {
        [&self.segments, &self.staging, &self.index].iter().map(|part| part.load(Ordering::Relaxed)).sum()
    }

    /// Whether so many bytes more are within the quota.
    pub(crate) fn fits(&self, more: u64) -> bool {
        self.used().saturating_add(more) <= self.quota.load(Ordering::Relaxed)
    }

    pub(crate) fn full(&self, operation: &'static str) -> Error {
        let (used, quota) = (self.used(), self.quota.load(Ordering::Relaxed));
        let message = format!(
            "the store holds {used} bytes of a quota of {quota}, and all that could be dropped is still promised"
        );
        Error::new(ErrorKind::Full, operation, message)
            .with_hint("raise the quota, or wait: what is not used for the retention time is dropped")
    }
}

/// What went wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Health {
    poison: OnceLock<String>,
    pub(crate) quarantined: AtomicU64,
    pub(crate) evicted_segments: AtomicU64,
    pub(crate) evicted_blobs: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) syncs: AtomicU64,
    /// The last checkpoint failed.
    pub(crate) index_failing: AtomicBool,
}

impl Health {
    /// No write is taken any more: what is on the disk can no longer be told.
    pub(crate) fn poison(&self, cause: &Error) {
        let mut text = cause.to_string();
        let mut source = std::error::Error::source(cause);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        if self.poison.set(text.clone()).is_ok() {
            tracing::error!(cause = %text, "the store takes no more writes");
        }
    }

    pub(crate) fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Fails when no write is taken any more.
    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        match self.poisoned() {
            None => Ok(()),
            Some(cause) => {
                let message = format!("the store takes no writes since one failed ({cause})");
                Err(Error::new(ErrorKind::Failed, operation, message)
                    .with_hint("look at the disk, then restart Larder: what was acknowledged is safe"))
            }
        }
    }
}

/// Recipes decoded lately. A recipe follows from its blob, so that what is here is never stale.
#[derive(Default)]
pub(crate) struct RecipeCache {
    recipes: HashMap<ContentHash, Arc<Recipe>>,
    chunks: usize,
}

impl RecipeCache {
    pub(crate) fn get(&self, blob: &ContentHash) -> Option<Arc<Recipe>> {
        self.recipes.get(blob).map(Arc::clone)
    }

    pub(crate) fn keep(&mut self, blob: ContentHash, recipe: &Arc<Recipe>) {
        self.chunks += recipe.chunks.len();
        if self.chunks > RECIPE_CHUNKS_KEPT {
            self.recipes.clear();
            self.chunks = recipe.chunks.len();
        }
        self.recipes.insert(blob, Arc::clone(recipe));
    }
}
