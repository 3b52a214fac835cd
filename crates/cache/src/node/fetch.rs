//! Records from above: passed on as soon as they are those that were asked for, by name and checksum, and all put by before the
//! last one is.
//!
//! Whoever reads records verifies them, as [`Segments::read`](larder_base::Segments::read) shows bytes as they lie. Here they
//! count for nothing until they are [proved](super::unproved).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{BlobStream, ContentHash, Error, ErrorKind, Namespace, PartName, Result, UploadId, stream_of};
use tokio::time::{Instant, timeout};

use super::blobs::patience;
use super::plan::{Planned, Run};
use super::turns::Turn;
use super::unproved::Fetching;
use super::{ANSWER, Node, add};

/// Fewer bytes are put chunk by chunk, into the segment that is being filled: a segment of their own is a file.
const SEGMENT_MIN_BYTES: u64 = 1 << 20;

/// A run on its way.
struct Fetch {
    node: Node,
    run: Run,
    expected: VecDeque<Planned>,
    body: BlobStream,
    /// What came and was not looked at.
    ahead: Bytes,
    /// The beginning of something whose end has not come.
    begun: BytesMut,
    has_begun: bool,
    /// What was passed on.
    records: Vec<Bytes>,
    contents: Vec<(ContentHash, Bytes)>,
    /// How long the upstream may still take: the reader's own pace is no fault of its.
    patience: Duration,
    /// When the reader was last given something.
    given: Instant,
    /// Whether the reader once let the upstream wait for so long that this may have ended the answer.
    was_slow: bool,
    _turn: Option<Turn<(Namespace, ContentHash)>>,
    _fetching: Fetching,
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
            ahead: Bytes::new(),
            begun: BytesMut::new(),
            has_begun: false,
            records: Vec::new(),
            contents: Vec::new(),
            _turn: turn,
            _fetching: self.fetching(),
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

    /// Keeps the chunks of a run: as many as make a segment are put by to be proved later, the contents of fewer were opened.
    /// That they cannot be kept is no matter of who reads them.
    async fn keep(&self, run: &Run, records: Vec<Bytes>, contents: Vec<(ContentHash, Bytes)>) {
        let (local, length) = (&self.inner.local, run.bytes());
        add(&self.inner.counts.bytes_down, length);
        let kept = if length < SEGMENT_MIN_BYTES {
            let put = |(hash, content): (ContentHash, Bytes)| async move {
                let size = content.len() as u64;
                local.blobs.put(&run.namespace, Some(&hash), Some(size), stream_of(content)).await.map(drop)
            };
            future::try_join_all(contents.into_iter().map(put)).await.map(drop)
        } else {
            self.put_by(run, records).await
        };
        if let Err(error) = kept {
            tracing::debug!(%error, "records from above could not be kept");
        }
        if !self.inner.copies.lock().is_empty() {
            self.wake_pushing();
        }
    }

    async fn put_by(&self, run: &Run, records: Vec<Bytes>) -> Result<()> {
        let unproved = &self.inner.unproved;
        let name = PartName { upload: self.new_part(), number: PartName::PUT_BY };
        let length = SEGMENT_HEADER.len() as u64 + run.bytes();
        if !self.prove_to_fit(length, run.records.len()).await {
            let message = "as much as may wait to be proved does, and is not proved in time";
            return Err(Error::new(ErrorKind::Unavailable, "put records by", message));
        }
        let pieces = std::iter::once(Bytes::from_static(&SEGMENT_HEADER)).chain(records).map(Ok);
        let expected = unproved.expect(&name);
        let body = stream::iter(pieces.collect::<Vec<_>>()).boxed();
        self.inner.local.segments.receive(&name, length, body).await?;
        expected.arrived(&run.namespace, length, run.hashes());
        self.wake_proving();
        Ok(())
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
    /// The next records: all that have come whole in one piece, or one that has come in several.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(first) = self.expected.front().map(|record| record.length as usize) else { return Ok(None) };
        if !self.has_begun {
            self.has_begun = true;
            self.await_bytes(SEGMENT_HEADER.len()).await?;
            if self.take(SEGMENT_HEADER.len()) != SEGMENT_HEADER[..] {
                return Err(self.wrong("the answer is no segment"));
            }
        }
        self.await_bytes(first).await?;
        let length = if self.begun.is_empty() { self.whole_records() } else { first };
        let records = self.take(length);
        let mut rest = records.clone();
        while let Some(expected) = self.expected.pop_front_if(|_| !rest.is_empty()) {
            self.check(&rest.split_to(expected.length as usize), &expected)?;
        }
        self.records.push(records.clone());
        if self.expected.is_empty() {
            // Before the last bytes leave: a reader that has them all never asks for more.
            let (records, contents) = (std::mem::take(&mut self.records), std::mem::take(&mut self.contents));
            self.node.keep(&self.run, records, contents).await;
        }
        Ok(Some(records))
    }

    /// Bytes of the records that have come whole.
    fn whole_records(&self) -> usize {
        let ends = self.expected.iter().scan(0, |end, record| {
            *end += record.length as usize;
            Some(*end)
        });
        ends.take_while(|end| *end <= self.ahead.len()).last().unwrap_or_default()
    }

    fn check(&mut self, record: &Bytes, expected: &Planned) -> Result<()> {
        let head = record.first_chunk().expect("a plan has no record shorter than its header");
        let header = RecordHeader::decode(head).map_err(|bad| self.wrong(bad))?;
        let is_expected = header.kind == RecordKind::Chunk
            && header.hash == expected.digest.hash
            && header.record_len() == expected.length
            && u64::from(header.raw_len) == expected.digest.size;
        if !is_expected {
            // One that is gone is left out, and one may lie there in another form by now: no lie, but no use either.
            return Err(Error::new(ErrorKind::Unavailable, "read records", "they have moved; locate them again"));
        }
        let body = record.slice(RECORD_HEADER_LEN..);
        if self.run.bytes() < SEGMENT_MIN_BYTES {
            let content = header.open_chunk(&body).map_err(|bad| self.wrong(bad))?;
            self.contents.push((header.hash, content));
            return Ok(());
        }
        header.check_body(&body).map_err(|bad| self.wrong(bad))
    }

    async fn await_bytes(&mut self, length: usize) -> Result<()> {
        while self.begun.len() + self.ahead.len() < length {
            let asked = Instant::now();
            let came = timeout(self.patience, self.body.next()).await;
            self.patience = self.patience.saturating_sub(asked.elapsed());
            let problem = match came {
                Ok(Some(Ok(piece))) => {
                    self.begun.extend_from_slice(&self.ahead);
                    self.ahead = piece;
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
        Ok(())
    }

    /// Bytes that have come; no copy of those that came in one piece.
    fn take(&mut self, length: usize) -> Bytes {
        if self.begun.is_empty() {
            return self.ahead.split_to(length);
        }
        let rest = self.ahead.split_to(length - self.begun.len());
        self.begun.extend_from_slice(&rest);
        self.begun.split().freeze()
    }

    /// What came is not what was asked for.
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        let error = Error::new(ErrorKind::Corrupt, "read records", format!("the upstream sent wrong bytes: {what}"));
        add(&self.node.inner.counts.bad, 1);
        self.node.inner.circuit.failed(&error);
        error
    }
}
