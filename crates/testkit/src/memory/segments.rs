//! Segments in memory: received parts as they came, and one segment made for each blob that is located without one.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use larder_base::segment::{
    BadRecord, DEFAULT_LEVEL, RECORD_HEADER_LEN, Record, RecordHeader, RecordKind, SEGMENT_HEADER,
};
use larder_base::{
    Adopted, BlobStream, BoxFuture, ByteRange, ContentHash, Digest, Error, Located, Namespace, PartName, Result,
    SegmentRange, Segments, TransferUrl, UploadId, chunk,
};

use super::blobs::stream_range;
use super::{Memory, State, digest_of_kept};

impl Segments for Memory {
    fn locate<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<Located>>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            Ok(hashes.iter().filter_map(|hash| state.locate(namespace, hash)).collect())
        })
    }

    fn read(&self, segment: u64, range: ByteRange) -> BoxFuture<'_, Result<Option<BlobStream>>> {
        Box::pin(async move {
            let state = self.state.lock();
            let kept = usize::try_from(segment).ok().and_then(|number| state.segments.get(number));
            Ok(kept.map(|bytes| stream_range(bytes, range)))
        })
    }

    fn receive<'a>(&'a self, part: &'a PartName, length: u64, body: BlobStream) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let bytes = receive_exactly(part, length, body).await?;
            self.state.lock().waiting.insert(part.clone(), bytes);
            Ok(())
        })
    }

    fn read_urls<'a>(
        &'a self,
        ranges: &'a [SegmentRange],
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>> {
        Box::pin(async { Ok(vec![None; ranges.len()]) })
    }

    fn receive_url<'a>(&'a self, _: &'a PartName, _: u64, _: Duration) -> BoxFuture<'a, Result<Option<TransferUrl>>> {
        Box::pin(async { Ok(None) })
    }

    fn adopt<'a>(
        &'a self,
        namespace: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>> {
        Box::pin(async move {
            // Verified under the lock: of two that adopt one part, the second must find it gone.
            let mut state = self.state.lock();
            let Some(bytes) = state.waiting.get(part).cloned() else { return Ok(None) };
            if bytes.len() as u64 != length {
                let message = format!("{part}: {length} bytes were announced and {} came", bytes.len());
                return Err(Error::invalid("adopt part", message));
            }
            let chunks = verify(part, &bytes)?;
            state.waiting.remove(part);
            Ok(Some(state.adopt(namespace, bytes, chunks)))
        })
    }

    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>> {
        Box::pin(async move {
            let state = self.state.lock();
            let asked = state.waiting.keys().filter(|part| upload.is_none_or(|upload| part.upload == *upload));
            Ok(asked.cloned().collect())
        })
    }

    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.state.lock().waiting.retain(|part, _| part.upload != *upload);
            Ok(())
        })
    }
}

/// A verified record of a part.
struct PartChunk {
    digest: Digest,
    offset: u64,
    length: u64,
    content: Bytes,
}

impl State {
    fn locate(&mut self, namespace: &Namespace, hash: &ContentHash) -> Option<Located> {
        let content = self.blob(namespace, hash)?.clone();
        if content.len() > chunk::MAX_LEN {
            return None;
        }
        if let Some(located) = self.records.get(hash) {
            return Some(*located);
        }
        let record = Record::chunk(*hash, content.clone(), DEFAULT_LEVEL);
        let mut bytes = BytesMut::new();
        bytes.put_slice(&SEGMENT_HEADER);
        bytes.put_slice(&record.header.encode());
        bytes.put_slice(&record.body);
        let located = Located {
            digest: digest_of_kept(*hash, &content),
            segment: self.segments.len() as u64,
            offset: SEGMENT_HEADER.len() as u64,
            length: record.len(),
        };
        self.segments.push(bytes.freeze());
        self.records.insert(*hash, located);
        Some(located)
    }

    fn adopt(&mut self, namespace: &Namespace, bytes: Bytes, chunks: Vec<PartChunk>) -> Adopted {
        let mut adopted = Adopted { stored_bytes: bytes.len() as u64, ..Adopted::default() };
        let segment = self.segments.len() as u64;
        self.segments.push(bytes);
        for PartChunk { digest, offset, length, content } in chunks {
            adopted.records += 1;
            adopted.raw_bytes += digest.size;
            self.records.insert(digest.hash, Located { digest, segment, offset, length });
            self.keep(namespace, digest.hash, content);
        }
        adopted
    }
}

async fn receive_exactly(part: &PartName, length: u64, mut body: BlobStream) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > length {
            return Err(Error::invalid("receive part", format!("{part} has more than the {length} bytes announced")));
        }
    }
    if (bytes.len() as u64) < length {
        let message = format!("{part} ended after {} of the {length} bytes announced", bytes.len());
        return Err(Error::invalid("receive part", message));
    }
    Ok(bytes.freeze())
}

/// The chunks of a part, every one verified down to its hash.
fn verify(part: &PartName, bytes: &Bytes) -> Result<Vec<PartChunk>> {
    if !bytes.starts_with(&SEGMENT_HEADER) {
        return Err(Error::invalid("adopt part", format!("{part} does not begin with the header of a segment")));
    }
    let mut chunks = Vec::new();
    let mut at = SEGMENT_HEADER.len();
    while at < bytes.len() {
        let chunk = verify_record(bytes, at).map_err(|refusal| {
            let message = format!("the record at byte {at} of {part} is refused");
            Error::invalid("adopt part", message).with_source(refusal)
        })?;
        // No longer than what is in memory.
        at += chunk.length as usize;
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn verify_record(bytes: &Bytes, at: usize) -> Result<PartChunk, BadRecord> {
    let header = bytes[at..].first_chunk::<RECORD_HEADER_LEN>().ok_or(BadRecord::Magic)?;
    let header = RecordHeader::decode(header)?;
    if header.kind != RecordKind::Chunk {
        return Err(BadRecord::Field("a part holds chunks only"));
    }
    let body_at = at + RECORD_HEADER_LEN;
    let end = body_at + header.stored_len as usize;
    if end > bytes.len() {
        return Err(BadRecord::Body);
    }
    let content = header.open_chunk(&bytes.slice(body_at..end))?;
    let digest = digest_of_kept(header.hash, &content);
    Ok(PartChunk { digest, offset: at as u64, length: header.record_len(), content })
}
