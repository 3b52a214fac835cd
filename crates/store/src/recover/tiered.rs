//! What an opening knows of the bucket: the stubs on the disk, the objects in the index, and what only the bucket has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use larder_base::{Error, ErrorKind, Result};

use super::Replay;
use crate::archive::{Archive, ObjectFile};
use crate::body::Shipment;
use crate::codec::Reader;
use crate::disk::{DiskFile, OnDisk};
use crate::files::{SEGMENTS, segment_of, stub_of, stub_path};
use crate::index::{Table, meta};
use crate::row::{ObjectRow, ObjectState, SegmentRow};
use crate::scan::read_trailer;
use crate::stub;

impl Replay<'_> {
    /// The segments of which the disk has something. What it lacks is made anew from the bucket.
    pub(super) fn find_files(&mut self, known: &BTreeMap<u32, SegmentRow>) -> Result<BTreeSet<u32>> {
        let names = self.core.disk.list(SEGMENTS).at("list", SEGMENTS)?;
        let mut found: BTreeSet<u32> = names.iter().filter_map(|name| segment_of(name)).collect();
        let stubs: Vec<u32> = names.iter().filter_map(|name| stub_of(name)).collect();
        for id in stubs {
            let path = stub_path(id);
            if found.contains(&id) {
                // The segment was about to be offloaded. Its file is whole, its stub perhaps not.
                self.core.disk.remove(&path).at("remove unfinished stub", &path)?;
                continue;
            }
            let length = self.core.disk.open(&path).and_then(|file| file.size()).at("measure stub", &path)?;
            self.core.files.set_stub(id, Some(length));
            found.insert(id);
        }
        self.load_objects()?;
        if let Some(archive) = self.core.archive.clone() {
            self.restore_stubs(&archive, known, &mut found)?;
        }
        Ok(found)
    }

    fn load_objects(&self) -> Result<()> {
        let Some(archive) = &self.core.archive else { return Ok(()) };
        self.core.index.scan(Table::Objects, &[], |key, row| {
            let id = Reader::new(key, "key of table objects").u32()?.swap_bytes();
            archive.set(id, Some(ObjectRow::decode(row)?));
            Ok(true)
        })
    }

    /// Makes the stubs of segments of which the disk has nothing: those that the index knows, and without an index those
    /// that the bucket lists, as the log is not whole without them.
    fn restore_stubs(
        &mut self,
        archive: &Arc<Archive>,
        known: &BTreeMap<u32, SegmentRow>,
        found: &mut BTreeSet<u32>,
    ) -> Result<()> {
        let mut wanted = BTreeMap::new();
        for id in known.keys().filter(|id| !found.contains(id)) {
            wanted.extend(archive.stored(*id).map(|row| (*id, (row.name, row.length))));
        }
        if self.core.index.get(Table::Meta, meta::POSITION)?.is_none() {
            let mut next = None;
            loop {
                let page = archive.bucket.list(&archive.segments_start(), next.as_deref()).map_err(needed)?;
                for object in page.objects {
                    if let Some(id) = archive.segment_of(&object.name).filter(|id| !found.contains(id)) {
                        wanted.insert(id, (object.name, object.length));
                    }
                }
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
        }
        let mut restored = 0;
        for (id, (name, length)) in wanted {
            let file: Arc<dyn DiskFile> = Arc::new(ObjectFile::new(archive, &name, length));
            let trailer = match read_trailer(&*file, length) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                trailer => trailer.at("read object", name.as_str()).map_err(needed)?,
            };
            let Some(trailer) = trailer else {
                tracing::error!(segment = id, object = %name, "an object has no table of its records; it is absent");
                continue;
            };
            let path = stub_path(id);
            let spans = stub::write(&*self.core.disk, &path, &*file, length, &trailer)?;
            self.core.files.set_stub(id, Some(spans.stub_len()));
            found.insert(id);
            restored += 1;
            if self.rows.object(id)?.is_none() {
                // What the log says follows; if that is only that the segment was evicted, the object must be known.
                self.ship(&Shipment { segment: id, made: false, length, object: name });
            }
        }
        if restored > 0 {
            self.core.disk.sync_directory(SEGMENTS).at("sync directory", SEGMENTS)?;
        }
        self.outcome.restored_segments = restored;
        Ok(())
    }

    /// A segment has a copy in the bucket, or was about to.
    pub(super) fn ship(&mut self, shipment: &Shipment) {
        let row = self.rows.ship(shipment);
        self.adopted_object = row_of_adoption(shipment, &row);
        if let Some(archive) = &self.core.archive {
            archive.set(shipment.segment, Some(row));
        }
    }

    /// A stub is made only of a segment whose object is there. The record that says so may not have reached the disk (under
    /// [`crate::Durability::Relaxed`]), or was lost with the segment that it was in.
    pub(super) fn believe_stubs(&mut self) -> Result<()> {
        for (id, length) in self.files.clone() {
            if self.core.files.stub(id).is_none() || !self.core.heat.exists(id) {
                continue;
            }
            let object = self.rows.object(id)?;
            if object.as_ref().is_some_and(|row| row.state == ObjectState::Stored) {
                continue;
            }
            if let Some(archive) = self.core.archive.clone() {
                self.ship(&Shipment { segment: id, made: true, length, object: archive.segment_name(id) });
            }
        }
        Ok(())
    }
}

impl Replay<'_> {
    /// Objects of segments that do not exist any more are to be deleted.
    pub(super) fn doom_lost_objects(&mut self) -> Result<()> {
        let Some(archive) = self.core.archive.clone() else { return Ok(()) };
        for state in [ObjectState::Intended, ObjectState::Stored] {
            for id in archive.segments(state).into_iter().filter(|id| !self.core.heat.exists(*id)) {
                archive.set(id, self.rows.doom(id)?);
            }
        }
        Ok(())
    }
}

fn row_of_adoption(shipment: &Shipment, row: &ObjectRow) -> Option<u32> {
    (row.state == ObjectState::Stored).then_some(shipment.segment)
}

/// Says what to do when the bucket is needed for an opening and does not answer.
fn needed(error: Error) -> Error {
    if error.kind() == ErrorKind::Unavailable {
        return Error::new(
            ErrorKind::Unavailable,
            "open store",
            "segments are missing on the disk, and the bucket has them",
        )
        .with_hint("try again when the bucket can be reached")
        .with_source(error);
    }
    error
}
