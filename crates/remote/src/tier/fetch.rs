//! Records that are fetched: by URLs where the Larder above gives any, several side by side; the others through it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response};
use larder_base::segment::{BadRecord, RECORD_HEADER_LEN, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{BlobStream, BoxFuture, ContentHash, Error, ErrorKind, Namespace, Result, stream_of};
use larder_proto::tier::{HASHES_MAX, Run, RunsAnswer};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::direct::add;
use super::transfer::in_pieces;
use super::{UpstreamTier, hash_of, json, listed, unreadable};
use crate::signed_url::SignedUrl;

/// The most bytes of the list of runs.
const RUNS_MAX_BYTES: usize = 32 << 20;
/// The most bytes of a run that is fetched by URL: all of it is in memory.
const RUN_MAX_BYTES: u64 = 16 << 20;
/// Runs that one fetch gets side by side.
const AT_ONCE: usize = 4;
/// How long all runs by URL of one fetch may be waited for, and the pace at which they come at least, in bytes a second. A
/// reader gets nothing meanwhile, and one of ours gives up after 10 s without a byte: for the 8 MiB that it asks for at once
/// there has to be time left to get them through the Larder above.
const PATIENCE: Duration = Duration::from_secs(3);
const PACE: u64 = 2 << 20;
/// A reader that lets a fetch wait for so long may be why its transfers failed.
const SLOW: Duration = Duration::from_secs(2);

impl UpstreamTier {
    pub(super) async fn fetch_segment(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<BlobStream> {
        if hashes.len() > HASHES_MAX {
            let message = format!("{} records were asked for at once; {HASHES_MAX} are the most", hashes.len());
            return Err(Error::new(ErrorKind::TooLarge, "fetch records", message));
        }
        let path = if self.direct.down.is_open() { "records?urls=true" } else { "records" };
        let answer = self.open_records(namespace, path, hashes).await?;
        if !is_json(&answer) {
            return Ok(answer.into_body());
        }
        let runs = larder_base::collect(answer.into_body(), RUNS_MAX_BYTES).await?;
        let waiting = self.stretches(namespace, hashes, &json(&runs)?)?;
        let by_url = waiting.iter().map(|stretch| if let Stretch::ByUrl(run) = stretch { run.length } else { 0 });
        let gathering = Gathering {
            patience: PATIENCE + Duration::from_secs(by_url.sum::<u64>() / PACE),
            waiting,
            tier: self.clone(),
            namespace: namespace.clone(),
            coming: FuturesOrdered::new(),
            current: stream_of(Bytes::from_static(&SEGMENT_HEADER)),
            room: None,
            given: Instant::now(),
            was_slow: false,
        };
        Ok(Box::pin(stream::try_unfold(gathering, |mut gathering| async move {
            gathering.was_slow |= gathering.given.elapsed() >= SLOW;
            let piece = gathering.next().await?;
            gathering.given = Instant::now();
            Ok(piece.map(|piece| (piece, gathering)))
        })))
    }

    async fn open_records(
        &self,
        namespace: &Namespace,
        path: &str,
        hashes: &[ContentHash],
    ) -> Result<Response<BlobStream>> {
        let answer = self.open(&self.call(Method::POST, namespace, path, listed(hashes))).await?;
        answer.ok_or_else(|| unreadable("the upstream has no call for records"))
    }

    /// Records through the Larder above, without the header of a segment.
    async fn served(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<BlobStream> {
        let mut body = self.open_records(namespace, "records", hashes).await?.into_body();
        let mut left = SEGMENT_HEADER.len();
        while left > 0 {
            let cut = || Error::new(ErrorKind::Unavailable, "fetch records", "the answer is too short for a segment");
            let mut piece = body.next().await.ok_or_else(cut)??;
            let header = piece.split_to(left.min(piece.len()));
            if header != SEGMENT_HEADER[SEGMENT_HEADER.len() - left..][..header.len()] {
                return Err(unreadable("the answer is no segment"));
            }
            left -= header.len();
            if !piece.is_empty() {
                return Ok(Box::pin(stream_of(piece).chain(body)));
            }
        }
        Ok(body)
    }

    /// How to get what was asked for, in order.
    fn stretches(
        &self,
        namespace: &Namespace,
        hashes: &[ContentHash],
        answer: &RunsAnswer,
    ) -> Result<VecDeque<Stretch>> {
        // What is absent, and then what was asked for before.
        let mut passed: HashSet<ContentHash> = answer.absent.iter().map(|hash| hash_of(hash)).collect::<Result<_>>()?;
        let mut there = hashes.iter().copied().filter(|hash| passed.insert(*hash));
        let mut stretches = VecDeque::new();
        for Run { records, length, url, headers } in &answer.runs {
            let hashes: Vec<ContentHash> = there.by_ref().take(*records).collect();
            if hashes.len() != *records {
                return Err(unreadable("more records are told of than were asked for"));
            }
            match url {
                Some(url) if *length <= RUN_MAX_BYTES => {
                    let url = SignedUrl::new(&self.server, &format!("tier/v1/{namespace}"), url, headers)?;
                    stretches.push_back(Stretch::ByUrl(ByUrl { url, length: *length, hashes }));
                }
                _ => push_served(&mut stretches, hashes),
            }
        }
        if there.next().is_some() {
            return Err(unreadable("fewer records are told of than were asked for"));
        }
        Ok(stretches)
    }
}

/// Some of the records that were asked for, one behind the other.
enum Stretch {
    ByUrl(ByUrl),
    Served(Vec<ContentHash>),
}

struct ByUrl {
    url: SignedUrl,
    length: u64,
    hashes: Vec<ContentHash>,
}

fn push_served(stretches: &mut VecDeque<Stretch>, hashes: Vec<ContentHash>) {
    if let Some(Stretch::Served(before)) = stretches.back_mut() {
        before.extend(hashes);
    } else {
        stretches.push_back(Stretch::Served(hashes));
    }
}

/// A fetch under way.
struct Gathering {
    tier: UpstreamTier,
    namespace: Namespace,
    waiting: VecDeque<Stretch>,
    coming: FuturesOrdered<BoxFuture<'static, Arrived>>,
    /// What the reader gets now.
    current: BlobStream,
    /// The room that this takes.
    room: Option<OwnedSemaphorePermit>,
    /// How long the runs that come by URL may still be waited for: the reader's own pace is no fault of theirs.
    patience: Duration,
    /// When the reader was last given something.
    given: Instant,
    was_slow: bool,
}

/// A run by URL that has come, or is to come another way.
struct Arrived {
    run: Result<Bytes, (Failed, Vec<ContentHash>)>,
    room: Option<OwnedSemaphorePermit>,
}

/// Why a run did not come by its URL.
enum Failed {
    Not(Error),
    Wrong(BadRecord),
}

impl Gathering {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(piece) = self.current.next().await {
                return piece.map(Some);
            }
            self.room = None;
            self.order();
            let asked = Instant::now();
            let arrived = self.coming.next().await;
            self.patience = self.patience.saturating_sub(asked.elapsed());
            self.current = match arrived {
                Some(Arrived { run: Ok(run), room }) => {
                    self.tier.direct.down.succeeded();
                    add(&self.tier.direct.counts.bytes_down, run.len() as u64);
                    self.room = room;
                    in_pieces(stream_of(run))
                }
                Some(Arrived { run: Err((failed, hashes)), .. }) => {
                    self.note(&failed);
                    self.tier.served(&self.namespace, &hashes).await?
                }
                None => match self.waiting.pop_front() {
                    Some(Stretch::Served(hashes) | Stretch::ByUrl(ByUrl { hashes, .. })) => {
                        self.tier.served(&self.namespace, &hashes).await?
                    }
                    None => return Ok(None),
                },
            };
        }
    }

    /// Begins to fetch the runs that come next, as far as there is room. What is next has room always: no reader waits for
    /// another's.
    fn order(&mut self) {
        if self.patience.is_zero() && !self.waiting.is_empty() {
            self.tier.direct.down.failed();
        }
        if !self.tier.direct.down.is_open() {
            let mut rest = VecDeque::new();
            for stretch in self.waiting.drain(..) {
                let (Stretch::Served(hashes) | Stretch::ByUrl(ByUrl { hashes, .. })) = stretch;
                push_served(&mut rest, hashes);
            }
            self.waiting = rest;
        }
        while let Some(Stretch::ByUrl(run)) = self.waiting.front() {
            let room = if self.coming.is_empty() {
                None
            } else {
                let bytes = u32::try_from(run.length).expect("a longer run is not fetched by URL");
                let room = self.tier.direct.ahead.clone().try_acquire_many_owned(bytes).ok();
                if self.coming.len() >= AT_ONCE || room.is_none() {
                    return;
                }
                room
            };
            let Some(Stretch::ByUrl(run)) = self.waiting.pop_front() else { return };
            let (tier, patience) = (self.tier.clone(), self.patience);
            self.coming.push_back(Box::pin(async move {
                let ByUrl { url, length, hashes } = run;
                let run = tier.get_run(&url, length, &hashes, patience).await.map_err(|failed| (failed, hashes));
                Arrived { run, room }
            }));
        }
    }

    fn note(&self, failed: &Failed) {
        let direct = &self.tier.direct;
        add(&direct.counts.failed, 1);
        match failed {
            Failed::Not(error) => tracing::debug!(%error, "records could not be fetched from the object store"),
            Failed::Wrong(bad) => {
                add(&direct.counts.wrong, 1);
                tracing::warn!(%bad, "the object store sent other bytes than what was asked for");
            }
        }
        if !self.was_slow || matches!(failed, Failed::Wrong(_)) {
            direct.down.failed();
        }
    }
}

impl UpstreamTier {
    async fn get_run(
        &self,
        url: &SignedUrl,
        length: u64,
        hashes: &[ContentHash],
        patience: Duration,
    ) -> Result<Bytes, Failed> {
        let no = |message| Failed::Not(Error::new(ErrorKind::Unavailable, "fetch records", message));
        let fetching = async {
            let limit = usize::try_from(length).unwrap_or(usize::MAX);
            match url.get(&self.http, length).await? {
                Some(body) => larder_base::collect(body, limit).await.map(Some),
                None => Ok(None),
            }
        };
        match timeout(patience, fetching).await {
            Ok(Ok(Some(run))) => check(&run, hashes).map(|()| run).map_err(Failed::Wrong),
            Ok(Ok(None)) => Err(no("the URL is not good")),
            Ok(Err(error)) => Err(Failed::Not(error)),
            Err(_) => Err(no("they did not come in time")),
        }
    }
}

/// Whether a run is the records of these chunks, by the names and checksums that they carry. That a chunk hashes to its name is
/// for who opens it to see.
fn check(run: &[u8], hashes: &[ContentHash]) -> Result<(), BadRecord> {
    let mut rest = run;
    for hash in hashes {
        let header = RecordHeader::decode(rest.first_chunk().ok_or(BadRecord::Magic)?)?;
        if header.kind != RecordKind::Chunk || header.hash != *hash {
            return Err(BadRecord::Field("name"));
        }
        let length = usize::try_from(header.record_len()).map_err(|_| BadRecord::Field("length"))?;
        let body = rest.get(RECORD_HEADER_LEN..length).ok_or(BadRecord::Body)?;
        header.check_body(body)?;
        rest = &rest[length..];
    }
    if rest.is_empty() { Ok(()) } else { Err(BadRecord::Field("end")) }
}

/// Whether an answer is a list of runs rather than a segment.
fn is_json(answer: &Response<BlobStream>) -> bool {
    answer.headers().get(CONTENT_TYPE).is_some_and(|value| value == HeaderValue::from_static("application/json"))
}
