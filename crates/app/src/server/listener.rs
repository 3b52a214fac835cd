//! Accepts connections and serves them, within limits, until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use larder_base::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::connection::Connection;
use super::open_files;
use super::patience::{Patience, Patient};

/// What a server allows at once.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at most, fewer where the process may open few files; a further one waits to be accepted.
    pub connections: usize,
    /// How long a connection may do nothing.
    pub patience: Patience,
    /// How long requests under way may still take when the server stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections: 16_384, patience: Patience::default(), drain: Duration::from_secs(10) }
    }
}

/// A bound listener: HTTP/1.1 and HTTP/2 without TLS on one port.
pub struct Listener {
    listener: TcpListener,
    limits: ServerLimits,
}

impl Listener {
    /// Binds an address. Raises the process's limit on open files as far as it may go: each connection is one.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the address is taken or not of this machine.
    pub async fn bind(address: SocketAddr, limits: ServerLimits) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|source| {
            Error::new(ErrorKind::Unavailable, "start server", format!("cannot listen on {address}"))
                .with_source(source)
                .with_hint("another server may be running there; choose another address with --listen")
        })?;
        let connections = limits.connections.min(open_files::connections(open_files::raise_limit()));
        Ok(Self { listener, limits: ServerLimits { connections, ..limits } })
    }

    /// The address that was bound, its port chosen if 0 was asked for.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|source| {
            Error::new(ErrorKind::Failed, "start server", "the socket has no address").with_source(source)
        })
    }

    /// Serves until `stop` is done, then lets requests under way end within the drain time.
    pub async fn serve(self, routes: Router, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let graceful = GracefulShutdown::new();
        let mut http = auto::Builder::new(TokioExecutor::new());
        // hyper counts the time between requests as part of the next head, so this is the limit of idleness.
        http.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.patience.idle).writev(true);
        http.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&room) => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut stop => break,
            };
            let Some((connection, permit)) = accepted else { continue };
            let service = TowerToHyperService::new(routes.clone());
            let serving = graceful.watch(http.serve_connection(TokioIo::new(connection), service).into_owned());
            connections.spawn(async move {
                if let Err(error) = serving.await {
                    // The client broke off, or spoke no HTTP: its matter, not the operator's.
                    debug!(%error, "connection ended");
                }
                drop(permit);
            });
        }
        drop(self.listener);
        info!("no new connections; finishing what is under way");
        if tokio::time::timeout(self.limits.drain, graceful.shutdown()).await.is_err() {
            warn!(
                seconds = self.limits.drain.as_secs(),
                "requests were still under way at the deadline and are cut off"
            );
        }
        // When this returns no request is at work on what is about to be closed.
        connections.shutdown().await;
    }

    async fn accept(&self, room: &Arc<Semaphore>) -> Option<(Patient<Connection>, OwnedSemaphorePermit)> {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        match self.listener.accept().await {
            Ok((stream, _)) => {
                let connection = Connection::new(stream).ok()?;
                Some((Patient::new(connection, self.limits.patience), permit))
            }
            Err(error) => {
                // Most likely out of file descriptors; a pause lets connections end.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
