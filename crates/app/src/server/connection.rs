//! A client's TCP connection, with acknowledgements sent at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that re-arms `TCP_QUICKACK` after every read of less than a whole request.
///
/// Some clients (ccache's among them) send head and body of a request as two segments under Nagle's algorithm: the second
/// waits until the first is acknowledged, and a kernel that delays acknowledgements lets it wait 40 ms. The option
/// switches itself off again, so it is set after each read. The answer to a request that is there leaves at once and carries
/// the acknowledgement with it.
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
        if !read.is_empty() && !is_whole_request(read) {
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

/// Bytes in which the end of a head is looked for: a small request, and no more of a large body than costs nothing.
const HEAD_MAX: usize = 4096;

/// Whether these bytes are one request of HTTP/1 with all of its body, as far as can be told at a glance; if in doubt, no.
fn is_whole_request(bytes: &[u8]) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    const LENGTH: &[u8] = b"content-length:";
    let beginning = &bytes[..bytes.len().min(HEAD_MAX)];
    let Some(end) = beginning.windows(END.len()).position(|window| window == END) else { return false };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    // Else it is a later part of one.
    if !lines.next().is_some_and(|first| first.ends_with(b" HTTP/1.1") || first.ends_with(b" HTTP/1.0")) {
        return false;
    }
    let mut body = 0;
    for line in lines {
        let is = |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if is(b"transfer-encoding:") {
            return false;
        }
        if is(LENGTH) {
            let Some(length) = str::from_utf8(&line[LENGTH.len()..]).ok().and_then(|text| text.trim().parse().ok())
            else {
                return false;
            };
            body = length;
        }
    }
    bytes.len() - end - END.len() == body
}

#[cfg(test)]
mod tests;
