//! Who restored what, for the doors that show it.

use std::sync::{Arc, OnceLock};

use larder_base::{DoorName, Entry, EntryAddress, Reader, Readers, Result, SeenEntry};
use parking_lot::RwLock;

use super::{Cache, DoorCache};
use crate::rights::Caller;

/// Where readers are remembered, and of the entries of which doors.
#[derive(Default)]
pub(super) struct ReaderRecord {
    tier: OnceLock<Arc<dyn Readers>>,
    doors: RwLock<Vec<DoorName>>,
}

impl ReaderRecord {
    /// Notes that a caller restored an entry.
    pub(super) fn note(&self, caller: &Caller, address: &EntryAddress, entry: &Entry) {
        let Some(tier) = self.tier.get() else { return };
        if self.doors.read().contains(&address.door) {
            tier.note(address, entry.revision, caller.principal());
        }
    }
}

impl Cache {
    /// Remembers readers in a tier from now on: the one that has the entries. Without one nobody is remembered, as on a node,
    /// whose Larder above remembers the node.
    ///
    /// # Panics
    /// When it was called before.
    pub fn remember_readers(&self, tier: Arc<dyn Readers>) {
        assert!(self.inner.readers.tier.set(tier).is_ok(), "readers are remembered in one place");
    }
}

impl DoorCache {
    /// Has the readers of this door's entries remembered, by whichever door they come.
    pub fn keep_readers(&self) {
        let mut doors = self.cache.readers.doors.write();
        if !doors.contains(&self.door) {
            doors.push(self.door.clone());
        }
    }

    /// Who restored these entries, of each those that did last, the last one first. Of an entry whose readers the caller may
    /// not know there are none.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn readers(&self, caller: &Caller, entries: &[(&EntryAddress, &Entry)]) -> Result<Vec<Vec<Reader>>> {
        let nobody = vec![Vec::new(); entries.len()];
        let Some(tier) = self.cache.readers.tier.get() else { return Ok(nobody) };
        let may_know: Vec<bool> = entries.iter().map(|(address, _)| caller.may_see_readers(address)).collect();
        let known = entries.iter().zip(&may_know).filter(|(_, may)| **may);
        let seen: Vec<SeenEntry> = known.map(|((address, entry), _)| ((*address).clone(), entry.revision)).collect();
        if seen.is_empty() {
            return Ok(nobody);
        }
        let mut told = tier.readers(&seen).await?.into_iter();
        Ok(may_know.iter().map(|may| if *may { told.next().unwrap_or_default() } else { Vec::new() }).collect())
    }
}
