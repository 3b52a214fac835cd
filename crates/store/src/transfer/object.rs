//! Adoption in place: a part that a client put straight into the bucket becomes a segment where it is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use larder_base::{Adopted, Error, ErrorKind, Namespace, PartName, Result};

use super::{PART_MAX, Staged, join, part_path, verify};
use crate::archive::ObjectFile;
use crate::body::{Origin, Trailer};
use crate::bucket::ObjectName;
use crate::disk::{DiskFile, OnDisk, ReadAt};
use crate::files::STAGING;
use crate::group::{Group, weight};
use crate::ship::archive_of;
use crate::store::Store;
use crate::stub;

/// Where the stub of a part waits until its adoption is logged.
pub(crate) fn staged_stub_path(part: &PartName) -> String {
    format!("{}.stub", part_path(part))
}

impl Store {
    /// Verifies a part that a client put into the bucket as `object` (see [`Store::part_object`]), reading it back in pieces,
    /// and makes its chunks present in the namespace, durably. The object stays where it is. `None` when there is no such
    /// object, or it was adopted before.
    ///
    /// Nobody writes the object again: see [`Bucket::put_url`](crate::Bucket::put_url). If somebody does all the same, every
    /// chunk that is read from the bucket must hash to its name, so that what was there is lost and nothing false is served.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a record is bad or not allowed, or there are not exactly `length` bytes; then nothing of
    /// the part becomes visible. [`ErrorKind::Unavailable`] when the bucket cannot be reached, [`ErrorKind::Full`] when its
    /// quota has no room, and failures of the disk.
    pub fn adopt_object(
        &self,
        namespace: &Namespace,
        part: &PartName,
        object: &ObjectName,
        length: u64,
    ) -> Result<Option<Adopted>> {
        let core = self.core();
        let archive = archive_of(core)?;
        if length > PART_MAX {
            let message = format!("part {part} has {length} bytes; at most {PART_MAX} are allowed");
            let error = Error::new(ErrorKind::TooLarge, "adopt object", message);
            return Err(error.with_hint("send the upload in several parts"));
        }
        let _claim = core.parts.claim(part);
        if archive.knows(object) {
            return Ok(None);
        }
        if !archive.fits(length) {
            self.evict_bucket_for(length)?;
            if !archive.fits(length) {
                return Err(archive.full());
            }
        }
        // One byte more is asked for, so that an object that is longer is known.
        let longer = ObjectFile::new(archive, object, length + 1);
        match longer.read_at(&mut [0], length) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => {
                let message = format!("part {part}: {length} bytes were announced and the object has more");
                return Err(Error::invalid("adopt object", message));
            }
            Err(error) => return Err(error).at("read object", object.as_str()),
        }
        let file: Arc<dyn DiskFile> = Arc::new(ObjectFile::new(archive, object, length));
        let Some(checked) = self.verify_object(&file, part, length)? else { return Ok(None) };
        if checked.end != length {
            let message = format!("part {part}, offset {}: what follows is no record", checked.end);
            return Err(Error::invalid("adopt object", message));
        }
        let records = checked.lines.len() as u64;
        self.make_room(weight([checked.lines.len() * 128]))?;
        let trailer = Trailer { origin: Origin::Adopted, lines: checked.lines };
        let path = staged_stub_path(part);
        let spans = stub::write_table(&*core.disk, &path, length, &trailer)?;
        core.disk.sync_directory(STAGING).at("sync directory", STAGING)?;
        let staged =
            Staged { path, length: spans.length, on_disk: spans.stub_len(), object: Some((object.clone(), length)) };
        let (staged, trailer) = (Arc::new(staged), Arc::new(trailer));
        self.join_uncontested(part, &*file, || {
            let (namespace, part) = (namespace.clone(), part.clone());
            let (staged, trailer) = (Arc::clone(&staged), Arc::clone(&trailer));
            move |group: &mut Group<'_>| join(group, &namespace, part, &staged, &trailer)
        })?;
        archive.counts.adopted.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Adopted { records, stored_bytes: length, raw_bytes: checked.raw_bytes }))
    }

    /// Verifies an object; `None` when it is not there.
    fn verify_object(&self, file: &Arc<dyn DiskFile>, part: &PartName, length: u64) -> Result<Option<super::Checked>> {
        // A read at the very beginning tells an object that is not there from one that ends too early.
        match file.read_at(&mut [0], 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            first => drop(first.at("read object", &part.to_string())?),
        }
        verify(self.core(), file, length, part).map(Some).map_err(|error| {
            if !ends_early(&error) {
                return error;
            }
            Error::invalid("adopt object", format!("part {part}: there are fewer than {length} bytes"))
        })
    }
}

/// Whether the cause of a failure is that the object has fewer bytes than were announced.
fn ends_early(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}
