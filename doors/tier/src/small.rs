//! Small segments: their chunks go to the segment that the store is filling.
//!
//! Kept as it lies, a segment is a file, and an object where there is a bucket. A node sends what it has at the moment, often
//! a few kilobytes, and one file and one request to the bucket for each of these would be too much.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{Adopted, Error, Result, stream_of};
use larder_cache::{Caller, DoorCache};

/// Chunks that are put side by side: they share the syncs of the store.
const AT_ONCE: usize = 32;

/// Puts the chunks of a segment one by one, once all of them are verified.
pub(crate) async fn put_all(cache: &DoorCache, caller: &Caller, segment: &Bytes) -> Result<Adopted> {
    let records = records_of(segment)?;
    let mut raw_bytes = 0;
    // Opened twice: what a hostile one unpacks to is never in memory all at once.
    for record in &records {
        record.open()?;
        raw_bytes += u64::from(record.header.raw_len);
    }
    let put = |record: Found| async move {
        let content = record.open()?;
        let size = content.len() as u64;
        cache.put_blob(caller, Some(&record.header.hash), Some(size), stream_of(content)).await.map(drop)
    };
    let count = records.len() as u64;
    stream::iter(records).map(put).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(Adopted { records: count, stored_bytes: segment.len() as u64, raw_bytes })
}

/// A record as it was found.
struct Found {
    offset: usize,
    header: RecordHeader,
    body: Bytes,
}

impl Found {
    /// The chunk in it, which hashes to its name.
    fn open(&self) -> Result<Bytes> {
        self.header.open_chunk(&self.body).map_err(|bad| invalid(self.offset, bad))
    }
}

fn invalid(offset: usize, problem: impl std::fmt::Display) -> Error {
    Error::invalid("receive segment", format!("offset {offset}: {problem}"))
}

fn records_of(segment: &Bytes) -> Result<Vec<Found>> {
    if !segment.starts_with(&SEGMENT_HEADER) {
        return Err(invalid(0, "not a segment of a version that is known"));
    }
    let (mut records, mut offset) = (Vec::new(), SEGMENT_HEADER.len());
    while offset < segment.len() {
        let head = segment[offset..].first_chunk::<RECORD_HEADER_LEN>();
        let head = head.ok_or_else(|| invalid(offset, "the segment ends inside of a record"))?;
        let header = RecordHeader::decode(head).map_err(|bad| invalid(offset, bad))?;
        if header.kind != RecordKind::Chunk {
            return Err(invalid(offset, "only chunk records may be sent"));
        }
        let length = usize::try_from(header.record_len()).unwrap_or(usize::MAX);
        if length > segment.len() - offset {
            return Err(invalid(offset, "the segment ends inside of a record"));
        }
        let body = segment.slice(offset + RECORD_HEADER_LEN..offset + length);
        records.push(Found { offset, header, body });
        offset += length;
    }
    if records.is_empty() {
        return Err(invalid(offset, "a segment has at least one record"));
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
