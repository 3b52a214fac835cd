//! What can be told about a store.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_base::Result;

use crate::archive::Archive;
use crate::body::Origin;
use crate::index::Table;
use crate::row::{ObjectState, SegmentRow};
use crate::store::Store;

/// The state of a store, in bytes and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// Bytes on the disk that count against the quota: segments, staging and the index's pages in use.
    pub bytes: u64,
    /// Of those, waiting direct uploads.
    pub staging_bytes: u64,
    /// Of those, the index.
    pub index_bytes: u64,
    /// The most bytes there may be.
    pub quota: u64,
    /// Segments.
    pub segments: u64,
    /// Of those, adopted from direct uploads.
    pub adopted_segments: u64,
    /// Blobs and chunks, some that were replaced counted twice while many are written, evicted ones that are not pruned yet among them.
    pub blobs: u64,
    /// Entries, some that were replaced counted twice while many are written, evicted ones that are not pruned yet among them.
    pub entries: u64,
    /// Records found bad and set aside, ever.
    pub quarantined: u64,
    /// Segments evicted since the opening.
    pub evicted_segments: u64,
    /// Blobs evicted since the opening.
    pub evicted_blobs: u64,
    /// The id of the oldest segment, 0 when there is none: it grows as eviction goes on.
    pub oldest_segment: u32,
    /// Checkpoints since the opening.
    pub checkpoints: u64,
    /// Syncs of segments since the opening.
    pub syncs: u64,
    /// The disk had no space at the last write.
    pub disk_full: bool,
    /// Why no writes are taken any more, when that is so.
    pub poisoned: Option<String>,
    /// The bucket, if there is one.
    pub bucket: Option<BucketStatus>,
}

/// The state of the bucket of a store, in bytes and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketStatus {
    /// Where it is.
    pub place: String,
    /// Segments in it.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The most bytes there may be.
    pub quota: u64,
    /// Objects of evicted segments that are not deleted yet.
    pub doomed_objects: u64,
    /// Sealed segments that wait to be shipped.
    pub waiting_segments: u64,
    /// Segments whose chunks are in the bucket only.
    pub offloaded_segments: u64,
    /// Segments shipped since the opening.
    pub shipped: u64,
    /// Parts adopted where a client put them since the opening.
    pub adopted: u64,
    /// Reads of the bucket since the opening.
    pub reads: u64,
    /// Bytes of them.
    pub read_bytes: u64,
    /// Objects found gone since the opening.
    pub vanished: u64,
    /// Objects of evicted segments deleted since the opening.
    pub deleted: u64,
    /// Objects that nothing spoke of deleted since the opening.
    pub orphans: u64,
    /// Segments repacked since the opening.
    pub repacked: u64,
    /// Bytes of their objects that were not written again.
    pub repacked_bytes: u64,
    /// Times it did not answer since it last did; 0 when it can be reached.
    pub failures: u32,
}

impl Store {
    /// Bytes on the disk that count against the quota, as [`StoreStatus::bytes`].
    pub fn used_bytes(&self) -> u64 {
        self.core().usage.used()
    }

    /// The state of the store.
    ///
    /// # Errors
    /// When the index fails.
    pub fn status(&self) -> Result<StoreStatus> {
        let core = self.core();
        let (usage, health) = (&core.usage, &core.health);
        let mut adopted_segments = 0;
        core.index.scan(Table::Segments, &[], |_, row| {
            adopted_segments += u64::from(SegmentRow::decode(row)?.origin == Origin::Adopted);
            Ok(true)
        })?;
        let ids = core.heat.ids();
        Ok(StoreStatus {
            bytes: usage.used(),
            staging_bytes: usage.staging.load(Ordering::Relaxed),
            index_bytes: usage.index.load(Ordering::Relaxed),
            quota: usage.quota.load(Ordering::Relaxed),
            segments: ids.len() as u64,
            adopted_segments,
            blobs: core.index.count(Table::Blobs)?,
            entries: core.index.count(Table::Entries)?,
            quarantined: health.quarantined.load(Ordering::Relaxed),
            evicted_segments: health.evicted_segments.load(Ordering::Relaxed),
            evicted_blobs: health.evicted_blobs.load(Ordering::Relaxed),
            oldest_segment: ids.first().copied().unwrap_or_default(),
            checkpoints: health.checkpoints.load(Ordering::Relaxed),
            syncs: health.syncs.load(Ordering::Relaxed),
            disk_full: usage.disk_full.load(Ordering::Relaxed),
            poisoned: health.poisoned().map(str::to_owned),
            bucket: core.archive.as_ref().map(|archive| self.bucket_status(archive)).transpose()?,
        })
    }

    fn bucket_status(&self, archive: &Archive) -> Result<BucketStatus> {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let counts = &archive.counts;
        Ok(BucketStatus {
            place: archive.place.clone(),
            objects: archive.segments(ObjectState::Stored).len() as u64,
            bytes: archive.bytes().0,
            quota: count(&archive.quota),
            doomed_objects: archive.segments(ObjectState::Doomed).len() as u64,
            waiting_segments: self.core().to_ship()?.len() as u64,
            offloaded_segments: self.core().files.stub_count(),
            shipped: count(&counts.shipped),
            adopted: count(&counts.adopted),
            reads: count(&counts.reads),
            read_bytes: count(&counts.read_bytes),
            vanished: count(&counts.vanished),
            deleted: count(&counts.deleted),
            orphans: count(&counts.orphans),
            repacked: count(&counts.repacked),
            repacked_bytes: count(&counts.repacked_bytes),
            failures: archive.failures(),
        })
    }
}
