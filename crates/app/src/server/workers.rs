//! Threads that serve connections. Each has a runtime of its own, so that a request is read, answered and written on one
//! thread and wakes no other: on small answers that is a fifth of the server's time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use larder_base::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::debug;

use super::patience::{Patience, Patient};
use super::socket::{Idle, Stream};

/// A connection that nobody serves yet.
pub(super) struct Arrival {
    /// Its stream, registered with no runtime.
    pub(super) stream: Idle,
    /// Tells it that the server stops.
    pub(super) watcher: Watcher,
    /// Its place among all connections.
    pub(super) permit: OwnedSemaphorePermit,
}

/// The threads. Dropped, they cut off what they serve.
pub(super) struct Workers {
    workers: Vec<Worker>,
    next: usize,
}

struct Worker {
    arrivals: mpsc::UnboundedSender<Arrival>,
    cut: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Workers {
    /// Starts so many threads. The streams of HTTP/2, many of which may be of one connection, are served by the runtime that
    /// this is called in.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] when the system refuses a thread.
    pub(super) fn start(count: usize, routes: &Router, patience: Patience) -> Result<Self> {
        let serving = Arc::new(Serving { routes: routes.clone(), patience, http: protocol(patience) });
        let workers = (0..count.max(1)).map(|number| Worker::start(number, Arc::clone(&serving)));
        Ok(Self { workers: workers.collect::<Result<_>>()?, next: 0 })
    }

    /// Gives a connection to the next thread in turn.
    pub(super) fn give(&mut self, arrival: Arrival) {
        self.next = (self.next + 1) % self.workers.len();
        // A thread ends only with its server.
        let _ = self.workers[self.next].arrivals.send(arrival);
    }

    /// Cuts off what is still served. When this returns no request of HTTP/1 is at work; a stream of HTTP/2, and what reads or
    /// writes a file for either, may still be, and meets a closed store.
    pub(super) async fn end(self) {
        for Worker { arrivals, cut, ended } in self.workers {
            drop(arrivals);
            let _ = cut.send(());
            let _ = ended.await;
        }
    }
}

impl Worker {
    fn start(number: usize, serving: Arc<Serving>) -> Result<Self> {
        let failed = |source| Error::new(ErrorKind::Failed, "start server", "no thread can be had").with_source(source);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let (cut, is_cut) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "the place of the tasks of connections; ended by Workers::end")]
        let thread = std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            run(runtime, work(arriving, is_cut, serving));
            let _ = end.send(());
        });
        thread.map_err(failed)?;
        Ok(Self { arrivals, cut, ended })
    }
}

fn run(runtime: Runtime, work: impl Future<Output = ()>) {
    runtime.block_on(work);
    // What reads or writes a file for a request that was cut off ends by itself.
    runtime.shutdown_background();
}

async fn work(
    mut arriving: mpsc::UnboundedReceiver<Arrival>,
    mut is_cut: oneshot::Receiver<()>,
    serving: Arc<Serving>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(arrival) = arriving.recv() => {
                connections.spawn(Arc::clone(&serving).serve(arrival));
            }
            Some(_) = connections.join_next() => {}
            _ = &mut is_cut => break,
        }
    }
    connections.shutdown().await;
}

/// How connections are served.
struct Serving {
    routes: Router,
    patience: Patience,
    http: auto::Builder<Streams>,
}

impl Serving {
    async fn serve(self: Arc<Self>, Arrival { stream, watcher, permit }: Arrival) {
        let stream = match Stream::attend(stream) {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%error, "a connection was gone before it was served");
                return;
            }
        };
        let connection = TokioIo::new(Patient::new(stream, self.patience));
        let service = TowerToHyperService::new(self.routes.clone());
        let serving = watcher.watch(self.http.serve_connection(connection, service).into_owned());
        if let Err(error) = serving.await {
            // The client broke off, or spoke no HTTP: its matter, not the operator's.
            debug!(%error, "connection ended");
        }
        drop(permit);
    }
}

fn protocol(patience: Patience) -> auto::Builder<Streams> {
    let mut http = auto::Builder::new(Streams(Handle::current()));
    // hyper counts the time between requests as part of the next head, so this is the limit of idleness.
    http.http1().timer(TokioTimer::new()).header_read_timeout(patience.idle).writev(true);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    http
}

/// Where the streams of HTTP/2 are served.
#[derive(Clone)]
struct Streams(Handle);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        #[expect(clippy::disallowed_methods, reason = "a stream of a connection: it ends with that")]
        self.0.spawn(stream);
    }
}
