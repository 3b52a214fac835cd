//! Bodies of HTTP messages and streams of blobs, and the ranges between them.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, RANGE};
use http_body::{Body as _, Frame, SizeHint};
use larder_base::{BlobStream, ByteRange, Error, ErrorKind};

/// The body of a request as a stream of a blob's bytes. A client that goes away in the middle is
/// [`ErrorKind::Unavailable`].
pub fn stream_of_body(body: Body) -> BlobStream {
    Box::pin(Incoming(body))
}

struct Incoming(Body);

impl Stream for Incoming {
    type Item = larder_base::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(frame) = std::task::ready!(Pin::new(&mut self.0).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            match frame {
                // Trailers carry nothing that we know.
                Ok(frame) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Err(error) => {
                    return Poll::Ready(Some(Err(Error::new(
                        ErrorKind::Unavailable,
                        "read body",
                        "the client went away before the end",
                    )
                    .with_source(error))));
                }
            }
        }
    }
}

/// A response's body of exactly `length` bytes. Its length is announced, so that a client tells a broken transfer from a
/// whole one, and a small body leaves in one write with its head.
pub fn body_of(stream: BlobStream, length: u64) -> Body {
    Body::new(Outgoing { stream, left: length })
}

struct Outgoing {
    stream: BlobStream,
    left: u64,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match std::task::ready!(self.stream.as_mut().poll_next(context)) {
            None => {
                return Poll::Ready(Some(Err(Error::new(ErrorKind::Corrupt, "send body", "the blob ended too early"))));
            }
            Some(piece) => piece?,
        };
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Poll::Ready(Some(Err(Error::new(ErrorKind::Corrupt, "send body", "the blob went on too long")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The `Content-Length` of a request, where it has one.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What a `Range` header asks of a body of a known size (RFC 9110, section 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeHeader {
    /// No range, or one that may be ignored (several ranges, another unit, malformed): answer 200 with everything.
    Whole,
    /// One range that the body has: answer 206 with `offset` to `offset + length - 1`.
    Part {
        /// The first byte.
        offset: u64,
        /// How many bytes; never 0.
        length: u64,
    },
    /// A range that begins behind the end: answer 416.
    Unsatisfiable,
}

impl RangeHeader {
    /// The bytes to read.
    pub fn as_byte_range(self) -> ByteRange {
        match self {
            Self::Part { offset, length } => ByteRange { offset, length: Some(length) },
            Self::Whole | Self::Unsatisfiable => ByteRange::ALL,
        }
    }
}

/// Reads the `Range` header of a request for a body of `size` bytes.
pub fn range_of(headers: &HeaderMap, size: u64) -> RangeHeader {
    let spec = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("bytes="));
    let Some((first, last)) = spec.filter(|spec| !spec.contains(',')).and_then(|spec| spec.trim().split_once('-'))
    else {
        return RangeHeader::Whole;
    };
    let number = |digits: &str| digits.parse::<u64>().ok();
    let (offset, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => (first, size),
        // `bytes=-n`: the last n bytes.
        (None, Some(suffix)) if first.is_empty() && suffix > 0 => (size.saturating_sub(suffix), size),
        (None, Some(_)) if first.is_empty() => return RangeHeader::Unsatisfiable,
        _ => return RangeHeader::Whole,
    };
    if offset >= size { RangeHeader::Unsatisfiable } else { RangeHeader::Part { offset, length: end - offset } }
}

#[cfg(test)]
mod tests;
