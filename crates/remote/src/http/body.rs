//! Bodies: sent so that progress can be watched, received so that a stall ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use larder_base::{BlobStream, Error, ErrorKind};
use tokio::time::{Instant, timeout};

/// Bytes that are handed to the connection at once; what is handed over counts as progress.
const PIECE_LEN: usize = 256 * 1024;

/// When something last moved.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The body of a request, with its length announced.
pub(super) struct Sending {
    rest: Bytes,
    progress: Progress,
}

impl Sending {
    pub(super) fn new(body: Bytes, progress: Progress) -> Self {
        Self { rest: body, progress }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.progress.note();
        let length = self.rest.len().min(PIECE_LEN);
        let piece = self.rest.split_to(length);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The body of an answer; [`ErrorKind::Unavailable`] when it breaks off or nothing comes for `idle`.
pub(super) fn receiving(body: Incoming, idle: Duration) -> BlobStream {
    let broken = |message: String| Error::new(ErrorKind::Unavailable, "read answer", message);
    Box::pin(stream::try_unfold(body, move |mut body| async move {
        loop {
            let frame = match timeout(idle, body.frame()).await {
                Err(_) => return Err(broken(format!("nothing came for {} s", idle.as_secs()))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(broken("the connection broke in the middle".to_owned()).with_source(error));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers carry nothing that we know.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some((data, body)));
            }
        }
    }))
}
