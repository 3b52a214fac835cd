//! Open segment files: at most so many at a time, so that no number of segments runs into a limit on open files.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};

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

#[derive(Default)]
struct Open {
    files: HashMap<u32, (Arc<dyn DiskFile>, u64)>,
    uses: u64,
}

/// The files of segments, opened when needed, closed when not used for longest.
pub(crate) struct SegmentFiles {
    disk: Arc<dyn Disk>,
    open: Mutex<Open>,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::default() }
    }

    /// The file of a segment; [`io::ErrorKind::NotFound`] when it was evicted.
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
        let file = self.disk.open(&segment_path(id))?;
        self.keep(id, Arc::clone(&file));
        Ok(file)
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
