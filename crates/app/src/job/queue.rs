//! The queue: what is to run at a job's end, in which order, and what became of it. It knows no file and no process.

use clap::ValueEnum;
use larder_base::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::text::Text;

/// The most commands of a job.
pub const TASKS_MAX: usize = 64;
/// The most bytes that a job's commands have together, arguments and environments included.
pub const QUEUE_MAX_BYTES: usize = 16 << 20;
/// The most bytes of a name.
pub const NAME_MAX_BYTES: usize = 1024;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Well.
    #[value(alias = "passed")]
    Success,
    /// Not well, or it was cancelled.
    #[value(aliases = ["failed", "cancelled", "canceled", "timedout"])]
    Failure,
}

impl Status {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// At which end of the job a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// When the job succeeded.
    Success,
    /// When it failed or was cancelled.
    Failure,
    /// At either end.
    Always,
}

impl When {
    /// Whether that is after this end.
    pub fn is_after(self, status: Status) -> bool {
        match self {
            Self::Always => true,
            Self::Success => status == Status::Success,
            Self::Failure => status == Status::Failure,
        }
    }
}

/// A command and its surroundings, as whoever queued it had them. Has no `Debug`: environments hold secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct Command {
    /// The program, looked up in the path of `environment`.
    pub program: Text,
    /// Its arguments.
    pub arguments: Vec<Text>,
    /// All of its environment.
    pub environment: Vec<(Text, Text)>,
    /// Where it runs; absolute.
    pub directory: Text,
}

impl Command {
    fn bytes(&self) -> usize {
        let arguments: usize = self.arguments.iter().map(Text::len).sum();
        let environment: usize = self.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.program.len() + self.directory.len() + arguments + environment
    }

    /// The program and its arguments, for messages.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It waits for the job's end.
    Queued,
    /// It was begun. When nobody runs it any more, whoever ran it was killed; it is never begun again.
    Begun,
    /// It ended, or its turn passed.
    Over,
}

/// A command for a job's end.
#[derive(Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its name; a job has one task of a name.
    pub name: String,
    /// At which end.
    pub when: When,
    /// As whom it runs: as whoever queued it.
    pub owner: Owner,
    /// What runs.
    pub command: Command,
    /// How far it has come.
    pub stage: Stage,
}

/// A job's commands. Every change is for the caller to make durable before it is acted on.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Queue {
    /// How the job ended, once it has; then nothing more is queued.
    ending: Option<Status>,
    /// In the order in which they were queued.
    tasks: Vec<Task>,
}

impl Queue {
    /// What is queued, in the order in which it was.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// How the job ended.
    pub fn ending(&self) -> Option<Status> {
        self.ending
    }

    /// Queues a command behind all others. It takes the place of one with its name, which then never was.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a malformed command or a job that has ended, [`ErrorKind::Denied`] when the name is of
    /// another user, [`ErrorKind::TooLarge`] beyond a bound.
    pub fn post(&mut self, task: Task) -> Result<()> {
        check_name(&task.name)?;
        if self.ending.is_some() {
            return Err(refused(ErrorKind::Invalid, "the job has ended"));
        }
        if !std::path::Path::new(task.command.directory.as_os_str()).is_absolute() {
            return Err(refused(ErrorKind::Invalid, format!("{} is not an absolute path", task.command.directory)));
        }
        let same = self.tasks.iter().position(|other| other.name == task.name);
        if let Some(other) = same.map(|at| &self.tasks[at])
            && other.owner.uid != task.owner.uid
        {
            let message = format!("{:?} is queued by another user, {}", task.name, other.owner);
            return Err(refused(ErrorKind::Denied, message));
        }
        let others = || self.tasks.iter().enumerate().filter(|(at, _)| Some(*at) != same).map(|(_, task)| task);
        if others().count() == TASKS_MAX {
            return Err(refused(ErrorKind::TooLarge, format!("{TASKS_MAX} commands are queued, and no more may be")));
        }
        if others().chain([&task]).map(|task| task.command.bytes()).sum::<usize>() > QUEUE_MAX_BYTES {
            let message = format!("the job's commands would have more than {} MiB", QUEUE_MAX_BYTES >> 20);
            return Err(refused(ErrorKind::TooLarge, message));
        }
        if let Some(at) = same {
            self.tasks.remove(at);
        }
        self.tasks.push(task);
        Ok(())
    }

    /// Ends the job: nothing more is queued. The first end counts.
    pub fn end(&mut self, status: Status) -> Status {
        *self.ending.get_or_insert(status)
    }

    /// The task whose turn it is: of those never begun, the one queued last. What was set up last is so taken down first,
    /// and the save that a restore registered at the job's start sees what all others left.
    pub fn next(&self) -> Option<usize> {
        self.tasks.iter().rposition(|task| task.stage == Stage::Queued)
    }

    /// Notes how far a task has come.
    pub fn set_stage(&mut self, at: usize, stage: Stage) {
        self.tasks[at].stage = stage;
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_good = !name.is_empty() && name.len() <= NAME_MAX_BYTES && !name.chars().any(char::is_control);
    let wanted = || format!("the name {name:?} has not 1 to {NAME_MAX_BYTES} bytes of printable characters");
    if is_good { Ok(()) } else { Err(refused(ErrorKind::Invalid, wanted())) }
}

fn refused(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "queue command", message)
}

#[cfg(test)]
mod tests;
