//! How many uploads each caller has open. Counted in memory: what an earlier process left is found by the sweep.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_base::{Namespace, UploadId};

use super::Upload;

/// Whose an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    namespace: Namespace,
    principal: String,
}

/// The uploads that have not ended.
#[derive(Default)]
pub(crate) struct OpenUploads {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// By owner, those included that are about to be registered.
    owners: HashMap<Owner, usize>,
    uploads: HashMap<UploadId, Owner>,
}

/// Room for one upload that is about to be registered; given back when it is not.
pub(crate) struct Room<'a> {
    open: &'a OpenUploads,
    owner: Option<Owner>,
}

impl OpenUploads {
    /// Room for one more upload of an owner who may have `most`.
    pub(crate) fn reserve(&self, upload: &Upload, most: usize) -> Option<Room<'_>> {
        let owner = owner_of(upload);
        let mut counts = self.lock();
        let count = counts.owners.entry(owner.clone()).or_default();
        (*count < most).then(|| {
            *count += 1;
            Room { open: self, owner: Some(owner) }
        })
    }

    /// Counts an upload that was found open, if it is not counted yet.
    pub(crate) fn ensure(&self, id: &UploadId, upload: &Upload) {
        let mut counts = self.lock();
        let owner = owner_of(upload);
        if counts.uploads.insert(id.clone(), owner.clone()).is_none() {
            *counts.owners.entry(owner).or_default() += 1;
        }
    }

    /// An upload has ended.
    pub(crate) fn forget(&self, id: &UploadId) {
        let mut counts = self.lock();
        if let Some(owner) = counts.uploads.remove(id) {
            counts.give_back(&owner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Every change above is whole before anything could panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn give_back(&mut self, owner: &Owner) {
        if let Some(count) = self.owners.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

impl Room<'_> {
    /// The upload is registered and takes the room until it ends.
    pub(crate) fn fill(mut self, id: &UploadId) {
        let Some(owner) = self.owner.take() else { return };
        let mut counts = self.open.lock();
        if counts.uploads.insert(id.clone(), owner.clone()).is_some() {
            // A sweep was quicker and has counted it.
            counts.give_back(&owner);
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            self.open.lock().give_back(&owner);
        }
    }
}

fn owner_of(upload: &Upload) -> Owner {
    Owner { namespace: upload.namespace.clone(), principal: upload.principal.clone() }
}
