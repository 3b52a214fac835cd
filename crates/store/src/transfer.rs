//! Direct transfer: whole segments come in and go out as they lie.
//!
//! A part is received into `staging/`, verified record by record, given a trailer and made durable there. Its adoption is
//! one record in the log; when that is durable the file is renamed into `segments/`. A crash before the record leaves the
//! part waiting, one after it lets the next opening finish the renaming.

use std::collections::HashSet;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::segment::{RECORD_HEADER_LEN, RecordKind, SEGMENT_HEADER};
use larder_base::{
    Adopted, ByteRange, ContentHash, Digest, Error, ErrorKind, Located, Namespace, PartName, Result, UploadId,
};

use crate::body::{Adoption, Origin, Shipment, Trailer};
use crate::bucket::ObjectName;
use crate::core::Core;
use crate::disk::{DiskFile, OnDisk};
use crate::files::{SEGMENTS, STAGING, segment_path, stub_path};
use crate::group::{Group, weight};
use crate::log::write_trailer;
use crate::rows::{Claim, MarksDue, Rows};
use crate::scan::read_trailer;
use crate::store::Store;

mod claims;
mod contested;
mod object;
mod verify;

pub(crate) use claims::Claims;
use contested::Contested;
pub(crate) use object::staged_stub_path;
pub(crate) use verify::{Checked, verify};

/// The most bytes of a part: offsets in a segment have 32 bits, and a segment is evicted as a whole.
const PART_MAX: u64 = 1 << 30;
/// The most bytes read at once for [`Store::read_segment`].
const PIECE: u64 = 1 << 20;

/// A part being received.
pub(crate) struct Receipt {
    core: Arc<Core>,
    part: PartName,
    path: String,
    file: Arc<dyn DiskFile>,
    length: u64,
    written: u64,
    kept: bool,
}

fn part_path(part: &PartName) -> String {
    format!("{STAGING}/{part}")
}

fn part_of(name: &str) -> Option<PartName> {
    let (upload, number) = name.split_once('.')?;
    let part = PartName { upload: upload.parse().ok()?, number: number.parse().ok()? };
    (part.to_string() == name).then_some(part)
}

impl Receipt {
    /// Takes in the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.written + bytes.len() as u64 > self.length {
            let message = format!("part {}: {} bytes were announced and more came", self.part, self.length);
            return Err(Error::invalid("receive part", message));
        }
        self.file.write_at(&[IoSlice::new(bytes)], self.written).at("write part", &self.path)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// The part waits from here on.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.written != self.length {
            let message = format!("part {}: {} bytes were announced and {} came", self.part, self.length, self.written);
            return Err(Error::invalid("receive part", message));
        }
        // Durable before it waits, so that after a crash a part is whole or not there, and never takes the client's blame.
        self.file.sync().at("sync part", &self.path)?;
        if self.part.number == PartName::PUT_BY {
            self.file.release();
        }
        let target = part_path(&self.part);
        let core = Arc::clone(&self.core);
        let _claim = core.parts.claim(&self.part);
        let before = self.core.disk.open(&target).and_then(|file| file.size()).unwrap_or(0);
        self.core.disk.rename(&self.path, &target).at("keep part", &target)?;
        self.kept = true;
        self.core.usage.staging.fetch_sub(before, Ordering::Relaxed);
        self.core.disk.sync_directory(STAGING).at("sync directory", STAGING)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.kept {
            // If it stays, the next opening removes it.
            let _ = self.core.disk.remove(&self.path);
            self.core.usage.staging.fetch_sub(self.length, Ordering::Relaxed);
        }
    }
}

impl Store {
    /// Begins to receive a part of exactly `length` bytes.
    pub(crate) fn begin_receipt(&self, part: &PartName, length: u64) -> Result<Receipt> {
        if length > PART_MAX {
            let message = format!("part {part} has {length} bytes; at most {PART_MAX} are allowed");
            return Err(
                Error::new(ErrorKind::TooLarge, "receive part", message).with_hint("send the upload in several parts")
            );
        }
        self.make_room(length)?;
        let core = Arc::clone(self.core());
        core.usage.staging.fetch_add(length, Ordering::Relaxed);
        let path = format!("{}.{}.new", part_path(part), core.parts.next_receipt());
        let file = core.disk.create(&path).at("make part", &path).inspect_err(|_| {
            core.usage.staging.fetch_sub(length, Ordering::Relaxed);
        })?;
        Ok(Receipt { core, part: part.clone(), path, file, length, written: 0, kept: false })
    }

    /// Receives a part durably, exactly `length` bytes, unverified. A second receipt of the same part replaces the first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when another number of bytes comes, [`ErrorKind::TooLarge`], [`ErrorKind::Full`], whatever
    /// the pieces fail with, or a failure of the disk.
    pub fn receive(&self, part: &PartName, length: u64, pieces: &mut dyn Iterator<Item = Result<Bytes>>) -> Result<()> {
        let mut receipt = self.begin_receipt(part, length)?;
        for piece in pieces {
            receipt.write(&piece?)?;
        }
        receipt.finish()
    }

