//! Where bytes move when there is no bucket: Larder's own signed URLs.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use larder_base::{BlobStream, ByteRange, Error, ErrorKind, Namespace, PartName};
use larder_door::{body_of, content_length, stream_of_body};

use crate::Ci;
use crate::failure::Failure;
use crate::permission::{Permission, Signature};
use crate::request::{Asked, Segments};

/// How long a client may send nothing in the middle of a part.
const STALL: Duration = Duration::from_secs(60);

/// `GET runs/{segment}/{offset}/{length}`
pub(crate) async fn send_run(
    State(ci): State<Ci>,
    segments: Segments,
    Asked(signature): Asked<Signature>,
) -> Result<Response, Failure> {
    let (segment, offset, length) =
        (segments.number("segment")?, segments.number("offset")?, segments.number("length")?);
    let namespace: Namespace = segments.text("namespace").parse()?;
    Permission::Read { namespace, segment, offset, length }.check(&ci, &signature)?;
    let stream = ci.cache().read_segment(segment, ByteRange { offset, length: Some(length) }).await?;
    let stream = stream.ok_or_else(|| {
        Failure::not_found("these bytes have moved").with_hint("locate the chunks again; the new URLs will be good")
    })?;
    ci.cache().counters().bytes_out(ci.cache().name().as_str(), length);
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body_of(stream, length)).into_response())
}

/// `PUT uploads/{upload}/parts/{number}/{length}`
pub(crate) async fn receive_part(
    State(ci): State<Ci>,
    segments: Segments,
    Asked(signature): Asked<Signature>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let part = PartName { upload: segments.upload()?, number: segments.number("number")? };
    let length: u64 = segments.number("length")?;
    let namespace: Namespace = segments.text("namespace").parse()?;
    Permission::Send { namespace, part: part.clone(), length }.check(&ci, &signature)?;
    if content_length(&headers) != Some(length) {
        let message = format!("this URL takes exactly {length} bytes, announced by Content-Length");
        return Err(Failure::invalid(message).with_hint("ask for the part's URL again with the length it has"));
    }
    ci.uploads().still_open(&part.upload).await?;
    ci.cache().receive_part(&part, length, bounded_in_time(stream_of_body(body))).await?;
    ci.cache().counters().bytes_in(ci.cache().name().as_str(), length);
    ci.arrivals().note(part);
    Ok(StatusCode::NO_CONTENT)
}

/// A client that has vanished without a word must not hold a part for ever.
fn bounded_in_time(body: BlobStream) -> BlobStream {
    Box::pin(stream::try_unfold(body, |mut body| async move {
        match tokio::time::timeout(STALL, body.next()).await {
            Ok(piece) => Ok(piece.transpose()?.map(|piece| (piece, body))),
            Err(_) => {
                let message = format!("the client sent nothing for {} s", STALL.as_secs());
                Err(Error::new(ErrorKind::Unavailable, "receive part", message))
            }
        }
    }))
}
