//! Answers. Each announces its length, and a small body leaves in one write with its head.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{ACCEPT_RANGES, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use larder_base::{Blob, BlobStream, Error, ErrorKind, Result};

/// The type of a value that no one told the type of.
pub(crate) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// 200 and nothing else.
pub(crate) fn done() -> Response {
    Response::new(Body::empty())
}

/// 404 and nothing else.
pub(crate) fn miss() -> Response {
    status(StatusCode::NOT_FOUND)
}

/// A status and nothing else.
pub(crate) fn status(status: StatusCode) -> Response {
    let mut response = done();
    *response.status_mut() = status;
    response
}

/// A status and a reason for people.
pub(crate) fn explained(code: StatusCode, reason: String) -> Response {
    let mut response = Response::new(Body::from(reason));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    if code == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"larder\""));
    }
    response
}

/// Tells the client that the connection ends: bytes of its request stay unread.
pub(crate) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 200 and a value that is here.
pub(crate) fn whole(value: Bytes, content_type: HeaderValue) -> Response {
    let mut response = Response::new(Body::from(value));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The answer to HEAD for a value of `size` bytes.
pub(crate) fn head(size: u64, content_type: HeaderValue) -> Response {
    let mut response = done();
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// 200 and all of a blob.
///
/// # Errors
/// Those of the blob's first piece: what breaks before the first byte can still be answered for.
pub(crate) async fn blob(blob: Blob, content_type: HeaderValue) -> Result<Response> {
    let mut response = Response::new(body(blob.body, blob.digest.size).await?);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// 206 and `length` bytes of a blob from `offset`; the blob was read with just that range.
///
/// # Errors
/// As [`blob`].
pub(crate) async fn part(blob: Blob, offset: u64, length: u64, content_type: HeaderValue) -> Result<Response> {
    let mut response = Response::new(body(blob.body, length).await?);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let range = format!("bytes {offset}-{}/{}", offset + length - 1, blob.digest.size);
    let headers = response.headers_mut();
    headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("numbers and ASCII make a header"));
    headers.insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// 416: the range that was asked for begins behind the end of `size` bytes.
pub(crate) fn unsatisfiable(size: u64) -> Response {
    let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
    let range = HeaderValue::from_str(&format!("bytes */{size}")).expect("numbers and ASCII make a header");
    response.headers_mut().insert(CONTENT_RANGE, range);
    response
}

/// Says that ranges of this may be asked for.
pub(crate) fn with_ranges(mut response: Response) -> Response {
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

async fn body(mut pieces: BlobStream, length: u64) -> Result<Body> {
    if length == 0 {
        return Ok(Body::empty());
    }
    let Some(first) = pieces.next().await else {
        return Err(Error::new(ErrorKind::Corrupt, "read value", format!("none of its {length} bytes are there")));
    };
    let first = first?;
    // The usual case: one piece is all of it.
    if first.len() as u64 == length {
        return Ok(Body::from(first));
    }
    Ok(larder_door::body_of(Box::pin(stream::iter([Ok(first)]).chain(pieces)), length))
}
