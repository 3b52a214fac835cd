//! Reading records back. Every read is checked; what is bad is set aside and answered as absent.

use std::io;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::segment::{BadRecord, RECORD_HEADER_LEN, RecordHeader, RecordKind};
use larder_base::{ContentHash, Result};

use crate::committer::Terms;
use crate::core::Core;
use crate::disk::{DiskFile, OnDisk};
use crate::files::segment_path;
use crate::index::Table;
use crate::row::{BlobRow, QuarantineRow};
use crate::scan::read_trailer;
use crate::stub;

/// What an attempt to read without waiting came to.
pub(crate) enum Attempt<T> {
    Done(T),
    WouldWait,
}

impl Core {
    /// The header and the body as stored of a blob's record; `None` when it is gone or bad.
    pub(crate) fn read_record(&self, hash: &ContentHash, row: &BlobRow) -> Result<Option<(RecordHeader, Bytes)>> {
        let path = || segment_path(row.place.segment);
        let Some(file) = self.segment_file(row.place.segment)? else { return Ok(None) };
        let (offset, length) = (u64::from(row.place.offset), row.record_len());
        if let Some(range) = self.read_ahead.take(row.place.segment, offset..offset + length) {
            file.fetch(range);
        }
        let mut buffer = vec![0; length as usize];
        let count = match file.read_at(&mut buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.object_vanished(row.place.segment);
                return Ok(None);
            }
            count => count.at("read segment", &path())?,
        };
        buffer.truncate(count);
        Ok(self.checked(hash, row, buffer))
    }

    /// As [`Core::read_record`], from memory only.
    pub(crate) fn read_record_at_once(
        &self,
        hash: &ContentHash,
        row: &BlobRow,
    ) -> Result<Attempt<Option<(RecordHeader, Bytes)>>> {
        let Some(file) = self.segment_file(row.place.segment)? else { return Ok(Attempt::Done(None)) };
        let mut buffer = vec![0; row.record_len() as usize];
        match file.read_at_once(&mut buffer, u64::from(row.place.offset)) {
            Ok(Some(count)) if count == buffer.len() => Ok(Attempt::Done(self.checked(hash, row, buffer))),
            // Whatever it was, the way that waits will tell.
            _ => Ok(Attempt::WouldWait),
        }
    }

    /// As [`Core::read_body`], from memory only.
    pub(crate) fn read_body_at_once(&self, hash: &ContentHash, row: &BlobRow) -> Result<Attempt<Option<Bytes>>> {
        if row.kind != RecordKind::Chunk {
            return Ok(Attempt::WouldWait);
        }
        match self.read_record_at_once(hash, row)? {
            Attempt::Done(Some((header, body))) => Ok(Attempt::Done(self.decompressed(hash, row, &header, &body))),
            Attempt::Done(None) => Ok(Attempt::Done(None)),
            Attempt::WouldWait => Ok(Attempt::WouldWait),
        }
    }

    /// The content of a blob's record; `None` when it is gone or bad.
    pub(crate) fn read_body(&self, hash: &ContentHash, row: &BlobRow) -> Result<Option<Bytes>> {
        let Some((header, body)) = self.read_record(hash, row)? else { return Ok(None) };
        Ok(self.decompressed(hash, row, &header, &body))
    }

    fn decompressed(&self, hash: &ContentHash, row: &BlobRow, header: &RecordHeader, body: &Bytes) -> Option<Bytes> {
        header.decompress(body).inspect_err(|bad| self.quarantine(hash, row, *bad)).ok()
    }

    /// The file of a segment; `None` when it was evicted, or is only a stub that is damaged.
    pub(crate) fn segment_file(&self, segment: u32) -> Result<Option<std::sync::Arc<dyn DiskFile>>> {
        match self.files.get(segment) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%segment, %error, "what is in a segment is absent");
                Ok(None)
            }
            Err(error) => Err(error).at("open segment", &segment_path(segment)),
        }
    }

    fn checked(&self, hash: &ContentHash, row: &BlobRow, buffer: Vec<u8>) -> Option<(RecordHeader, Bytes)> {
        let check = || {
            let bytes = Bytes::from(buffer);
            let header = RecordHeader::decode(bytes.first_chunk::<RECORD_HEADER_LEN>().ok_or(BadRecord::Magic)?)?;
            if header.hash != *hash || header.kind != row.kind {
                return Err(BadRecord::Content);
            }
            let body = bytes.slice(RECORD_HEADER_LEN..);
            header.check_body(&body)?;
            if header.kind == RecordKind::Chunk && self.files.stub(row.place.segment).is_some() {
                // Who wrote the object may have written another in its place since it was verified.
                header.open_chunk(&body)?;
            }
            Ok((header, body))
        };
        check().inspect_err(|bad| self.quarantine(hash, row, *bad)).ok()
    }

    /// The object of a segment is gone: so are its chunks, at once for every reader, and for good with the next
    /// [`crate::Store::sweep_objects`]. What the stub has stays.
    pub(crate) fn object_vanished(&self, segment: u32) {
        let Some(archive) = self.archive.as_ref().filter(|archive| archive.note_vanished(segment)) else { return };
        archive.counts.vanished.fetch_add(1, Ordering::Relaxed);
        let object = archive.object(segment).map(|row| row.name.to_string()).unwrap_or_default();
        tracing::warn!(segment, %object, "an object is gone from the bucket; what was in it is absent");
        let trailer = self.files.get(segment).and_then(|file| {
            let length = file.size()?;
            read_trailer(&*file, length)
        });
        if let Ok(Some((_, trailer))) = trailer {
            self.heat.condemn_all(segment, stub::chunks(&trailer).map(|(ordinal, _)| ordinal));
        }
    }

    /// Sets a bad record aside: from now on nobody has the blob until it is put again. Does not wait. The log is not told, so
    /// that whoever brings the blob again must write a record that takes over its name: see [`crate::rows::Claim`].
    pub(crate) fn quarantine(&self, hash: &ContentHash, row: &BlobRow, bad: BadRecord) {
        let (hash, place) = (*hash, row.place);
        if !self.heat.condemn(place.segment, place.ordinal) {
            return;
        }
        tracing::warn!(%hash, segment = place.segment, offset = place.offset, %bad, "a record at rest is damaged; set aside");
        self.health.quarantined.fetch_add(1, Ordering::Relaxed);
        let set_aside = move |group: &mut crate::group::Group<'_>| {
            group.drop_blob_at(&hash, place.segment, place.ordinal)?;
            let row = QuarantineRow { segment: place.segment, offset: place.offset, time: group.now };
            group.set(Table::Quarantine, &hash.to_key(), row.encode());
            Ok(())
        };
        // If the store takes no writes, the record is found bad again at the next read.
        self.queue.submit(Terms::housekeeping(0).unsynced(), set_aside, |_: Result<()>| {});
    }
}
