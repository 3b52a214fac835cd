//! The rows of the index; `docs/format.md` has the table.

use std::ops::Deref;

use bytes::Bytes;
use larder_base::segment::{Codec, RECORD_HEADER_LEN, RecordKind};
use larder_base::{Attributes, ContentHash, Digest, Result, Timestamp};

use crate::body::{Origin, read_attributes, read_inline, write_attributes, write_inline};
use crate::codec::{Reader, Writer};

mod object;

pub(crate) use object::{ObjectRow, ObjectState};

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    /// Which record of its segment it is, from 0.
    pub(crate) ordinal: u32,
}

/// Where a blob is and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    /// [`RecordKind::Chunk`] or [`RecordKind::Recipe`].
    pub(crate) kind: RecordKind,
    pub(crate) codec: Codec,
    pub(crate) place: Place,
    pub(crate) stored_len: u32,
    /// Bytes of the blob.
    pub(crate) size: u64,
    /// Ids of the namespaces that have it.
    pub(crate) namespaces: Vec<u32>,
}

impl BlobRow {
    /// Bytes of the record, header included.
    pub(crate) fn record_len(&self) -> u64 {
        RECORD_HEADER_LEN as u64 + u64::from(self.stored_len)
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(26 + 4 * self.namespaces.len());
        row.u8(self.kind.code());
        row.u8(self.codec.code());
        row.u32(self.place.segment);
        row.u32(self.place.offset);
        row.u32(self.stored_len);
        row.u32(self.place.ordinal);
        row.u64(self.size);
        for id in &self.namespaces {
            row.u32(*id);
        }
        row.0.into()
    }

    /// The segment that an encoded row is of.
    pub(crate) fn segment_of(row: &[u8]) -> Result<u32> {
        let mut reader = Reader::new(row, "row of table blobs");
        reader.bytes(2)?;
        reader.u32()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(row, "row of table blobs");
        let kind = RecordKind::from_code(reader.u8()?).ok_or_else(|| reader.malformed())?;
        let codec = Codec::from_code(reader.u8()?).ok_or_else(|| reader.malformed())?;
        let segment = reader.u32()?;
        let offset = reader.u32()?;
        let stored_len = reader.u32()?;
        let place = Place { segment, offset, ordinal: reader.u32()? };
        let size = reader.u64()?;
        let mut namespaces = Vec::with_capacity(reader.remaining() / 4);
        while reader.remaining() > 0 {
            namespaces.push(reader.u32()?);
        }
        Ok(Self { kind, codec, place, stored_len, size, namespaces })
    }
}

/// What the index keeps of an entry; its links are in a table of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRow {
    pub(crate) last_served: Timestamp,
    pub(crate) revision: u64,
    pub(crate) created: Timestamp,
    pub(crate) segment: u32,
    pub(crate) ordinal: u32,
    pub(crate) links: u32,
    pub(crate) blob: Digest,
    pub(crate) writer: String,
    pub(crate) attributes: Attributes,
    pub(crate) inline: Option<Bytes>,
    /// The whole key when the row's key holds only its beginning, else empty.
    pub(crate) long_key: String,
}

impl EntryRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(160 + self.inline.as_ref().map_or(0, Bytes::len));
        row.u64(self.last_served.as_millis());
        row.u64(self.revision);
        row.u64(self.created.as_millis());
        row.u32(self.segment);
        row.u32(self.ordinal);
        row.u32(self.links);
        row.hash(&self.blob.hash);
        row.u64(self.blob.size);
        row.text(&self.writer);
        write_attributes(&mut row, &self.attributes);
        write_inline(&mut row, self.inline.as_ref());
        row.text(&self.long_key);
        row.0.into()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(row, "row of table entries");
        let row = Self {
            last_served: Timestamp::from_millis(reader.u64()?),
            revision: reader.u64()?,
            created: Timestamp::from_millis(reader.u64()?),
            segment: reader.u32()?,
            ordinal: reader.u32()?,
            links: reader.u32()?,
            blob: Digest { hash: reader.hash()?, size: reader.u64()? },
            writer: reader.text()?.to_owned(),
            attributes: read_attributes(&mut reader)?,
            inline: read_inline(&mut reader)?,
            long_key: reader.text()?.to_owned(),
        };
        reader.end()?;
        Ok(row)
    }

    /// The segment that an encoded row is of: the fourth field, behind three of 8 bytes.
    pub(crate) fn segment_of(row: &[u8]) -> Result<u32> {
        let mut reader = Reader::new(row, "row of table entries");
        reader.bytes(24)?;
        reader.u32()
    }

    /// Whether an encoded row is of this revision: that is the second field.
    pub(crate) fn has_revision(row: &[u8], revision: u64) -> bool {
        row.get(8..16) == Some(&revision.to_le_bytes())
    }

    /// An encoded row with another time of last service: that is the first field so that it can be changed alone.
    pub(crate) fn with_last_served(row: &[u8], time: Timestamp) -> Vec<u8> {
        let mut row = row.to_vec();
        if let Some(field) = row.first_chunk_mut::<8>() {
            *field = time.as_millis().to_le_bytes();
        }
        row
    }
}

