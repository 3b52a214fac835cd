//! What crosses the socket: frames of JSON, each with the protocol's version and its length in front (both `u32`, little
//! end first). A connection carries one request and one answer.

use larder_base::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use super::queue::{Command, Queue, Stage, Status, When};

/// The version of the protocol.
pub const VERSION: u32 = 1;
/// The most bytes of a frame's body: the system takes no larger command.
pub const FRAME_MAX_BYTES: usize = 8 << 20;
/// The bytes in front of a body.
pub const HEAD_LEN: usize = 8;

/// What a process asks of a job.
#[derive(Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Queue a command, as the user and group that the system says the asker has.
    Post {
        /// Its name.
        name: String,
        /// At which end.
        when: When,
        /// What.
        command: Command,
    },
    /// Say what is queued.
    Status,
    /// End the job: take no more commands, and leave the queue to the asker.
    End {
        /// How it ended.
        status: Status,
    },
}

/// What a job answers.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// It is done, and durable.
    Done,
    /// What is queued and the asker may see.
    Queued {
        /// In the order in which it runs.
        tasks: Vec<Line>,
    },
    /// It is not done.
    Refused {
        /// The kind of the failure.
        kind: Word,
        /// Whether the same request may succeed a little later.
        retry: bool,
        /// What, and why.
        message: String,
    },
}

/// A queued command, without its environment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// At which end it runs.
    pub when: When,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The program and its arguments.
    pub command: String,
    /// How far it has come.
    pub stage: Stage,
}

/// A kind of failure, as [`ErrorKind`] but open to words of newer versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The request makes no sense, or not now.
    Invalid,
    /// Beyond a bound.
    TooLarge,
    /// Not this asker's to ask.
    Denied,
    /// Too many ask at once, or too slowly.
    Unavailable,
    /// The job's process could not do it.
    #[serde(other)]
    Failed,
}

impl Answer {
    /// The refusal that an error is.
    pub fn refusal(error: &Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid => Word::Invalid,
            ErrorKind::TooLarge => Word::TooLarge,
            ErrorKind::Denied => Word::Denied,
            ErrorKind::Unavailable | ErrorKind::Full => Word::Unavailable,
            ErrorKind::Corrupt | ErrorKind::Failed => Word::Failed,
        };
        Self::Refused { kind, retry: error.kind().may_pass(), message: crate::context::explain(error) }
    }
}

impl From<Word> for ErrorKind {
    fn from(word: Word) -> Self {
        match word {
            Word::Invalid => Self::Invalid,
            Word::TooLarge => Self::TooLarge,
            Word::Denied => Self::Denied,
            Word::Unavailable => Self::Unavailable,
            Word::Failed => Self::Failed,
        }
    }
}

/// What of a queue a user may see, in the order in which it runs.
pub fn lines_of(queue: &Queue, may_see: impl Fn(u32) -> bool) -> Vec<Line> {
    let seen = queue.tasks().iter().rev().filter(|task| may_see(task.owner.uid));
    let line = |task: &super::queue::Task| Line {
        name: task.name.clone(),
        when: task.when,
        uid: task.owner.uid,
        gid: task.owner.gid,
        command: task.command.line(),
        stage: task.stage,
    };
    seen.map(line).collect()
}

/// A frame.
pub fn frame(body: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_vec(body).expect("the protocol has no maps with keys that JSON lacks");
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&VERSION.to_le_bytes()[..], &length.to_le_bytes(), &body].concat()
}

/// The length of the body behind a head.
///
/// # Errors
/// [`ErrorKind::Invalid`] for another version, [`ErrorKind::TooLarge`] above the bound.
pub fn body_length(head: [u8; HEAD_LEN]) -> Result<usize, Error> {
    let [v0, v1, v2, v3, l0, l1, l2, l3] = head;
    let (version, length) = (u32::from_le_bytes([v0, v1, v2, v3]), u32::from_le_bytes([l0, l1, l2, l3]) as usize);
    if version != VERSION {
        let message = format!("version {version} of the protocol is not spoken here, only {VERSION}");
        return Err(Error::invalid("read frame", message).with_hint("use one version of larder in one job"));
    }
    if length > FRAME_MAX_BYTES {
        let message = format!("{length} bytes are more than the {FRAME_MAX_BYTES} of a frame");
        return Err(Error::new(ErrorKind::TooLarge, "read frame", message));
    }
    Ok(length)
}
