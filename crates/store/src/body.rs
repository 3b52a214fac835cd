//! The bodies of records; `docs/format.md` has the table.

use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::{Codec, RECORD_HEADER_LEN, Record, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{
    Attributes, ContentHash, Digest, Entry, EntryAddress, Error, INLINE_MAX_BYTES, Namespace, PartName, Result,
    Timestamp, UploadId,
};

use crate::codec::{Reader, Writer};

mod shipment;

pub(crate) use shipment::Shipment;

/// The chunks of a blob larger than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) size: u64,
    pub(crate) chunks: Vec<(ContentHash, u32)>,
}

impl Recipe {
    const LINE: usize = ContentHash::KEY_LEN + 4;

    pub(crate) fn to_record(&self, blob: ContentHash) -> Record {
        let mut body = Writer::with_capacity(12 + self.chunks.len() * Self::LINE);
        body.u64(self.size);
        body.count(self.chunks.len());
        for (hash, length) in &self.chunks {
            body.hash(hash);
            body.u32(*length);
        }
        Record::other(RecordKind::Recipe, Some(blob), body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "recipe record");
        let size = reader.u64()?;
        let count = reader.count(Self::LINE)?;
        let chunks: Vec<_> = (0..count).map(|_| Ok((reader.hash()?, reader.u32()?))).collect::<Result<_>>()?;
        reader.end()?;
        if chunks.iter().map(|(_, length)| u64::from(*length)).sum::<u64>() != size {
            return Err(reader.malformed());
        }
        Ok(Self { size, chunks })
    }
}

fn write_address(body: &mut Writer, address: &EntryAddress) {
    body.text(address.namespace.as_str());
    body.text(&address.scope.to_string());
    body.text(address.door.as_str());
    body.text(address.key.as_str());
}

fn read_address(reader: &mut Reader<'_>) -> Result<EntryAddress> {
    let malformed = |invalid: larder_base::InvalidName| {
        Error::new(larder_base::ErrorKind::Corrupt, "decode address", invalid.to_string())
    };
    Ok(EntryAddress {
        namespace: reader.text()?.parse().map_err(malformed)?,
        scope: reader.text()?.parse().map_err(malformed)?,
        door: reader.text()?.parse().map_err(malformed)?,
        key: reader.text()?.parse().map_err(malformed)?,
    })
}

pub(crate) fn write_attributes(body: &mut Writer, attributes: &Attributes) {
    body.u16(u16::try_from(attributes.len()).expect("attributes have at most 4096 bytes"));
    for (name, value) in attributes {
        body.text(name);
        body.text(value);
    }
}

pub(crate) fn read_attributes(reader: &mut Reader<'_>) -> Result<Attributes> {
    let count = reader.u16()?;
    (0..count).map(|_| Ok((reader.text()?.to_owned(), reader.text()?.to_owned()))).collect()
}

pub(crate) fn write_inline(body: &mut Writer, inline: Option<&Bytes>) {
    body.u8(u8::from(inline.is_some()));
    if let Some(value) = inline {
        body.u16(u16::try_from(value.len()).expect("an inline value has at most INLINE_MAX_BYTES"));
        body.bytes(value);
    }
}

pub(crate) fn read_inline(reader: &mut Reader<'_>) -> Result<Option<Bytes>> {
    match reader.u8()? {
        0 => Ok(None),
        1 => {
            let length = usize::from(reader.u16()?);
            if length > INLINE_MAX_BYTES {
                return Err(reader.malformed());
            }
            Ok(Some(Bytes::copy_from_slice(reader.bytes(length)?)))
        }
        _ => Err(reader.malformed()),
    }
}

/// An entry and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) address: EntryAddress,
    pub(crate) entry: Entry,
}

