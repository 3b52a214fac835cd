//! A client's TCP connection, with acknowledgements sent at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that re-arms `TCP_QUICKACK` after every read of what may be part of a request with a body.
///
/// Some clients (ccache's among them) send head and body of a request as two segments under Nagle's algorithm: the second
/// waits until the first is acknowledged, and a kernel that delays acknowledgements lets it wait 40 ms. The option
/// switches itself off again, so it is set after each read.
pub(super) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Takes over an accepted stream; small writes leave it at once.
    ///
    /// # Errors
    /// When the socket is gone already.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let connection = Self { stream };
        connection.acknowledge_now();
        Ok(connection)
    }

    #[cfg(target_os = "linux")]
    fn acknowledge_now(&self) {
        // Best effort: without it the connection is slower, not wrong.
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
    }

    #[cfg(not(target_os = "linux"))]
    fn acknowledge_now(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = &buffer.filled()[before..];
        // The answer to a request without a body leaves at once and carries the acknowledgement with it.
        if !read.is_empty() && !read.starts_with(b"GET ") && !read.starts_with(b"HEAD ") {
            self.acknowledge_now();
        }
        outcome
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
