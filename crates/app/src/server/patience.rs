//! How long a connection may do nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4); one of HTTP/1 differs within these bytes.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection may do nothing.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the opening until enough has come to tell HTTP/1 from HTTP/2.
    pub opening: Duration,
    /// Without a byte in either direction, between requests or while one is worked on.
    pub idle: Duration,
    /// While an answer is there to be sent and the client takes none of it.
    pub unread: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { opening: Duration::from_secs(30), idle: Duration::from_secs(10 * 60), unread: Duration::from_secs(60) }
    }
}

/// A connection that fails with [`io::ErrorKind::TimedOut`] once it has done nothing for too long.
///
/// HTTP's own limits begin only where HTTP does: not before the protocol is known, and not for what is written.
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    opened: Instant,
    /// When a byte last went either way.
    progress: Instant,
    /// How much of the preface has come; `None` once the protocol is known.
    opening: Option<usize>,
    /// Since when the client takes nothing.
    unread: Option<Instant>,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    /// A connection that opens now.
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        let opened = Instant::now();
        Self {
            stream,
            patience,
            opened,
            progress: opened,
            opening: Some(0),
            unread: None,
            read_timer: Box::pin(tokio::time::sleep_until(opened + patience.opening)),
            write_timer: Box::pin(tokio::time::sleep_until(opened + patience.unread)),
        }
    }

    fn has_read(&mut self, read: &[u8]) {
        self.progress = Instant::now();
        if let Some(matched) = self.opening {
            let rest = &PREFACE[matched..];
            self.opening = (read.len() < rest.len() && rest.starts_with(read)).then(|| matched + read.len());
        }
    }

    fn poll_read_timer(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            // What has happened since the timer was set is looked at when it rings, not set at each byte.
            let deadline = match self.opening {
                Some(_) => self.opened + self.patience.opening,
                None => self.progress + self.patience.idle,
            };
            if self.read_timer.deadline() != deadline && self.read_timer.deadline() <= Instant::now() {
                self.read_timer.as_mut().reset(deadline);
            }
            std::task::ready!(self.read_timer.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(late("the client sent nothing for too long"));
            }
        }
    }

    /// Passes on what a write did, or that the client has taken nothing for too long.
    fn bounded(&mut self, outcome: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.progress = Instant::now();
            self.unread = None;
            return outcome;
        }
        if self.unread.is_none() {
            let since = Instant::now();
            self.unread = Some(since);
            self.write_timer.as_mut().reset(since + self.patience.unread);
        }
        self.write_timer.as_mut().poll(context).map(|()| Err(late("the client read nothing for too long")))
    }
}

fn late(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.has_read(&buffer.filled()[before..]);
            return Poll::Ready(outcome);
        }
        self.poll_read_timer(context).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.bounded(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
