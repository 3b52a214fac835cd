//! Connections to sockets in the file system.
//!
//! The client names a server by scheme and host, so the path of a socket stands in the place of the host, in hexadecimal.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tower::Service;

/// The scheme of such a URL.
pub(crate) const SCHEME: &str = "unix";

/// The host that stands for a path.
pub(crate) fn host_of(path: &str) -> String {
    path.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The path that a host stands for.
pub(crate) fn path_of(host: &str) -> Option<PathBuf> {
    let digits = host.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes: Option<Vec<u8>> =
        digits.chunks_exact(2).map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect();
    String::from_utf8(bytes?).ok().map(PathBuf::from)
}

/// Connects to the socket that a URL's host stands for.
#[derive(Clone, Debug)]
pub(super) struct UnixConnector {
    /// How long a connection may take to be made.
    pub(super) patience: Duration,
}

impl Service<Uri> for UnixConnector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let patience = self.patience;
        Box::pin(async move {
            let path = path_of(url.host().unwrap_or_default())
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the URL names no socket"))?;
            match tokio::time::timeout(patience, UnixStream::connect(&path)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the socket takes no connection")),
            }
        })
    }
}
