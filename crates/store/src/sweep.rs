//! The sweep of the bucket: objects that nothing speaks of go, and so does what the store knew of objects that went.

use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_base::{PartName, Result, UploadId};

use crate::archive::Archive;
use crate::bucket::ObjectName;
use crate::committer::Terms;
use crate::evict::Evicted;
use crate::index::Table;
use crate::row::{ObjectRow, ObjectState};
use crate::ship::archive_of;
use crate::store::Store;

/// What a step of the sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects of evicted segments deleted.
    pub deleted: u64,
    /// Objects that nothing spoke of deleted.
    pub orphans: u64,
    /// Bytes of all of these.
    pub bytes: u64,
    /// Segments whose objects were gone, forgotten.
    pub forgotten: u64,
    /// The step came to the end of the list; the next one begins anew.
    pub wrapped: bool,
}

impl Swept {
    /// Adds what another step did; the end of the list is that of the later one.
    pub fn add(&mut self, step: &Self) {
        self.deleted += step.deleted;
        self.orphans += step.orphans;
        self.bytes += step.bytes;
        self.forgotten += step.forgotten;
        self.wrapped = step.wrapped;
    }
}

/// Where the sweep goes on in the list of objects.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    next: Option<String>,
}

impl Store {
    /// Does a bounded part of what is due in the bucket: forgets segments whose objects are gone, deletes the objects of
    /// evicted segments, and of one page of the list those that nothing speaks of and that are older than `age`. That must
    /// be longer than an upload may take from its first part to its adoption. Does nothing without a bucket.
    ///
    /// # Errors
    /// Those of the bucket, the disk and the index; what was not done is done by a later step.
    pub fn sweep_objects(&self, age: Duration) -> Result<Swept> {
        let Some(archive) = &self.core().archive else { return Ok(Swept { wrapped: true, ..Swept::default() }) };
        let mut swept = Swept { forgotten: self.forget_vanished()?, ..Swept::default() };
        let mut progress = self.inner.sweeping.lock();
        self.delete_doomed(&mut swept)?;
        let page = archive.bucket.list(archive.start(), progress.next.as_deref()).inspect_err(|error| {
            // Where the list is to go on may be good for some time only; from the beginning it is always good.
            if !error.kind().may_pass() {
                progress.next = None;
            }
        })?;
        let now = self.core().now();
        for object in page.objects {
            // Asked after the list was made: what is spoken of now was perhaps not then.
            let is_ours = object.name.as_str().starts_with(archive.start());
            if !is_ours || now.since(object.modified) < age || archive.knows(&object.name) {
                continue;
            }
            archive.bucket.delete(&object.name)?;
            swept.orphans += 1;
            swept.bytes += object.length;
        }
        archive.counts.orphans.fetch_add(swept.orphans, Ordering::Relaxed);
        progress.next = page.next;
        swept.wrapped = progress.next.is_none();
        Ok(swept)
    }

    /// The name of the object that a client is to put a part of an upload to; `None` without a bucket.
    pub fn part_object(&self, part: &PartName) -> Option<ObjectName> {
        Some(self.core().archive.as_ref()?.part_name(part))
    }

    /// Deletes the object of a part that is not to be adopted any more. One that was adopted stays.
    ///
    /// # Errors
    /// Those of the bucket; the sweep deletes it later.
    pub fn discard_object(&self, part: &PartName, object: &ObjectName) -> Result<()> {
        let core = self.core();
        let archive = archive_of(core)?;
        let _claim = core.parts.claim(part);
        if archive.knows(object) { Ok(()) } else { archive.bucket.delete(object) }
    }

    /// Deletes the objects of an upload's parts that were not adopted. What is put later, by a URL that still holds, is
    /// left to the sweep.
    ///
    /// # Errors
    /// Those of the bucket; what was not done the sweep does.
    pub fn discard_objects(&self, upload: &UploadId) -> Result<()> {
        let Some(archive) = &self.core().archive else { return Ok(()) };
        let start = archive.upload_start(upload);
        let mut next = None;
        loop {
            let page = archive.bucket.list(&start, next.as_deref())?;
            for object in page.objects {
                if let Some(part) = archive.part_of(&object.name).filter(|part| part.upload == *upload) {
                    self.discard_object(&part, &object.name)?;
                }
            }
            match page.next {
                Some(page) => next = Some(page),
                None => return Ok(()),
            }
        }
    }

    /// Drops the segments whose objects are gone; what the disk has of them and is in use is written again.
    fn forget_vanished(&self) -> Result<u64> {
        let Some(archive) = &self.core().archive else { return Ok(0) };
        let mut evicted = Evicted::default();
        for segment in archive.vanished() {
            self.evict_vanished(segment, &mut evicted)?;
            archive.forgotten(segment);
        }
        Ok(evicted.segments)
    }

    /// Deletes the objects of evicted segments, as far as the bucket lets it.
    pub(crate) fn delete_doomed(&self, swept: &mut Swept) -> Result<()> {
        let core = self.core();
        let Some(archive) = &core.archive else { return Ok(()) };
        let doomed = archive.segments(ObjectState::Doomed);
        if doomed.is_empty() {
            return Ok(());
        }
        // The log says so durably from here on, also where nobody waited for its sync.
        core.checkpoint()?;
        for segment in doomed {
            let Some(row) = archive.object(segment).filter(|row| row.state == ObjectState::Doomed) else { continue };
            archive.bucket.delete(&row.name)?;
            self.forget_object(archive, segment, &row)?;
            archive.counts.deleted.fetch_add(1, Ordering::Relaxed);
            swept.deleted += 1;
            swept.bytes += row.length;
        }
        Ok(())
    }

    /// The object of an evicted segment is deleted. This is in the index only: read again, the log would have the object
    /// deleted again.
    fn forget_object(&self, archive: &Archive, segment: u32, row: &ObjectRow) -> Result<()> {
        let row = row.clone();
        self.core().queue.call(Terms::housekeeping(0).unsynced(), move |group| {
            if group.object(segment)?.as_ref() == Some(&row) {
                group.delete(Table::Objects, &segment.to_be_bytes());
            }
            Ok(())
        })?;
        archive.set(segment, None);
        Ok(())
    }
}
