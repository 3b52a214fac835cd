//! Open segment files: at most so many at a time, so that no number of segments runs into a limit on open files.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::archive::{Archive, Hollow};
use crate::disk::{Disk, DiskFile};
use crate::stub::Stub;

/// The directory of the segments.
pub(crate) const SEGMENTS: &str = "segments";
/// The directory of parts that wait.
pub(crate) const STAGING: &str = "staging";
/// The most segment files kept open.
const OPEN_MAX: usize = 128;

/// The path of a segment.
pub(crate) fn segment_path(id: u32) -> String {
    format!("{SEGMENTS}/{id:08}.seg")
}

/// The segment whose file has this name.
pub(crate) fn segment_of(name: &str) -> Option<u32> {
    let id = name.strip_suffix(".seg")?.parse().ok()?;
    // A name that parses but is not written so is somebody else's file.
    (segment_path(id).strip_prefix(SEGMENTS)?.strip_prefix('/')? == name).then_some(id)
}

/// The path of a segment's stub.
pub(crate) fn stub_path(id: u32) -> String {
    format!("{SEGMENTS}/{id:08}.stub")
}

/// The segment whose stub has this name.
pub(crate) fn stub_of(name: &str) -> Option<u32> {
    segment_of(&format!("{}.seg", name.strip_suffix(".stub")?))
}

#[derive(Default)]
struct Open {
    files: HashMap<u32, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
}

/// The files of segments, opened when needed, closed when not used for longest.
pub(crate) struct SegmentFiles {
    disk: Arc<dyn Disk>,
    archive: Option<Arc<Archive>>,
    open: Mutex<Open>,
    /// The segments that have a stub and no file of their own, with the lengths of the stubs.
    stubs: RwLock<HashMap<u32, u64>>,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, archive: Option<Arc<Archive>>) -> Self {
        Self { disk, archive, open: Mutex::default(), stubs: RwLock::default() }
    }

    /// Bytes of a segment's stub, if that is all there is of it on the disk.
    pub(crate) fn stub(&self, id: u32) -> Option<u64> {
        self.stubs.read().get(&id).copied()
    }

    /// How many segments have only a stub.
    pub(crate) fn stub_count(&self) -> u64 {
        self.stubs.read().len() as u64
    }

    /// All that the disk has of a segment is its stub from now on, or (`None`) no stub.
    pub(crate) fn set_stub(&self, id: u32, length: Option<u64>) {
        match length {
            Some(length) => self.stubs.write().insert(id, length),
            None => self.stubs.write().remove(&id),
        };
        self.forget(id);
    }

    /// The path of what the disk has of a segment.
    pub(crate) fn path(&self, id: u32) -> String {
        if self.stub(id).is_some() { stub_path(id) } else { segment_path(id) }
    }

    /// The file of a segment; [`io::ErrorKind::NotFound`] when it was evicted, [`io::ErrorKind::InvalidData`] when its stub is
    /// damaged.
    pub(crate) fn get(&self, id: u32) -> io::Result<Arc<dyn DiskFile>> {
        {
            let mut open = self.open.lock();
            open.uses += 1;
            let uses = open.uses;
            if let Some((file, used)) = open.files.get_mut(&id) {
                *used = uses;
                return Ok(Arc::clone(file));
            }
        }
        let is_stub = self.stub(id).is_some();
        let file = match if is_stub { self.open_stub(id) } else { self.disk.open(&segment_path(id)) } {
            // It has left the disk in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_stub && self.stub(id).is_some() => {
                self.open_stub(id)?
            }
            file => file?,
        };
        self.keep(id, Arc::clone(&file));
        if self.stub(id).is_some() != is_stub {
            // What is kept may be a file without a name, whose bytes stay on the disk as long as it is open.
            self.forget(id);
        }
        Ok(file)
    }

    fn open_stub(&self, id: u32) -> io::Result<Arc<dyn DiskFile>> {
        let path = stub_path(id);
        let stub = Stub::open(self.disk.open(&path)?, &path)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Arc::new(Hollow::new(id, stub, self.archive.clone())))
    }

    /// Keeps a file that is open already.
    pub(crate) fn keep(&self, id: u32, file: Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        open.uses += 1;
        let uses = open.uses;
        open.files.insert(id, (file, uses));
        if open.files.len() > OPEN_MAX
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
        {
            open.files.remove(&oldest);
        }
    }

    /// Closes a file; readers that have it go on reading.
    pub(crate) fn forget(&self, id: u32) {
        self.open.lock().files.remove(&id);
    }
}

#[cfg(test)]
mod tests;
