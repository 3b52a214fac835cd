//! Bodies of HTTP messages and streams of blobs, and the ranges between them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, RANGE};
use http_body::{Body as _, Frame, SizeHint};
use larder_base::{BlobStream, ByteRange, Error, ErrorKind};
use tokio::time::{Instant, Sleep};

/// How long a client may send nothing in the middle of a body.
const STALL: Duration = Duration::from_secs(60);

/// The body of a request as a stream of a blob's bytes. A client that goes away in the middle, or that sends nothing for
/// 60 s while more is wanted, is [`ErrorKind::Unavailable`]; nothing follows an error.
pub fn stream_of_body(body: Body) -> BlobStream {
    Box::pin(Incoming { body: Some(body), stall: None, is_waiting: false })
}

struct Incoming {
    /// `None` after an error.
    body: Option<Body>,
    /// Made when the client is waited for the first time; most bodies are there at once.
    stall: Option<Pin<Box<Sleep>>>,
    /// Whether `stall` runs: it does from the first time that nothing was there until something is.
    is_waiting: bool,
}

impl Incoming {
    /// The next frame, or that the client has taken too long over it. Time in which nobody asks does not count: then it
    /// is we who are slow.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<larder_base::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            self.is_waiting = false;
            let gone = |error| {
                Error::new(ErrorKind::Unavailable, "read body", "the client went away before the end")
                    .with_source(error)
            };
            return Poll::Ready(frame.map(|frame| frame.map_err(gone)));
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        if !self.is_waiting {
            self.is_waiting = true;
            stall.as_mut().reset(Instant::now() + STALL);
        }
        std::task::ready!(stall.as_mut().poll(context));
        let message = format!("the client sent nothing for {} s", STALL.as_secs());
        Poll::Ready(Some(Err(Error::new(ErrorKind::Unavailable, "read body", message))))
    }
}

impl Stream for Incoming {
    type Item = larder_base::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::task::ready!(self.poll_frame(context)) {
                None => return Poll::Ready(None),
                // Trailers carry nothing that we know.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(error)));
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
