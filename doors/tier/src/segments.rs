//! Many chunks in one body, both ways.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{
    Adopted, BlobStream, ByteRange, Error, ErrorKind, Located, PartName, Result, SegmentRange, UploadId, collect,
};
use larder_cache::Caller;
use larder_door::{body_of, content_length, stream_of_body};
use larder_proto::tier::{Place, SEGMENT_MAX_BYTES, SMALL_BYTES, SegmentAnswer};
use serde::Deserialize;

use crate::Tier;
use crate::failure::Failure;
use crate::request::{Asker, Hashes};
use crate::runs::{Records, by_url, runs};
use crate::small;

/// `POST locate`: the records that can be fetched, in the order in which they lie.
pub(crate) async fn locate(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Hashes(hashes): Hashes,
) -> Result<Vec<u8>, Failure> {
    let mut located = tier.cache.locate(&caller, &hashes).await?;
    located.sort_unstable_by_key(|record| (record.segment, record.offset));
    located.dedup_by_key(|record| record.digest.hash);
    let mut answer = Vec::new();
    for record in &located {
        let Located { digest, length, .. } = record;
        Place { hash: digest.hash.to_key(), size: digest.size, length: *length }.write(&mut answer);
    }
    Ok(answer)
}

/// Which way records are to come.
#[derive(Debug, Deserialize)]
pub(crate) struct Way {
    /// Whether the caller fetches what it can by URL, if it is given one.
    #[serde(default)]
    urls: bool,
}

/// `POST records`: a segment of the records of these hashes, in the order asked. What is gone is left out. With `urls`, it is
/// told where some of them can be fetched, if they can.
pub(crate) async fn records(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    way: Result<Query<Way>, QueryRejection>,
    Hashes(hashes): Hashes,
) -> Result<Response, Failure> {
    let Query(Way { urls }) = way.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let located = tier.cache.locate(&caller, &hashes).await?;
    let runs = runs(&hashes, &located);
    if urls && let Some(answer) = by_url(&tier.cache, &hashes, &located, &runs).await? {
        return Ok(Json(answer).into_response());
    }
    let length = SEGMENT_HEADER.len() as u64 + runs.iter().map(|run| run.range.length).sum::<u64>();
    tier.cache.counters().bytes_out(tier.cache.name(), length);
    let cache = tier.cache.clone();
    let read = move |Records { range: SegmentRange { segment, offset, length }, .. }| {
        let cache = cache.clone();
        async move {
            let range = ByteRange { offset, length: Some(length) };
            let moved = || Error::new(ErrorKind::Unavailable, "read records", "they have moved; locate them again");
            cache.read_segment(segment, range).await?.ok_or_else(moved)
        }
    };
    let bodies = stream::iter(runs).then(read).flat_map(|body| match body {
        Ok(body) => body,
        Err(error) => Box::pin(stream::once(async { Err(error) })) as BlobStream,
    });
    let header = stream::once(async { Ok(Bytes::from_static(&SEGMENT_HEADER)) });
    Ok(body_of(Box::pin(header.chain(bodies)), length).into_response())
}

/// `PUT segment`: a segment whose chunks are wanted here. It is kept as it lies, once every record is verified, unless it is
/// [small].
pub(crate) async fn receive(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SegmentAnswer>, Failure> {
    tier.cache.check_sends(&caller)?;
    let length = content_length(&headers).ok_or_else(|| Failure::invalid("a segment announces its length"))?;
    check_length(length)?;
    let adopted = if length < SMALL_BYTES {
        let segment = collect(stream_of_body(body), SMALL_BYTES as usize).await?;
        if segment.len() as u64 != length {
            let message = format!("{length} bytes were announced and {} came", segment.len());
            return Err(Error::invalid("receive segment", message).into());
        }
        small::put_all(&tier.cache, &caller, &segment).await?
    } else {
        adopt(&tier, &caller, length, body).await?
    };
    tier.cache.counters().bytes_in(tier.cache.name(), length);
    Ok(Json(told(&adopted)))
}

/// Refuses a segment that is too long to be taken, however it comes.
pub(crate) fn check_length(length: u64) -> Result<()> {
    if length <= SEGMENT_MAX_BYTES {
        return Ok(());
    }
    let message = format!("a segment may have {SEGMENT_MAX_BYTES} bytes here, not {length}");
    Err(Error::new(ErrorKind::TooLarge, "receive segment", message))
}

/// What is said of a segment that was taken.
pub(crate) fn told(adopted: &Adopted) -> SegmentAnswer {
    let Adopted { records, stored_bytes, raw_bytes } = *adopted;
    SegmentAnswer { records, stored_bytes, raw_bytes }
}

/// Keeps a segment as it lies.
async fn adopt(tier: &Tier, caller: &Caller, length: u64, body: Body) -> Result<Adopted> {
    let part = PartName { upload: tier.new_upload()?, number: 1 };
    tier.cache.receive_part(&part, length, stream_of_body(body)).await?;
    let adopted = tier.cache.adopt_part(caller, &part, length).await;
    if adopted.is_err() {
        // What is not adopted is of no use; if this fails too, the next sweep of waiting parts takes it.
        tier.cache.discard_parts(&part.upload).await?;
    }
    let swept = || Error::new(ErrorKind::Unavailable, "receive segment", "it was taken for an orphan; send it again");
    adopted?.ok_or_else(swept)
}

impl Tier {
    /// A name that nobody can guess and that was never used: of the signer's secret, the time and a count.
    pub(crate) fn new_upload(&self) -> Result<UploadId> {
        let count = self.received.fetch_add(1, Ordering::Relaxed);
        let signature = self.cache.signer().sign(&format!("tier segment {count}"), self.cache.clock().now());
        signature[..32].parse()
    }
}
