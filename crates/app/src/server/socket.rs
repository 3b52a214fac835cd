//! Sockets that are listened on, and the connections that come over them.

use std::future::poll_fn;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use larder_base::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::connection::Connection;
use crate::config::{ListenAddress, SocketMode};

/// A bound socket.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// A socket in the file system; its name is taken away when it is dropped.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Best effort: a name that stays is taken over by the next server.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Binds an address.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it is taken or not of this machine.
    pub(super) async fn bind(address: &ListenAddress, mode: SocketMode) -> Result<Self> {
        let bound = match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            ListenAddress::Unix(path) => bind_unix(path, mode).await.map(Self::Unix),
        };
        bound.map_err(|source| {
            Error::new(ErrorKind::Unavailable, "start server", format!("cannot listen on {address}"))
                .with_source(source)
                .with_hint("another server may be running there; choose another address with --listen")
        })
    }

    /// The address that was bound, its port chosen if 0 was asked for.
    ///
    /// # Errors
    /// When the socket is gone.
    pub(super) fn address(&self) -> Result<ListenAddress> {
        match self {
            Self::Unix(socket) => Ok(ListenAddress::Unix(socket.path.clone())),
            Self::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp).map_err(|source| {
                Error::new(ErrorKind::Failed, "start server", "the socket has no address").with_source(source)
            }),
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Idle>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map(|accepted| accepted?.0.into_std().map(Idle::Tcp)),
            Self::Unix(socket) => {
                socket.listener.poll_accept(context).map(|accepted| accepted?.0.into_std().map(Idle::Unix))
            }
        }
    }
}

/// The next connection of any of the sockets.
pub(super) async fn accept(sockets: &[Socket]) -> io::Result<Idle> {
    poll_fn(|context| {
        let accepted = sockets.iter().find_map(|socket| match socket.poll_accept(context) {
            Poll::Ready(accepted) => Some(accepted),
            Poll::Pending => None,
        });
        accepted.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Binds beside the name and then takes it: nobody connects before the permissions are right.
async fn bind_unix(path: &Path, mode: SocketMode) -> io::Result<UnixSocket> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name that is no socket"));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        // A server that was killed left it.
        Ok(_) => {}
    }
    let beside = path.with_file_name(format!(".larder-{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let taken = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode.0))
        .and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = taken {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    Ok(UnixSocket { listener, path: path.to_owned() })
}

/// A connection that is registered with no runtime.
pub(super) enum Idle {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Stream {
    /// Registers a connection with the runtime that this is called in.
    ///
    /// # Errors
    /// When it is gone, or the system refuses.
    pub(super) fn attend(idle: Idle) -> io::Result<Self> {
        match idle {
            Idle::Tcp(stream) => Connection::new(TcpStream::from_std(stream)?).map(Self::Tcp),
            Idle::Unix(stream) => UnixStream::from_std(stream).map(Self::Unix),
        }
    }
}

/// A connection of either kind.
pub(super) enum Stream {
    Tcp(Connection),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