impl Placed {
    pub(crate) fn to_record(&self) -> Record {
        let entry = &self.entry;
        let mut body = Writer::with_capacity(256 + entry.links.len() * ContentHash::KEY_LEN);
        body.u64(entry.revision);
        body.u64(entry.created.as_millis());
        body.u64(entry.last_served.as_millis());
        write_address(&mut body, &self.address);
        body.hash(&entry.blob.hash);
        body.u64(entry.blob.size);
        body.text(&entry.writer);
        write_attributes(&mut body, &entry.attributes);
        write_inline(&mut body, entry.inline.as_ref());
        body.count(entry.links.len());
        for link in entry.links.iter() {
            body.hash(link);
        }
        Record::other(RecordKind::Entry, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "entry record");
        let revision = reader.u64()?;
        let created = Timestamp::from_millis(reader.u64()?);
        let last_served = Timestamp::from_millis(reader.u64()?);
        let address = read_address(&mut reader)?;
        let blob = Digest { hash: reader.hash()?, size: reader.u64()? };
        let writer = reader.text()?.to_owned();
        let attributes = read_attributes(&mut reader)?;
        let inline = read_inline(&mut reader)?;
        let count = reader.count(ContentHash::KEY_LEN)?;
        let links: Arc<[ContentHash]> = (0..count).map(|_| reader.hash()).collect::<Result<_>>()?;
        reader.end()?;
        let entry = Entry { blob, inline, attributes, links, writer, created, last_served, revision };
        Ok(Self { address, entry })
    }
}

/// An address that is empty from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) revision: u64,
    pub(crate) address: EntryAddress,
}

impl Removal {
    pub(crate) fn to_record(&self) -> Record {
        let mut body = Writer::default();
        body.u64(self.revision);
        write_address(&mut body, &self.address);
        Record::other(RecordKind::Removal, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "removal record");
        let removal = Self { revision: reader.u64()?, address: read_address(&mut reader)? };
        reader.end()?;
        Ok(removal)
    }
}

/// Blobs that a namespace has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) namespace: Namespace,
    pub(crate) hashes: Vec<ContentHash>,
}

impl Grant {
    /// The name of the record of a grant of nothing but what was written in the same group: it may go with its segment, and
    /// the trailer tells without a look at its body.
    pub(crate) const LOCAL: ContentHash = ContentHash::sha256([0xff; 32]);

    /// The record; `is_local` if all it names was written in the same group.
    pub(crate) fn to_record(&self, is_local: bool) -> Record {
        let mut body = Writer::with_capacity(140 + self.hashes.len() * ContentHash::KEY_LEN);
        body.text(self.namespace.as_str());
        body.count(self.hashes.len());
        for hash in &self.hashes {
            body.hash(hash);
        }
        Record::other(RecordKind::Grant, is_local.then_some(Self::LOCAL), body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "grant record");
        let namespace = reader.text()?.parse().map_err(|_| reader.malformed())?;
        let count = reader.count(ContentHash::KEY_LEN)?;
        let hashes = (0..count).map(|_| reader.hash()).collect::<Result<_>>()?;
        reader.end()?;
        Ok(Self { namespace, hashes })
    }
}

/// A segment made by a client that joins the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adoption {
    pub(crate) segment: u32,
    pub(crate) length: u64,
    pub(crate) time: Timestamp,
    pub(crate) namespace: Namespace,
    pub(crate) part: PartName,
}

impl Adoption {
    pub(crate) fn to_record(&self) -> Record {
        let mut body = Writer::default();
        body.u32(self.segment);
        body.u64(self.length);
        body.u64(self.time.as_millis());
        body.text(self.namespace.as_str());
        body.text(self.part.upload.as_str());
        body.u32(self.part.number);
        Record::other(RecordKind::Adoption, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "adoption record");
        let segment = reader.u32()?;
        let length = reader.u64()?;
        let time = Timestamp::from_millis(reader.u64()?);
        let namespace = reader.text()?.parse().map_err(|_| reader.malformed())?;
        let upload: UploadId = reader.text()?.parse()?;
        let part = PartName { upload, number: reader.u32()? };
        reader.end()?;
        Ok(Self { segment, length, time, namespace, part })
    }
}

/// Whose segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The store wrote it: part of the log.
    Log,
    /// A client made it.
    Adopted,
}

impl Origin {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Adopted => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Log),
            2 => Some(Self::Adopted),
            _ => None,
        }
    }
}

/// What a trailer says of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrailerLine {
    pub(crate) kind: RecordKind,
    pub(crate) codec: Codec,
    pub(crate) stored_len: u32,
    pub(crate) raw_len: u32,
    pub(crate) hash: ContentHash,
}

impl From<&RecordHeader> for TrailerLine {
    fn from(header: &RecordHeader) -> Self {
        Self {
            kind: header.kind,
            codec: header.codec,
            stored_len: header.stored_len,
            raw_len: header.raw_len,
            hash: header.hash,
        }
    }
}

