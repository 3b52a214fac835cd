//! The body of a request: bounded, counted, and read to its end even when nothing of it is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::EXPECT;
use larder_base::{BlobStream, Error, ErrorKind, Result};
use parking_lot::Mutex;

/// How much of a refused body is read, so that a client that sends before it listens gets to hear the refusal.
pub(crate) const REFUSED_MAX: u64 = 64 << 20;

/// A body on its way in. The cache takes its bytes as a stream; when the cache fails half way, what is left of the body is
/// still here to be drained: a connection with unread bytes cannot be used again, and a client that is still sending may
/// never see an early answer.
pub(crate) struct Upload {
    incoming: Arc<Mutex<Incoming>>,
    announced: Option<u64>,
    limit: u64,
    waits: bool,
}

struct Incoming {
    stream: BlobStream,
    received: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    ClientGone,
}

impl Upload {
    /// The body of a request with these headers, of which at most `limit` bytes are wanted.
    pub(crate) fn new(headers: &HeaderMap, body: Body, limit: u64) -> Self {
        let stream = larder_door::stream_of_body(body);
        Self {
            incoming: Arc::new(Mutex::new(Incoming { stream, received: 0, state: State::Open })),
            announced: larder_door::content_length(headers),
            limit,
            waits: headers.contains_key(EXPECT),
        }
    }

    /// The announced length, where there is one.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] when it is over the limit: nothing was read yet.
    pub(crate) fn announced(&self) -> Result<Option<u64>> {
        match self.announced {
            Some(length) if length > self.limit => Err(too_large(self.limit)),
            announced => Ok(announced),
        }
    }

    /// The bytes, ending in [`ErrorKind::TooLarge`] where the limit is crossed.
    pub(crate) fn stream(&self) -> BlobStream {
        Box::pin(Bounded { incoming: self.incoming.clone(), limit: self.limit })
    }

    /// Bytes read so far.
    pub(crate) fn received(&self) -> u64 {
        self.incoming.lock().received
    }

    /// Whether the client went away before the end of the body: nobody is there to be answered.
    pub(crate) fn client_is_gone(&self) -> bool {
        self.incoming.lock().state == State::ClientGone
    }

    /// Reads what is left and throws it away, at most `most` bytes; says whether that was all. A client that waits to be
    /// told to go on has sent nothing, and is not told.
    pub(crate) async fn drain(&self, most: u64) -> bool {
        let unread = self.incoming.lock().state == State::Open;
        if unread && self.waits && self.received() == 0 {
            return false;
        }
        let mut left = most;
        let mut rest = Bounded { incoming: self.incoming.clone(), limit: u64::MAX };
        while let Some(Ok(piece)) = rest.next().await {
            match left.checked_sub(piece.len() as u64) {
                Some(still) => left = still,
                None => return false,
            }
        }
        true
    }
}

struct Bounded {
    incoming: Arc<Mutex<Incoming>>,
    limit: u64,
}

impl Stream for Bounded {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut incoming = self.incoming.lock();
        if incoming.state != State::Open {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(incoming.stream.as_mut().poll_next(context));
        match &piece {
            None => incoming.state = State::Ended,
            Some(Err(_)) => incoming.state = State::ClientGone,
            Some(Ok(bytes)) => {
                incoming.received += bytes.len() as u64;
                if incoming.received > self.limit {
                    return Poll::Ready(Some(Err(too_large(self.limit))));
                }
            }
        }
        Poll::Ready(piece)
    }
}

fn too_large(limit: u64) -> Error {
    let limit = larder_door::ByteCount(limit);
    Error::new(ErrorKind::TooLarge, "read value", format!("the value has more than {limit}"))
        .with_hint("raise max_value in [door.http] if values of this size should be cached")
}

#[cfg(test)]
mod tests;
