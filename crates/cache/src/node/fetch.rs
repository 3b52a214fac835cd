//! Records from above: each is checked before it is passed on, and all are kept before the last one is.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{BlobStream, ContentHash, Error, ErrorKind, Namespace, PartName, Result, UploadId, stream_of};
use tokio::time::{Instant, timeout};

use super::blobs::patience;
use super::plan::{Planned, Run};
use super::segments::segment_of;
use super::turns::Turn;
use super::{ANSWER, Node, add};

/// Fewer bytes are put chunk by chunk, into the segment that is being filled: a segment of their own is a file.
const SEGMENT_MIN_BYTES: u64 = 1 << 20;

/// A run on its way.
struct Fetch {
    node: Node,
    run: Run,
    expected: VecDeque<Planned>,
    body: BlobStream,
    ahead: BytesMut,
    has_begun: bool,
    records: Vec<Bytes>,
    contents: Vec<(ContentHash, Bytes)>,
    /// How long the upstream may still take: the reader's own pace is no fault of its.
    patience: Duration,
    /// When the reader was last given something.
    given: Instant,
    /// Whether the reader once let the upstream wait for so long that this may have ended the answer.
    was_slow: bool,
    _turn: Option<Turn<(Namespace, ContentHash)>>,
}

impl Node {
    /// Fetches a run.
    pub(super) async fn fetch(&self, run: Run, turn: Option<Turn<(Namespace, ContentHash)>>) -> Result<BlobStream> {
        let inner = &self.inner;
        let hashes = run.hashes();
        let opened = inner.circuit.ask(ANSWER, inner.above.bulk.fetch(&run.namespace, &hashes)).await;
        let Some(body) = opened else {
            inner.plans.forget(&run);
            return Err(Error::new(ErrorKind::Unavailable, "read records", "the upstream is away"));
        };
        let fetch = Fetch {
            node: self.clone(),
            expected: run.records.iter().copied().collect(),
            patience: patience(run.bytes()),
            given: Instant::now(),
            was_slow: false,
            run,
            body,
            ahead: BytesMut::new(),
            has_begun: false,
            records: Vec::new(),
            contents: Vec::new(),
            _turn: turn,
        };
        Ok(stream::try_unfold(fetch, |mut fetch| async move {
            fetch.was_slow |= fetch.given.elapsed() >= ANSWER;
            let next = fetch.next().await;
            fetch.given = Instant::now();
            match next {
                Ok(record) => Ok(record.map(|record| (record, fetch))),
                Err(error) => {
                    fetch.node.inner.plans.forget(&fetch.run);
                    Err(error)
                }
            }
        })
        .boxed())
    }

    /// Keeps chunks whose records were checked. That they cannot be kept is no matter of who reads them.
    async fn keep(&self, namespace: &Namespace, records: &[Bytes], contents: Vec<(ContentHash, Bytes)>) {
        let local = &self.inner.local;
        let length: u64 = records.iter().map(|record| record.len() as u64).sum();
        add(&self.inner.counts.bytes_down, length);
        let kept = if length < SEGMENT_MIN_BYTES {
            let put = |(hash, content): (ContentHash, Bytes)| async move {
                let size = content.len() as u64;
                local.blobs.put(namespace, Some(&hash), Some(size), stream_of(content)).await.map(drop)
            };
            future::try_join_all(contents.into_iter().map(put)).await.map(drop)
        } else {
            self.adopt_here(namespace, records).await
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "records from above could not be kept");
        }
        if !self.inner.copies.lock().is_empty() {
            self.wake_pushing();
        }
    }

    async fn adopt_here(&self, namespace: &Namespace, records: &[Bytes]) -> Result<()> {
        let segments = &self.inner.local.segments;
        let segment = segment_of(records);
        let part = PartName { upload: self.new_part(), number: 1 };
        let length = segment.len() as u64;
        segments.receive(&part, length, stream_of(segment)).await?;
        let adopted = segments.adopt(namespace, &part, length).await;
        if adopted.is_err() {
            segments.discard(&part.upload).await?;
        }
        adopted.map(drop)
    }

    /// A name that no other part has had: parts live in this store only, so nobody is to guess it.
    fn new_part(&self) -> UploadId {
        let count = self.inner.counts.parts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = ContentHash::of(format!("node part {count} {}", self.inner.clock.now()).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&name.as_bytes()[..16]);
        UploadId::from_random(bytes)
    }
}

impl Fetch {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(expected) = self.expected.pop_front() else { return Ok(None) };
        if !self.has_begun {
            self.has_begun = true;
            let header = self.take(SEGMENT_HEADER.len()).await?;
            if header != SEGMENT_HEADER[..] {
                return Err(self.wrong("the answer is no segment"));
            }
        }
        let record = self.take(expected.length as usize).await?;
        let head = record.first_chunk::<RECORD_HEADER_LEN>().expect("a plan has no record shorter than its header");
        let header = RecordHeader::decode(head).map_err(|bad| self.wrong(bad))?;
        let is_expected = header.kind == RecordKind::Chunk
            && header.hash == expected.digest.hash
            && header.record_len() == expected.length
            && u64::from(header.raw_len) == expected.digest.size;
        if !is_expected {
            // One that is gone is left out, and one may lie there in another form by now: no lie, but no use either.
            return Err(Error::new(ErrorKind::Unavailable, "read records", "they have moved; locate them again"));
        }
        let content = header.open_chunk(&record.slice(RECORD_HEADER_LEN..)).map_err(|bad| self.wrong(bad))?;
        self.records.push(record.clone());
        if self.run.bytes() < SEGMENT_MIN_BYTES {
            self.contents.push((header.hash, content));
        }
        if self.expected.is_empty() {
            // Before the last bytes leave: a reader that has them all never asks for more.
            let (records, contents) = (std::mem::take(&mut self.records), std::mem::take(&mut self.contents));
            self.node.keep(&self.run.namespace, &records, contents).await;
        }
        Ok(Some(record))
    }

    async fn take(&mut self, length: usize) -> Result<Bytes> {
        while self.ahead.len() < length {
            let asked = Instant::now();
            let came = timeout(self.patience, self.body.next()).await;
            self.patience = self.patience.saturating_sub(asked.elapsed());
            let problem = match came {
                Ok(Some(Ok(piece))) => {
                    self.ahead.extend_from_slice(&piece);
                    continue;
                }
                // That records are gone above is no reason to give it up.
                Ok(None) => {
                    let message = "fewer came than were located";
                    return Err(Error::new(ErrorKind::Unavailable, "read records", message));
                }
                Ok(Some(Err(error))) if self.was_slow => return Err(error),
                Ok(Some(Err(error))) => error,
                Err(_) => Error::new(ErrorKind::Unavailable, "read records", "they did not come in time"),
            };
            self.node.inner.circuit.failed(&problem);
            return Err(problem);
        }
        Ok(self.ahead.split_to(length).freeze())
    }

    /// What came is not what was asked for.
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        let error = Error::new(ErrorKind::Corrupt, "read records", format!("the upstream sent wrong bytes: {what}"));
        add(&self.node.inner.counts.bad, 1);
        self.node.inner.circuit.failed(&error);
        error
    }
}