/// The bytes of a key that stand in the index key.
const KEY_HEAD_LEN: usize = 400;

/// Where the rows of an entry are: its address, with the ids of the names. LMDB's keys have at most 511 bytes, so a longer
/// key ends in a hash of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryKey {
    pub(crate) namespace: u32,
    bytes: Vec<u8>,
}

impl EntryKey {
    pub(crate) fn new(namespace: u32, scope: u32, door: u32, key: &str) -> Self {
        let mut bytes = entry_scan_start(&[namespace, scope, door], key);
        if key.len() > KEY_HEAD_LEN {
            bytes.extend_from_slice(&ContentHash::of(key.as_bytes()).as_bytes()[..16]);
        }
        Self { namespace, bytes }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Deref for EntryKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What the index keys begin with of all entries under these ids whose key begins with `prefix`.
pub(crate) fn entry_scan_start(ids: &[u32], prefix: &str) -> Vec<u8> {
    let head = &prefix.as_bytes()[..prefix.len().min(KEY_HEAD_LEN)];
    let mut out = Vec::with_capacity(ids.len() * 4 + head.len() + 16);
    for id in ids {
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(head);
    out
}

/// The ids and the key that an entry's row and its index key tell.
pub(crate) fn split_entry_key(key: &[u8], row: &EntryRow) -> Result<([u32; 3], String)> {
    let mut reader = Reader::new(key, "key of table entries");
    let mut id = || Ok::<_, larder_base::Error>(reader.u32()?.swap_bytes());
    let ids = [id()?, id()?, id()?];
    if !row.long_key.is_empty() {
        return Ok((ids, row.long_key.clone()));
    }
    let rest = reader.bytes(reader.remaining())?;
    Ok((ids, std::str::from_utf8(rest).map_err(|_| reader.malformed())?.to_owned()))
}

/// The whole key, when the index key cannot hold it.
pub(crate) fn long_key(key: &str) -> String {
    if key.len() > KEY_HEAD_LEN { key.to_owned() } else { String::new() }
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    pub(crate) origin: Origin,
    pub(crate) sealed: bool,
    pub(crate) length: u64,
    pub(crate) records: u32,
    /// When something in it was last written or first promised in a span of time.
    pub(crate) touched: Timestamp,
    /// When a record in it was last promised to stay where it is.
    pub(crate) held: Timestamp,
}

impl SegmentRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(30);
        row.u8(self.origin.code());
        row.u8(u8::from(self.sealed));
        row.u64(self.length);
        row.u32(self.records);
        row.u64(self.touched.as_millis());
        row.u64(self.held.as_millis());
        row.0.into()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(row, "row of table segments");
        let row = Self {
            origin: Origin::from_code(reader.u8()?).ok_or_else(|| reader.malformed())?,
            sealed: reader.u8()? == 1,
            length: reader.u64()?,
            records: reader.u32()?,
            touched: Timestamp::from_millis(reader.u64()?),
            held: Timestamp::from_millis(reader.u64()?),
        };
        reader.end()?;
        Ok(row)
    }
}

/// How far the log has been taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) ordinal: u32,
}

impl Position {
    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(16);
        row.u32(self.segment);
        row.u64(self.offset);
        row.u32(self.ordinal);
        row.0.into()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(row, "position in table meta");
        let position = Self { segment: reader.u32()?, offset: reader.u64()?, ordinal: reader.u32()? };
        reader.end()?;
        Ok(position)
    }
}

/// A record set aside because it is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuarantineRow {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) time: Timestamp,
}

impl QuarantineRow {
    pub(crate) fn encode(&self) -> Bytes {
        let mut row = Writer::with_capacity(16);
        row.u32(self.segment);
        row.u32(self.offset);
        row.u64(self.time.as_millis());
        row.0.into()
    }
}

#[cfg(test)]
mod tests;
