//! Accepts connections and serves them, within limits, until told to stop.

use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use larder_base::Result;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{info, warn};

use super::open_files;
use super::patience::Patience;
use super::socket::{Idle, Socket, accept};
use super::workers::{Arrival, Workers};
use crate::config::{Listen, ListenAddress, SocketMode};

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

/// Bound sockets: HTTP/1.1 and HTTP/2 without TLS on each.
pub struct Listener {
    sockets: Vec<Socket>,
    limits: ServerLimits,
}

impl Listener {
    /// Binds addresses. Raises the process's limit on open files as far as it may go: each connection is one.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Unavailable`] when one is taken or not of this machine.
    pub async fn bind(listen: &Listen, mode: SocketMode, limits: ServerLimits) -> Result<Self> {
        let mut sockets = Vec::new();
        for address in &listen.0 {
            sockets.push(Socket::bind(address, mode).await?);
        }
        let connections = limits.connections.min(open_files::connections(open_files::raise_limit()));
        Ok(Self { sockets, limits: ServerLimits { connections, ..limits } })
    }

    /// What clients set as the server's URL, in the order of the addresses.
    ///
    /// # Errors
    /// When a socket is gone.
    pub fn urls(&self) -> Result<Vec<String>> {
        let url = |socket: &Socket| match socket.address()? {
            ListenAddress::Tcp(address) => Ok(format!("http://{address}")),
            unix @ ListenAddress::Unix(_) => Ok(unix.to_string()),
        };
        self.sockets.iter().map(url).collect()
    }

    /// Serves until `stop` is done, then lets requests under way end within the drain time.
    ///
    /// # Errors
    /// When the system refuses the threads that serve.
    pub async fn serve(self, routes: Router, stop: impl Future<Output = ()>) -> Result<()> {
        let mut stop = std::pin::pin!(stop);
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let graceful = GracefulShutdown::new();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut workers = Workers::start(threads, &routes, self.limits.patience)?;
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&room) => accepted,
                () = &mut stop => break,
            };
            if let Some((stream, permit)) = accepted {
                workers.give(Arrival { stream, watcher: graceful.watcher(), permit });
            }
        }
        drop(self.sockets);
        info!("no new connections; finishing what is under way");
        if tokio::time::timeout(self.limits.drain, graceful.shutdown()).await.is_err() {
            warn!(
                seconds = self.limits.drain.as_secs(),
                "requests were still under way at the deadline and are cut off"
            );
        }
        // What is at work beyond this meets a closed store, which is an error and no harm.
        workers.end().await;
        Ok(())
    }

    async fn accept(&self, room: &Arc<Semaphore>) -> Option<(Idle, OwnedSemaphorePermit)> {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        match accept(&self.sockets).await {
            Ok(stream) => Some((stream, permit)),
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
