//! Blobs, one by one: those too large for a segment, and what is asked for by itself.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use larder_door::{RangeHeader, body_of, content_length, range_of, stream_of_body};
use larder_proto::tier::{BlobName, SIZE_HEADER};

use crate::Tier;
use crate::failure::Failure;
use crate::request::{Asker, Hashes, Named};

/// `GET blobs/{hash}`, with `Range` if only some bytes are wanted.
pub(crate) async fn get(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Named(hash): Named,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let hash = hash.ok_or_else(|| Failure::invalid("a blob is asked for by its hash"))?;
    let absent = || Failure::not_found("the namespace has no such blob");
    // How large it is decides what a range means, so a range costs a look first.
    let (status, wanted) = if headers.contains_key(http::header::RANGE) {
        let none = larder_base::ByteRange { offset: 0, length: Some(0) };
        let size = tier.cache.blob(&caller, &hash, none).await?.ok_or_else(absent)?.digest.size;
        match range_of(&headers, size) {
            RangeHeader::Unsatisfiable => {
                return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(SIZE_HEADER, size.to_string())]).into_response());
            }
            RangeHeader::Whole => (StatusCode::OK, larder_base::ByteRange::ALL),
            part @ RangeHeader::Part { .. } => (StatusCode::PARTIAL_CONTENT, part.as_byte_range()),
        }
    } else {
        (StatusCode::OK, larder_base::ByteRange::ALL)
    };
    let blob = tier.cache.blob(&caller, &hash, wanted).await?.ok_or_else(absent)?;
    let (_, length) = wanted.within(blob.digest.size);
    tier.cache.counters().bytes_out(tier.cache.name(), length);
    Ok((status, [(SIZE_HEADER, blob.digest.size.to_string())], body_of(blob.body, length)).into_response())
}

/// `PUT blobs/{hash}`, or `PUT blobs` to be told the hash.
pub(crate) async fn put(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Named(hash): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BlobName>, Failure> {
    tier.cache.check_sends(&caller)?;
    let length = content_length(&headers);
    let digest = tier.cache.put_blob(&caller, hash.as_ref(), length, stream_of_body(body)).await?;
    tier.cache.counters().bytes_in(tier.cache.name(), digest.size);
    Ok(Json(BlobName { hash: text_of(&digest.hash), size: digest.size }))
}

/// `POST missing`: those of the hashes in the body that the namespace lacks.
pub(crate) async fn missing(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Hashes(hashes): Hashes,
) -> Result<Vec<u8>, Failure> {
    let missing = tier.cache.missing(&caller, &hashes).await?;
    Ok(missing.iter().flat_map(larder_base::ContentHash::to_key).collect())
}

/// A hash as 66 hexadecimal digits.
pub(crate) fn text_of(hash: &larder_base::ContentHash) -> String {
    format!("{:02x}{hash}", hash.function().code())
}
