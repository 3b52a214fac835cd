//! A process of a job, asking over the socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use larder_base::{Error, ErrorKind, Result};

use super::folder::Folder;
use super::wire::{self, Answer, HEAD_LEN, Line, Request};

/// How long an answer may take: longer than the job waits for a slow request of another.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a request is made when the answer says that a retry helps.
const TRIES: u32 = 5;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks a job and gives its answer; for [`Request::Status`] these are the commands, in the order in which they run.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when no process takes requests for the job, else the kind that the job answers with.
pub fn ask(folder: &Folder, request: &Request) -> Result<Vec<Line>> {
    let frame = wire::frame(request);
    if frame.len() - HEAD_LEN > wire::FRAME_MAX_BYTES {
        let message = "the command and its environment are larger than any that the system runs";
        return Err(Error::new(ErrorKind::TooLarge, "ask job", message));
    }
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match exchange(folder, &frame)? {
            Answer::Refused { retry: true, .. } => std::thread::sleep(pause),
            answer => return lines(answer),
        }
        pause *= 2;
    }
    lines(exchange(folder, &frame)?)
}

fn lines(answer: Answer) -> Result<Vec<Line>> {
    match answer {
        Answer::Done => Ok(Vec::new()),
        Answer::Queued { tasks } => Ok(tasks),
        Answer::Refused { kind, message, .. } => Err(Error::new(kind.into(), "ask job", message)),
    }
}

fn exchange(folder: &Folder, frame: &[u8]) -> Result<Answer> {
    let path = folder.socket();
    let mut stream = UnixStream::connect(&path).map_err(|source| absent(&path, source))?;
    let talk = |stream: &mut UnixStream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // A job that refuses early stops reading; its answer is there all the same.
        let sent = stream.write_all(frame);
        let mut head = [0; HEAD_LEN];
        stream.read_exact(&mut head).map_err(|error| sent.err().unwrap_or(error))?;
        Ok::<_, std::io::Error>(head)
    };
    let head = talk(&mut stream).map_err(broke_off)?;
    let mut body = vec![0; wire::body_length(head)?];
    stream.read_exact(&mut body).map_err(broke_off)?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(ErrorKind::Failed, "ask job", format!("the answer is not understood: {error}")))
}

fn absent(path: &Path, source: std::io::Error) -> Error {
    let kind = match source.kind() {
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "ask job", format!("nobody answers at {}", path.display()))
        .with_source(source)
        .with_hint("the job has ended, or its process was killed")
}

fn broke_off(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "ask job", "the connection broke off").with_source(source)
}
