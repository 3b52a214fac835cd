//! Where bytes move when there is no bucket: Larder's own signed URLs.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use larder_base::{ByteRange, Namespace, PartName, SegmentRange};
use larder_door::{body_of, content_length, stream_of_body};

use crate::Ci;
use crate::failure::Failure;
use crate::permission::{Permission, Signature};
use crate::request::{Asked, Segments};

/// `GET runs/{segment}/{offset}/{length}`
pub(crate) async fn send_run(
    State(ci): State<Ci>,
    segments: Segments,
    Asked(signature): Asked<Signature>,
) -> Result<Response, Failure> {
    let (segment, offset, length) =
        (segments.number("segment")?, segments.number("offset")?, segments.number("length")?);
    let namespace: Namespace = segments.text("namespace").parse()?;
    let range = SegmentRange { segment, offset, length };
    Permission::Read { namespace, range }.check(&ci, &signature)?;
    let stream = ci.cache().read_segment(segment, ByteRange { offset, length: Some(length) }).await?;
    let stream = stream.ok_or_else(|| {
        Failure::not_found("these bytes have moved").with_hint("locate the chunks again; the new URLs will be good")
    })?;
    ci.cache().counters().bytes_out(ci.cache().name(), length);
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
    ci.cache().receive_part(&part, length, stream_of_body(body)).await?;
    ci.cache().counters().bytes_in(ci.cache().name(), length);
    ci.arrivals().note(part);
    Ok(StatusCode::NO_CONTENT)
}