impl TrailerLine {
    /// The line of a record of `length` bytes whose header is damaged: it keeps the others in their places and names
    /// nothing.
    pub(crate) fn unreadable(length: u64) -> Self {
        let stored_len = u32::try_from(length).expect("a record is shorter than 2^32 bytes") - RECORD_HEADER_LEN as u32;
        let hash = ContentHash::sha256([0; 32]);
        Self { kind: RecordKind::Commit, codec: Codec::Raw, stored_len, raw_len: stored_len, hash }
    }

    pub(crate) fn record_len(&self) -> u64 {
        RECORD_HEADER_LEN as u64 + u64::from(self.stored_len)
    }
}

/// The table at the end of a sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) origin: Origin,
    pub(crate) lines: Vec<TrailerLine>,
}

impl Trailer {
    const LINE: usize = 10 + ContentHash::KEY_LEN;
    /// Bytes at the very end of the segment that say where the trailer begins.
    pub(crate) const POINTER_LEN: usize = 8;

    /// The record, to be appended at `offset`.
    pub(crate) fn to_record(&self, offset: u64) -> Record {
        let mut body = Writer::with_capacity(13 + self.lines.len() * Self::LINE);
        body.u8(self.origin.code());
        body.count(self.lines.len());
        for line in &self.lines {
            body.u8(line.kind.code());
            body.u8(line.codec.code());
            body.u32(line.stored_len);
            body.u32(line.raw_len);
            body.hash(&line.hash);
        }
        body.u64(offset);
        Record::other(RecordKind::Trailer, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "trailer record");
        let origin = Origin::from_code(reader.u8()?).ok_or_else(|| reader.malformed())?;
        let count = reader.count(Self::LINE)?;
        let lines = (0..count)
            .map(|_| {
                Ok(TrailerLine {
                    kind: RecordKind::from_code(reader.u8()?).ok_or_else(|| reader.malformed())?,
                    codec: Codec::from_code(reader.u8()?).ok_or_else(|| reader.malformed())?,
                    stored_len: reader.u32()?,
                    raw_len: reader.u32()?,
                    hash: reader.hash()?,
                })
            })
            .collect::<Result<_>>()?;
        reader.u64()?;
        reader.end()?;
        Ok(Self { origin, lines })
    }

    /// Each line with its ordinal and the offset of its record.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (u32, u64, &TrailerLine)> {
        let mut offset = SEGMENT_HEADER.len() as u64;
        (0..).zip(&self.lines).map(move |(ordinal, line)| {
            let at = offset;
            offset += line.record_len();
            (ordinal, at, line)
        })
    }
}

/// The end of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) start: u64,
    pub(crate) synced: u64,
    pub(crate) time: Timestamp,
}

impl Commit {
    /// Bytes of the body.
    pub(crate) const LEN: usize = 24;

    pub(crate) fn to_record(self) -> Record {
        let mut body = Writer::with_capacity(Self::LEN);
        body.u64(self.start);
        body.u64(self.synced);
        body.u64(self.time.as_millis());
        Record::other(RecordKind::Commit, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "commit record");
        let commit = Self { start: reader.u64()?, synced: reader.u64()?, time: Timestamp::from_millis(reader.u64()?) };
        reader.end()?;
        Ok(commit)
    }
}

/// The record of an evicted segment.
pub(crate) fn eviction_record(segment: u32) -> Record {
    Record::other(RecordKind::Eviction, None, Bytes::copy_from_slice(&segment.to_le_bytes()))
}

/// The segment that an eviction record names.
pub(crate) fn decode_eviction(body: &[u8]) -> Result<u32> {
    let mut reader = Reader::new(body, "eviction record");
    let segment = reader.u32()?;
    reader.end()?;
    Ok(segment)
}

/// Segments of which something was promised to stay readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TouchMark {
    pub(crate) time: Timestamp,
    /// Records must stay where they are, too.
    pub(crate) held: bool,
    pub(crate) segments: Vec<u32>,
}

impl TouchMark {
    pub(crate) fn to_record(&self) -> Record {
        let mut body = Writer::with_capacity(13 + 4 * self.segments.len());
        body.u64(self.time.as_millis());
        body.u8(u8::from(self.held));
        body.count(self.segments.len());
        for segment in &self.segments {
            body.u32(*segment);
        }
        Record::other(RecordKind::Touch, None, body.0.into())
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body, "touch record");
        let time = Timestamp::from_millis(reader.u64()?);
        let held = reader.u8()? == 1;
        let count = reader.count(4)?;
        let segments = (0..count).map(|_| reader.u32()).collect::<Result<_>>()?;
        reader.end()?;
        Ok(Self { time, held, segments })
    }
}

#[cfg(test)]
mod tests;