    /// Verifies a received part and makes its chunks present in the namespace, durably; `None` when no such part waits.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a record is bad or not allowed; then nothing of the part becomes visible.
    pub fn adopt(&self, namespace: &Namespace, part: &PartName) -> Result<Option<Adopted>> {
        self.adopt_received(namespace, part, None)
    }

    /// As [`Store::adopt`], a part of exactly `length` bytes that was received or that a client put into the bucket.
    ///
    /// # Errors
    /// Those of [`Store::adopt`] and [`Store::adopt_object`]; [`ErrorKind::Invalid`] for another length.
    pub fn adopt_part(&self, namespace: &Namespace, part: &PartName, length: u64) -> Result<Option<Adopted>> {
        let received = self.adopt_received(namespace, part, Some(length))?;
        match self.part_object(part) {
            Some(object) if received.is_none() => self.adopt_object(namespace, part, &object, length),
            _ => Ok(received),
        }
    }

    fn adopt_received(
        &self,
        namespace: &Namespace,
        part: &PartName,
        announced: Option<u64>,
    ) -> Result<Option<Adopted>> {
        let core = self.core();
        let _claim = core.parts.claim(part);
        let path = part_path(part);
        let file = match core.disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("open part", &path),
        };
        let staged = file.size().at("measure part", &path)?;
        let Checked { end: received, lines, raw_bytes } = verify(core, &file, staged, part)?;
        if announced.is_some_and(|announced| announced != received) {
            let message = format!("part {part} has {received} bytes, and another number was announced");
            return Err(Error::invalid("adopt part", message));
        }
        if received < staged {
            file.truncate(received).at("cut part", &path)?;
        }
        let records = lines.len() as u64;
        self.make_room(weight([lines.len() * 64]))?;
        let length = write_trailer(&*file, received, Origin::Adopted, lines).at("seal part", &path)?;
        // Staged, the part counted as it was received, perhaps with the beginning of this trailer; now it has all of it.
        core.usage.staging.fetch_add(length.saturating_sub(staged), Ordering::Relaxed);
        core.disk.sync_directory(STAGING).at("sync directory", STAGING)?;
        self.join_uncontested(part, &*file, || {
            let (namespace, part, file) = (namespace.clone(), part.clone(), Arc::clone(&file));
            move |group: &mut Group<'_>| adopt_in(group, &namespace, part, &*file, length)
        })?;
        core.usage.staging.fetch_sub(length, Ordering::Relaxed);
        Ok(Some(Adopted { records, stored_bytes: received, raw_bytes }))
    }

    /// The parts that wait, of one upload or of all, in order.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn waiting(&self, upload: Option<&UploadId>) -> Result<Vec<PartName>> {
        let names = self.core().disk.list(STAGING).at("list", STAGING)?;
        let mut parts: Vec<PartName> = names
            .iter()
            .filter_map(|name| part_of(name))
            .filter(|part| upload.is_none_or(|upload| part.upload == *upload))
            .collect();
        parts.sort_unstable();
        Ok(parts)
    }

    /// Forgets the received parts of an upload that were not adopted; see [`Store::discard_objects`].
    ///
    /// # Errors
    /// When the disk fails.
    pub fn discard(&self, upload: &UploadId) -> Result<()> {
        let core = self.core();
        for part in self.waiting(Some(upload))? {
            let _claim = core.parts.claim(&part);
            let path = part_path(&part);
            let length = match core.disk.open(&path).and_then(|file| file.size()) {
                // Adopted or discarded while this waited for it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                length => length.at("measure part", &path)?,
            };
            core.disk.remove(&path).at("remove part", &path)?;
            core.usage.staging.fetch_sub(length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Where the records of these blobs lie now, in the order asked, leaving out what the namespace does not have and
    /// blobs larger than one chunk. They stay there, readable, for the retention time.
    ///
    /// # Errors
    /// When the index fails.
    pub fn locate(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<Vec<Located>> {
        let core = self.core();
        let rows = Rows::new(core);
        let Some(id) = rows.find_name(namespace.as_str())? else { return Ok(Vec::new()) };
        let (mut due, mut held_due) = (MarksDue::new(), MarksDue::new());
        let mut located = Vec::new();
        for hash in hashes {
            let row = rows.blob(hash)?.filter(|row| row.kind == RecordKind::Chunk && row.namespaces.contains(&id));
            let Some(row) = row else { continue };
            let segment = row.place.segment;
            // A segment that is being evicted cannot promise to keep its records where they are; they may be got one by one.
            if !rows.touch(segment, row.place.ordinal, &mut due) || !core.heat.pin(segment) {
                continue;
            }
            if core.heat.hold(segment, rows.now) {
                held_due.insert(segment);
            }
            core.heat.unpin(segment);
            located.push(Located {
                digest: Digest { hash: *hash, size: row.size },
                segment: u64::from(segment),
                offset: u64::from(row.place.offset),
                length: row.record_len(),
            });
        }
        core.make_marks(due, false);
        core.make_marks(held_due, true);
        Ok(located)
    }

    /// Bytes of a segment as they lie, up to its present end; `None` when it is gone.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub fn read_segment(&self, segment: u64, range: ByteRange) -> Result<Option<SegmentReader>> {
        let core = self.core();
        let Ok(id) = u32::try_from(segment) else { return Ok(None) };
        let Some(row) = Rows::new(core).segment(id)? else { return Ok(None) };
        let Some(file) = core.segment_file(id)? else { return Ok(None) };
        let (at, length) = range.within(row.length);
        Ok(Some(SegmentReader { core: Arc::clone(core), segment: id, file, at, end: at + length }))
    }
}

/// As [`join`], of a verified part.
fn adopt_in(
    group: &mut Group<'_>,
    namespace: &Namespace,
    part: PartName,
    file: &dyn DiskFile,
    length: u64,
) -> Result<Vec<Contested>> {
    let staged = part_path(&part);
    let Some((_, trailer)) = read_trailer(file, length).at("read part", &staged)? else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "adopt part",
            format!("{staged}: what was just written is not there"),
        ));
    };
    join(group, namespace, part, &Staged { path: staged, length, on_disk: length, object: None }, &trailer)
}

