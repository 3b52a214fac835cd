//! Runs what is queued, once the job has ended: one command after the other, each at most once.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use larder_base::Result;
use serde::Serialize;

use super::child::{Reach, Running, Signals};
use super::folder::Owned;
use super::owner::Owner;
use super::queue::{Queue, Stage, Status, Task, When};

/// The variable that tells a command how the job ended.
pub const STATUS_VARIABLE: &str = "LARDER_JOB_STATUS";

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ended well.
    Done,
    /// It ended otherwise, or could not be started.
    Failed,
    /// Its time was over.
    Late,
    /// It is for the other end of a job.
    Skipped,
    /// It was begun by a process that was killed; it may have done all, something or nothing.
    Interrupted,
}

impl Outcome {
    /// Whether nothing is wrong.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// What is told of a command.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// At which end it was to run.
    pub when: When,
    /// What became of it.
    pub result: Outcome,
    /// Its exit code, or 128 and the number of the signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// How long it took.
    pub seconds: f64,
    /// Why, where the result alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How commands are run.
pub struct Rules {
    /// How long each may take.
    pub deadline: Duration,
    /// Whether their output goes to standard error, as standard output is for a report.
    pub output_is_for_report: bool,
}

/// Runs all that is queued; `tell` hears of each command as it ends, and of its name when it begins. What a killed runner
/// left as begun is told of and not run.
///
/// # Errors
/// When the queue cannot be read, or what is about to be done cannot be made durable: then it is not done.
pub async fn run(owned: &Owned, rules: &Rules, signals: &mut Signals, tell: impl Fn(Turn<'_>)) -> Result<Vec<Told>> {
    signals.forget().await;
    let mut queue = owned.folder().load()?;
    let status = queue.end(Status::Failure);
    let mut all = settle_interrupted(&mut queue);
    for told in &all {
        tell(Turn::Over(told));
    }
    while let Some(at) = queue.next() {
        let told = if queue.tasks()[at].when.is_after(status) {
            queue.set_stage(at, Stage::Begun);
            owned.store(&queue)?;
            let task = &queue.tasks()[at];
            tell(Turn::Begins(task));
            run_one(task, status, rules, signals).await
        } else {
            told(&queue.tasks()[at], Outcome::Skipped)
        };
        queue.set_stage(at, Stage::Over);
        tell(Turn::Over(&told));
        all.push(told);
    }
    // The stages of what is over were not made durable one by one: begun is enough to keep it from running again.
    owned.store(&queue)?;
    Ok(all)
}

/// What [`run`] tells of.
pub enum Turn<'a> {
    /// A command begins.
    Begins(&'a Task),
    /// It is over, or it was not its turn.
    Over(&'a Told),
}

fn settle_interrupted(queue: &mut Queue) -> Vec<Told> {
    let begun: Vec<usize> = (0..queue.tasks().len()).filter(|at| queue.tasks()[*at].stage == Stage::Begun).collect();
    let settle = |at: usize| {
        queue.set_stage(at, Stage::Over);
        let told = told(&queue.tasks()[at], Outcome::Interrupted);
        Told { reason: Some("the process that ran it was killed; it is not run a second time".into()), ..told }
    };
    begun.into_iter().map(settle).collect()
}

fn told(task: &Task, result: Outcome) -> Told {
    Told { name: task.name.clone(), when: task.when, result, code: None, seconds: 0.0, reason: None }
}

async fn run_one(task: &Task, status: Status, rules: &Rules, signals: &mut Signals) -> Told {
    let start = Instant::now();
    let mut told = told(task, Outcome::Failed);
    if let Err(error) = Owner::own().can_run_as(task.owner) {
        told.reason = Some(error.message().to_owned());
        return told;
    }
    let ended = match Running::start(&mut command_of(task, status, rules), Reach::Group) {
        Ok(running) => running.end(signals, Some(rules.deadline)).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(ended) => {
            told.code = Some(code_of(ended.status));
            if ended.is_late {
                told.result = Outcome::Late;
                told.reason = Some(format!("it had not ended after {} s", rules.deadline.as_secs()));
            } else if ended.status.success() {
                told.result = Outcome::Done;
            }
        }
        Err(error) => told.reason = Some(format!("{}: {error}", task.command.program)),
    }
    // Milliseconds are all that means anything.
    told.seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    told
}

fn command_of(task: &Task, status: Status, rules: &Rules) -> Command {
    let mut command = Command::new(task.command.program.as_os_str());
    command
        .args(task.command.arguments.iter().map(super::Text::as_os_str))
        .env_clear()
        .envs(task.command.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())))
        .env(STATUS_VARIABLE, status.as_str())
        .current_dir(task.command.directory.as_os_str())
        .stdin(Stdio::null())
        .process_group(0);
    if rules.output_is_for_report {
        command.stdout(std::io::stderr());
    }
    let own = Owner::own();
    if own.gid != task.owner.gid {
        command.gid(task.owner.gid);
    }
    // Along with the user go this process's other groups.
    if own.uid != task.owner.uid {
        command.uid(task.owner.uid);
    }
    command
}

/// The exit code as a shell tells it.
pub fn code_of(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
