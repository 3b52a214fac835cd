//! Shipping: sealed segments go to the bucket whole, and then their chunks may leave the disk.
//!
//! First it is logged that an object of a name is about to be there, then it is put, then it is logged that it is there. A
//! crash between two of these leaves a row that says so, and the next step puts the same bytes under the same name again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_base::{ErrorKind, PartName, Result, SegmentRange, TransferUrl};

use crate::archive::Archive;
use crate::body::Shipment;
use crate::bucket::ObjectName;
use crate::committer::Terms;
use crate::core::Core;
use crate::disk::{DiskFile, OnDisk};
use crate::files::{SEGMENTS, segment_path, stub_path};
use crate::group::{Group, weight};
use crate::index::Table;
use crate::row::{ObjectRow, ObjectState, SegmentRow};
use crate::scan::read_trailer;
use crate::store::Store;
use crate::stub;

/// Segments whose chunks leave the disk at once, for which a writer may wait.
const OFFLOADS_AT_ONCE: u64 = 8;

/// A segment that was shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// The segment.
    pub segment: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// The object that they are in now.
    pub object: ObjectName,
}

/// Keeps a segment from being evicted while it lives.
struct Pinned<'a>(&'a Core, u32);

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.0.heat.unpin(self.1);
    }
}

impl Store {
    /// Puts the oldest sealed segment that is not in the bucket there; `None` when there is none, or no bucket. Call it
    /// again until then: a step that failed, or that a crash ended, is done again.
    ///
    /// # Errors
    /// Those of the bucket; [`ErrorKind::Full`] when its quota has no room; a failure of the disk.
    pub fn ship_next(&self) -> Result<Option<Shipped>> {
        let core = self.core();
        let Some(archive) = &core.archive else { return Ok(None) };
        let _one_at_a_time = self.inner.shipping.lock();
        for segment in core.to_ship()? {
            if !core.heat.pin(segment) {
                continue;
            }
            let _pinned = Pinned(core, segment);
            let (file, bytes) = match self.shippable(segment) {
                Ok(Some(shippable)) => shippable,
                Ok(None) => {
                    // Without its table nobody could tell later what is in the object.
                    archive.note_unshippable(segment);
                    continue;
                }
                Err(error) => {
                    // Its own matter: what cannot be read must not keep the others on the disk, and the scrub tells of it.
                    tracing::warn!(segment, %error, "a segment cannot be read and is not shipped until the next start");
                    archive.note_unshippable(segment);
                    continue;
                }
            };
            let object = archive.segment_name(segment);
            self.make_bucket_room(archive, bytes)?;
            self.log_shipment(archive, Shipment { segment, made: false, length: bytes, object: object.clone() })?;
            if let Err(error) = archive.bucket.put(&object, Arc::clone(&file), bytes) {
                if can_be_read(&*file, bytes) {
                    return Err(error);
                }
                tracing::warn!(segment, %error, "a segment cannot be read and is not shipped until the next start");
                archive.note_unshippable(segment);
                continue;
            }
            self.log_shipment(archive, Shipment { segment, made: true, length: bytes, object: object.clone() })?;
            archive.counts.shipped.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(Shipped { segment: u64::from(segment), bytes, object }));
        }
        Ok(None)
    }

    /// The file of a sealed segment and its bytes; `None` when it is gone or lacks the table of its records.
    fn shippable(&self, segment: u32) -> Result<Option<(Arc<dyn DiskFile>, u64)>> {
        let Some(file) = self.core().segment_file(segment)? else { return Ok(None) };
        let path = segment_path(segment);
        let bytes = file.size().at("measure segment", &path)?;
        let trailer = read_trailer(&*file, bytes).at("read segment", &path)?;
        Ok(trailer.map(|_| (file, bytes)))
    }

    /// The object that a segment is in, with the bytes of it that are there, if it is in the bucket: ranges of that object
    /// are the same ranges of the segment. What [`Store::locate`] answered stays there as long as it stays readable.
    pub fn object_of(&self, segment: u64) -> Option<(ObjectName, u64)> {
        let archive = self.core().archive.as_ref()?;
        let row = archive.stored(u32::try_from(segment).ok()?)?;
        Some((row.name, row.length))
    }

    /// Where clients read these bytes from the bucket, in the order asked; `None` for those that are only on the disk, or
    /// where clients are not to reach the bucket.
    ///
    /// # Errors
    /// Those of the bucket's credentials.
    pub fn read_urls(&self, ranges: &[SegmentRange], lifetime: Duration) -> Result<Vec<Option<TransferUrl>>> {
        let url = |range: &SegmentRange| {
            let Some(archive) = &self.core().archive else { return Ok(None) };
            let SegmentRange { segment, offset, length } = *range;
            match self.object_of(segment) {
                Some((object, end)) if offset.saturating_add(length) <= end => {
                    archive.bucket.read_url(&object, offset, length, lifetime)
                }
                _ => Ok(None),
            }
        };
        ranges.iter().map(url).collect()
    }

    /// Where a client puts a part of exactly `length` bytes into the bucket; `None` when it is to be
    /// [received](Store::receive).
    ///
    /// # Errors
    /// Those of the bucket's credentials.
    pub fn put_url(&self, part: &PartName, length: u64, lifetime: Duration) -> Result<Option<TransferUrl>> {
        let Some(archive) = &self.core().archive else { return Ok(None) };
        archive.bucket.put_url(&archive.part_name(part), length, lifetime)
    }

    /// Changes the quota of the bucket, in bytes.
    pub fn set_bucket_quota(&self, quota: u64) {
        if let Some(archive) = &self.core().archive {
            archive.quota.store(quota, Ordering::Relaxed);
        }
    }

    fn make_bucket_room(&self, archive: &Archive, bytes: u64) -> Result<()> {
        if !archive.fits(bytes) {
            self.evict_bucket_for(bytes)?;
        }
        if archive.fits(bytes) { Ok(()) } else { Err(archive.full()) }
    }

    /// Logs a step of a shipment, durably.
    fn log_shipment(&self, archive: &Archive, shipment: Shipment) -> Result<()> {
        let segment = shipment.segment;
        let terms = Terms::housekeeping(weight([shipment.object.as_str().len() + 16]));
        let row = self.core().queue.call(terms, move |group| Ok(log_in(group, &shipment)))?;
        archive.set(segment, Some(row));
        Ok(())
    }

    /// Leaves the chunks of a shipped segment to the bucket: its stub takes the place of its file. Returns the bytes that
    /// this freed; `None` when it may not be done or is not worth it. The caller keeps evictions away.
    pub(crate) fn offload(&self, segment: u32) -> Result<Option<u64>> {
        let core = self.core();
        let Some(archive) = &core.archive else { return Ok(None) };
        let Some(row) = archive.stored(segment).filter(|_| core.files.stub(segment).is_none()) else { return Ok(None) };
        let path = segment_path(segment);
        let Some(file) = core.segment_file(segment)? else { return Ok(None) };
        let length = file.size().at("measure segment", &path)?;
        let Some(trailer) = read_trailer(&*file, length).at("read segment", &path)? else { return Ok(None) };
        if stub::Spans::of(&trailer.1, trailer.0, length).stub_len() > length - length / 4 {
            return Ok(None);
        }
        if archive.is_there(&row) == Some(false) {
            // Somebody took it away. It is still here, so it is shipped again.
            tracing::warn!(segment, object = %row.name, "an object is gone from the bucket; its segment is put there again");
            let ObjectRow { length, name: object, .. } = row;
            self.log_shipment(archive, Shipment { segment, made: false, length, object })?;
            return Ok(None);
        }
        let stub_len = stub::write(&*core.disk, &stub_path(segment), &*file, length, &trailer)?.stub_len();
        core.disk.sync_directory(SEGMENTS).at("sync directory", SEGMENTS)?;
        core.files.set_stub(segment, Some(stub_len));
        if let Err(error) = core.disk.remove(&path).at("remove shipped segment", &path) {
            core.files.set_stub(segment, None);
            return Err(error);
        }
        // A reader may have opened the file again before it went.
        core.files.forget(segment);
        core.usage.segments.fetch_sub(length - stub_len, Ordering::Relaxed);
        Ok(Some(length - stub_len))
    }

    /// Offloads shipped segments, those that were used longest ago first, until it is enough or
    /// many; returns how many.
    pub(crate) fn offload_until(&self, enough: impl Fn(u64) -> bool) -> Result<u64> {
        let core = self.core();
        let Some(archive) = &core.archive else { return Ok(0) };
        let stored = archive.segments(ObjectState::Stored).into_iter();
        let mut by_use: Vec<(u64, u32)> = stored
            .filter(|id| core.files.stub(*id).is_none() && core.heat.exists(*id))
            .map(|id| (core.heat.last_use(id), id))
            .collect();
        by_use.sort_unstable();
        let mut offloaded = 0;
        for (_, id) in by_use {
            if enough(core.usage.used()) || offloaded >= OFFLOADS_AT_ONCE {
                break;
            }
            match self.offload(id) {
                Ok(freed) => offloaded += u64::from(freed.is_some()),
                // Not even its stub fits on the disk; that of another may.
                Err(error) if error.kind() == ErrorKind::Full => {}
                Err(error) => return Err(error),
            }
        }
        Ok(offloaded)
    }
}