/// What is to become a segment, verified and durable.
struct Staged {
    /// Its file in staging.
    path: String,
    /// Bytes of the segment.
    length: u64,
    /// Bytes of the file: of a segment in the bucket it is only the stub.
    on_disk: u64,
    /// The object that it is in, with the bytes of that.
    object: Option<(ObjectName, u64)>,
}

/// Logs that a segment joins the store and, when that is durable, moves it into its place; or does nothing and returns the
/// chunks whose names are contested.
fn join(
    group: &mut Group<'_>,
    namespace: &Namespace,
    part: PartName,
    staged: &Staged,
    trailer: &Trailer,
) -> Result<Vec<Contested>> {
    let mut due = MarksDue::new();
    let (mut held, mut contested) = (HashSet::new(), Vec::new());
    for (_, offset, line) in trailer.placed() {
        match group.claim(&line.hash, &mut due)? {
            // What is here already is touched where it lies; the record in the part is dead.
            Claim::Held => {
                held.insert(line.hash);
            }
            Claim::Free => {}
            Claim::Contested => contested.push((offset, *line)),
        }
    }
    if !contested.is_empty() {
        return Ok(contested);
    }
    group.due.append(&mut due);
    let segment = group.new_segment_id()?;
    let Staged { path: staged, length, on_disk, object } = staged;
    let (staged, length, on_disk) = (staged.clone(), *length, *on_disk);
    let adoption = Adoption { segment, length, time: group.now, namespace: namespace.clone(), part };
    let now = group.now;
    let object = object.as_ref().map(|(object, length)| {
        let shipment = Shipment { segment, made: true, length: *length, object: object.clone() };
        crate::ship::log_in(group, &shipment)
    });
    group.append(adoption.to_record());
    group.coming.insert(segment);
    // By what was seen above: a record found bad since then keeps its name, as it does when the log is read again.
    group.adopt(&adoption, trailer, |_, hash| Ok(held.contains(hash)))?;
    let disk = Arc::clone(&group.core.disk);
    group.after_sync.push(Box::new(move |core| {
        let path = if object.is_some() { stub_path(segment) } else { segment_path(segment) };
        disk.rename(&staged, &path).at("adopt part", &path)?;
        disk.sync_directory(SEGMENTS).at("sync directory", SEGMENTS)?;
        disk.sync_directory(STAGING).at("sync directory", STAGING)?;
        if let (Some(archive), Some(object)) = (&core.archive, object) {
            archive.set(segment, Some(object));
            core.files.set_stub(segment, Some(on_disk));
        }
        core.heat.add(segment);
        core.heat.touch_whole(segment, now);
        core.heat.marked(segment, now, false);
        core.usage.segments.fetch_add(on_disk, Ordering::Relaxed);
        Ok(())
    }));
    Ok(Vec::new())
}

/// Bytes of a segment, piece by piece. The file stays readable while this lives, even if the segment is evicted.
pub struct SegmentReader {
    core: Arc<Core>,
    segment: u32,
    file: Arc<dyn DiskFile>,
    at: u64,
    end: u64,
}

impl SegmentReader {
    /// Whether the segment is in the bucket only.
    pub(crate) fn waits_for_bucket(&self) -> bool {
        self.core.files.stub(self.segment).is_some()
    }
}

impl Iterator for SegmentReader {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Result<Bytes>> {
        if self.at >= self.end {
            return None;
        }
        let mut piece = vec![0; (self.end - self.at).min(PIECE) as usize];
        let read = match crate::disk::read_exact_at(&*self.file, &mut piece, self.at) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.core.object_vanished(self.segment);
                let message = format!("segment {}: its object is gone from the bucket", self.segment);
                Err(Error::new(ErrorKind::Corrupt, "read segment", message))
            }
            read => read.at("read segment", &self.core.files.path(self.segment)),
        };
        self.at = if read.is_ok() { self.at + piece.len() as u64 } else { self.end };
        Some(read.map(|()| piece.into()))
    }
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentReader").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

/// The least bytes of a part: a header and one record.
const PART_MIN: u64 = (SEGMENT_HEADER.len() + RECORD_HEADER_LEN) as u64;
