//! Bodies: sent so that progress can be watched, received so that a stall ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// When something last moved, and what went wrong at our end.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

struct State {
    last: Instant,
    failure: Option<Error>,
}

impl Progress {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(State { last: Instant::now(), failure: None })))
    }

    pub(super) fn last(&self) -> Instant {
        self.state().last
    }

    /// Why the source of the body failed, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.state().failure.take()
    }

    fn note(&self) {
        self.state().last = Instant::now();
    }

    fn fail(&self, error: Error) {
        self.state().failure = Some(error);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request carries. It can be made anew for each try.
#[derive(Clone)]
pub(crate) enum Payload {
    /// Bytes that are here.
    Whole(Bytes),
    /// Bytes that are read while they are sent: `length` of them, from a stream that can be opened again.
    Read { length: u64, open: Arc<dyn Fn() -> BlobStream + Send + Sync> },
    /// Bytes that come once, as many as there are.
    Once(Arc<Mutex<Option<BlobStream>>>),
}

impl Payload {
    /// How many bytes are known to be sent.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Read { length, .. } => *length,
            Self::Once(_) => 0,
        }
    }
}

/// The body of a request, with its length announced where it is known.
pub(super) struct Sending {
    source: Source,
    rest: Option<u64>,
    progress: Progress,
}

enum Source {
    Bytes(Bytes),
    Stream(BlobStream),
}

impl Sending {
    pub(super) fn new(payload: &Payload, progress: Progress) -> Self {
        let source = match payload {
            Payload::Whole(bytes) => Source::Bytes(bytes.clone()),
            Payload::Read { open, .. } => Source::Stream(open()),
            Payload::Once(stream) => {
                let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
                Source::Stream(stream.unwrap_or_else(|| larder_base::stream_of(Bytes::new())))
            }
        };
        let rest = (!matches!(payload, Payload::Once(_))).then(|| payload.length());
        Self { source, rest, progress }
    }

    /// A piece that the source gave, checked against what was announced.
    fn piece(&mut self, piece: Option<larder_base::Result<Bytes>>) -> Option<larder_base::Result<Bytes>> {
        let short = |what: &str| Error::invalid("send body", format!("the source has {what} bytes than it announced"));
        let checked = match (piece, self.rest) {
            (None, None | Some(0)) => return None,
            (None, Some(_)) => Err(short("fewer")),
            (Some(Ok(piece)), Some(rest)) if piece.len() as u64 > rest => Err(short("more")),
            (Some(piece), _) => piece,
        };
        match &checked {
            Ok(piece) => self.rest = self.rest.map(|rest| rest - piece.len() as u64),
            // The connection reports only that a body failed; why is kept where the sender looks.
            Err(error) => self.progress.fail(Error::new(error.kind(), error.operation(), error.message())),
        }
        Some(checked)
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.progress.note();
        let piece = match &mut self.source {
            Source::Bytes(bytes) => {
                let length = bytes.len().min(PIECE_LEN);
                let piece = bytes.split_to(length);
                (!piece.is_empty()).then_some(Ok(piece))
            }
            Source::Stream(stream) => match stream.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(piece) => piece,
            },
        };
        Poll::Ready(self.piece(piece).map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.map_or_else(SizeHint::default, SizeHint::with_exact)
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