impl Core {
    /// The sealed segments that are to be shipped, oldest first.
    pub(crate) fn to_ship(&self) -> Result<Vec<u32>> {
        let Some(archive) = &self.archive else { return Ok(Vec::new()) };
        let mut sealed = Vec::new();
        self.index.scan(Table::Segments, &[], |key, row| {
            if SegmentRow::decode(row)?.sealed {
                sealed.push(crate::codec::Reader::new(key, "key of table segments").u32()?.swap_bytes());
            }
            Ok(true)
        })?;
        sealed.retain(|id| self.heat.exists(*id) && archive.stored(*id).is_none() && !archive.is_unshippable(*id));
        Ok(sealed)
    }
}

/// Whether all of a file is there to be read; asked only when sending it failed.
fn can_be_read(file: &dyn DiskFile, length: u64) -> bool {
    let mut piece = vec![0; 1 << 20];
    let mut at = 0;
    while at < length {
        let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(piece.len());
        match file.read_at(&mut piece[..wanted], at) {
            Ok(read) if read > 0 => at += read as u64,
            _ => return false,
        }
    }
    true
}

/// Appends a shipment.
pub(crate) fn log_in(group: &mut Group<'_>, shipment: &Shipment) -> ObjectRow {
    group.append(shipment.to_record());
    group.ship(shipment)
}

/// The archive of a store, or why there is none.
pub(crate) fn archive_of(core: &Core) -> Result<&Arc<Archive>> {
    core.archive
        .as_ref()
        .ok_or_else(|| larder_base::Error::invalid("use bucket", "the store has no bucket").with_hint("configure one"))
}
