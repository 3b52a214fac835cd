//! The process that has a job while it lasts: it takes commands over the socket and keeps them on disk.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use larder_base::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::folder::Owned;
use super::owner::Owner;
use super::queue::{Queue, Stage, Status, Task};
use super::wire::{self, Answer, HEAD_LEN, Request};

/// The most connections at once; a further one is told to come again.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may take for its request, and for reading its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long accepting rests when the system has no more files to give.
const REST: Duration = Duration::from_millis(100);

/// Who may end the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The command that it was opened around.
    WithItsCommand,
    /// Whoever asks for it.
    WhenAsked,
}

/// A job that takes commands.
pub struct Server {
    owned: Owned,
    listener: UnixListener,
    own: Owner,
    ends: Ends,
    queue: RefCell<Queue>,
}

impl Server {
    /// Opens the socket of a job. Needs a runtime around it.
    ///
    /// # Errors
    /// When the socket cannot be made, or the queue cannot be read.
    pub fn open(owned: Owned, ends: Ends) -> Result<Self> {
        let (path, own) = (owned.folder().socket(), Owner::own());
        let failed = |source: std::io::Error| {
            Error::new(ErrorKind::Failed, "open job", path.display().to_string()).with_source(source)
        };
        let queue = RefCell::new(owned.folder().load()?);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        // Root's commands may be queued by any user, to run as that user.
        let mode = if own.is_root() { 0o666 } else { 0o600 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        Ok(Self { owned, listener, own, ends, queue })
    }

    /// Serves until the job is ended by request.
    pub async fn serve(&self) {
        let mut connections = FuturesUnordered::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(is_end) = connections.next() => {
                    if is_end {
                        return;
                    }
                    continue;
                }
            };
            match accepted {
                Ok((stream, _)) => connections.push(self.converse(stream, connections.len() < CONNECTIONS_MAX)),
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }

    /// Ends the job: nothing more is queued, and the socket is gone. What was queued is on disk.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub fn end(self, status: Status) -> Result<Owned> {
        let Self { owned, queue, .. } = self;
        let mut queue = queue.into_inner();
        queue.end(status);
        // Before the lock is given up: nobody may find the socket of a job that nobody serves.
        let _ = std::fs::remove_file(owned.folder().socket());
        owned.store(&queue)?;
        Ok(owned)
    }

    /// The job's folder.
    pub fn folder(&self) -> &super::folder::Folder {
        self.owned.folder()
    }

    /// Whether the folder is still there.
    pub fn has_folder(&self) -> bool {
        self.owned.folder().exists()
    }

    /// One request and its answer; says whether it ended the job.
    async fn converse(&self, mut stream: UnixStream, has_room: bool) -> bool {
        let (answer, is_end) = if has_room {
            match timeout(PATIENCE, receive(&mut stream)).await {
                Ok(Ok(request)) => self.answer(&stream, request),
                Ok(Err(error)) => (Answer::refusal(&error), false),
                Err(_) => (Answer::refusal(&unavailable("the request did not come in time")), false),
            }
        } else {
            (Answer::refusal(&unavailable("too many processes ask at once")), false)
        };
        // Who does not read the answer does without.
        let _ = timeout(PATIENCE, stream.write_all(&wire::frame(&answer))).await;
        is_end
    }

    fn answer(&self, stream: &UnixStream, request: Request) -> (Answer, bool) {
        let is_end = matches!(request, Request::End { .. });
        let answered = peer_of(stream).and_then(|peer| self.perform(peer, request));
        let is_end = is_end && answered.is_ok();
        (answered.unwrap_or_else(|error| Answer::refusal(&error)), is_end)
    }

    fn perform(&self, peer: Owner, request: Request) -> Result<Answer> {
        let is_own = peer.uid == self.own.uid;
        match request {
            Request::Post { name, when, command } => {
                self.own.can_run_as(peer)?;
                let task = Task { name, when, owner: peer, command, stage: Stage::Queued };
                self.change(|queue| queue.post(task))?;
                Ok(Answer::Done)
            }
            Request::Status => {
                let tasks = wire::lines_of(&self.queue.borrow(), |uid| is_own || peer.is_root() || uid == peer.uid);
                Ok(Answer::Queued { tasks })
            }
            // Who ends it runs it, from what another user wrote: so not even root.
            Request::End { .. } if !is_own => {
                let message = format!("the job is of {}, and {peer} may not end it", self.own);
                Err(Error::new(ErrorKind::Denied, "end job", message))
            }
            Request::End { .. } if self.ends == Ends::WithItsCommand => {
                Err(Error::invalid("end job", "it was opened by `larder job run`, and ends with the command of that"))
            }
            Request::End { status } => {
                self.change(|queue| {
                    queue.end(status);
                    Ok(())
                })?;
                Ok(Answer::Done)
            }
        }
    }

    /// Makes a change durable, and only then its own.
    fn change(&self, change: impl FnOnce(&mut Queue) -> Result<()>) -> Result<()> {
        let mut changed = self.queue.borrow().clone();
        change(&mut changed)?;
        self.owned.store(&changed)?;
        self.queue.replace(changed);
        Ok(())
    }
}

/// Who is at the other end, as the system says.
fn peer_of(stream: &UnixStream) -> Result<Owner> {
    let peer = stream.peer_cred().map_err(|source| {
        Error::new(ErrorKind::Failed, "ask system", "it does not say who is connected").with_source(source)
    })?;
    Ok(Owner { uid: peer.uid(), gid: peer.gid() })
}

async fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> Result<T> {
    let broke_off =
        |source: std::io::Error| Error::invalid("read request", "the connection broke off").with_source(source);
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).await.map_err(broke_off)?;
    let length = wire::body_length(head)?;
    let mut body = Vec::new();
    // Memory is taken as bytes come, not as they are announced.
    stream.take(length as u64).read_to_end(&mut body).await.map_err(broke_off)?;
    if body.len() < length {
        return Err(Error::invalid("read request", "the connection broke off"));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Error::invalid("read request", format!("it cannot be understood: {error}")))
}

fn unavailable(message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "read request", message)
}
