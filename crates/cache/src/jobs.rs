//! Work in the background: named, bounded, visible, and stopped in order. Nothing in a server runs that is not a job.

mod drive;
mod ledger;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use larder_base::{BoxFuture, Clock, Entries, Error, Result, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use drive::{Driver, Notes};
use ledger::{Ledger, Memory};

/// When a job wants to run again. Its steps up to the first [`Next::After`] are one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more to do in this run.
    Now,
    /// After this long, or sooner when woken: there is more to do in this run.
    Soon(Duration),
    /// After this long, or sooner when woken: the run is over.
    After(Duration),
}

/// A kind of background work. What it must remember over a restart it keeps in a tier, not in itself.
pub trait Job: Send + Sync + 'static {
    /// One or more lower-case words, joined by hyphens.
    fn name(&self) -> &'static str;

    /// Does a bounded piece of work. After an error the job is run again later, more and more rarely.
    fn step(&self) -> BoxFuture<'_, Result<Next>>;

    /// A line on what it is doing or has done, for people.
    fn status(&self) -> String;
}

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobState {
    /// A run is under way.
    Running,
    /// It waits for its time or to be woken.
    #[default]
    Waiting,
    /// Its last run failed; it will be tried again.
    Failing,
    /// It was told to stop, and has.
    Stopped,
}

impl JobState {
    /// One lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }
}

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// It did what there was to do.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was cut off: its server was stopped or killed.
    Interrupted,
}

impl RunOutcome {
    /// One lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl FromStr for RunOutcome {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let all = [Self::Succeeded, Self::Failed, Self::Interrupted];
        let found = all.into_iter().find(|outcome| outcome.as_str() == word);
        found.ok_or_else(|| Error::invalid("read outcome", format!("{word:?} is not how a run ends")))
    }
}

/// A run of a job that is over, perhaps one of an earlier process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When its first step began.
    pub began: Timestamp,
    /// When its last step ended; `None` when the server was killed first.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
    /// The job's own line then.
    pub did: String,
}

/// What is known of a job.
#[derive(Clone, Debug)]
pub struct JobReport {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub state: JobState,
    /// Its own line.
    pub status: String,
    /// Steps done by this process.
    pub steps: u64,
    /// Of these, failed.
    pub failures: u64,
    /// When the present run began.
    pub running_since: Option<Timestamp>,
    /// The last run that is over.
    pub last_run: Option<LastRun>,
    /// When the last run that did not fail ended.
    pub last_success: Option<Timestamp>,
    /// When the last run began that was cut off.
    pub last_interrupted: Option<Timestamp>,
}

impl JobReport {
    /// Why the last run failed, if it did.
    pub fn last_error(&self) -> Option<&str> {
        let failed = self.last_run.as_ref().filter(|run| run.outcome == RunOutcome::Failed);
        failed.and_then(|run| run.reason.as_deref())
    }
}

/// The jobs of a process.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    ledger: Option<Ledger>,
    /// What an earlier process left of the jobs that are not started yet.
    left: Mutex<HashMap<String, Memory>>,
    stop: watch::Sender<bool>,
    running: Mutex<Vec<Running>>,
}

struct Running {
    job: Arc<dyn Job>,
    progress: Arc<Mutex<Progress>>,
    wake: JobHandle,
    /// How many steps have ended.
    steps: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Progress {
    state: JobState,
    /// Whether a step is under way: a run may pause between two.
    is_stepping: bool,
    /// Up to which step somebody asked for them.
    asked: u64,
    steps: u64,
    failures: u64,
    memory: Memory,
}

/// Wakes a job before its time.
#[derive(Clone, Debug)]
pub struct JobHandle {
    wake: Arc<Notify>,
}

impl JobHandle {
    /// Has the job take a step now, or right after the one under way.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Jobs {
    /// No jobs yet, of which nothing will be remembered.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(clock, None, HashMap::new())
    }

    /// No jobs yet. How each went is kept in `entries`, for the next process, and what an earlier one left there is known.
    pub async fn remembered(clock: Arc<dyn Clock>, entries: Arc<dyn Entries>) -> Self {
        let ledger = Ledger::new(entries);
        let left = ledger.read().await.unwrap_or_else(|error| {
            warn!(%error, "how the jobs of an earlier process went cannot be read");
            HashMap::new()
        });
        Self::with(clock, Some(ledger), left)
    }

    fn with(clock: Arc<dyn Clock>, ledger: Option<Ledger>, left: HashMap<String, Memory>) -> Self {
        let (stop, _) = watch::channel(false);
        let (left, running) = (Mutex::new(left), Mutex::default());
        Self { inner: Arc::new(Inner { clock, ledger, left, stop, running }) }
    }

    /// Starts a job on the present tokio runtime. Its first step is taken at once.
    ///
    /// # Panics
    /// When its name is not of the form of such names.
    pub fn start(&self, job: Arc<dyn Job>) -> JobHandle {
        self.start_after(job, |_, _| Duration::ZERO)
    }

    /// As [`Jobs::start`], but its first step is taken when it is due: when the last run, be it one of an earlier process,
    /// is as old as it wanted to be. One that failed, or was cut off, is due at once. Not for a job that takes up what an
    /// earlier process left.
    ///
    /// # Panics
    /// As [`Jobs::start`].
    pub fn start_when_due(&self, job: Arc<dyn Job>) -> JobHandle {
        self.start_after(job, Memory::rests_for)
    }

    fn start_after(&self, job: Arc<dyn Job>, rest: impl FnOnce(&Memory, Timestamp) -> Duration) -> JobHandle {
        let name = job.name();
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(name.split('-').all(is_word), "{name:?} is not lower-case words joined by hyphens");
        let handle = JobHandle { wake: Arc::new(Notify::new()) };
        let memory = self.inner.left.lock().remove(name).unwrap_or_default();
        let rest = rest(&memory, self.inner.clock.now());
        let progress = Arc::new(Mutex::new(Progress { memory, ..Progress::default() }));
        let (ended, steps) = watch::channel(0);
        let driver = Driver {
            job: job.clone(),
            progress: progress.clone(),
            wake: handle.wake.clone(),
            stop: self.inner.stop.subscribe(),
            ended,
            clock: self.inner.clock.clone(),
            notes: Notes::new(self.inner.ledger.clone()),
        };
        #[expect(clippy::disallowed_methods, reason = "the one place where background work is spawned")]
        let task = tokio::spawn(driver.run(rest));
        self.inner.running.lock().push(Running { job, progress, wake: handle.clone(), steps, task });
        handle
    }

    /// What each job is doing, in the order they were started.
    pub fn reports(&self) -> Vec<JobReport> {
        let report = |running: &Running| {
            let progress = running.progress.lock();
            JobReport {
                name: running.job.name(),
                state: progress.state,
                status: running.job.status(),
                steps: progress.steps,
                failures: progress.failures,
                running_since: progress.memory.running,
                last_run: progress.memory.last.clone(),
                last_success: progress.memory.last_success,
                last_interrupted: progress.memory.last_interrupted,
            }
        };
        self.inner.running.lock().iter().map(report).collect()
    }

    /// Has the job of this name take a step now, or right after the one under way, and waits until that step has ended;
    /// its report then. `None` when there is no such job, or when it stopped meanwhile.
    pub async fn run(&self, name: &str) -> Option<JobReport> {
        let (mut steps, wanted) = {
            let running = self.inner.running.lock();
            let running = running.iter().find(|running| running.job.name() == name)?;
            let mut progress = running.progress.lock();
            // One under way may have passed what the caller wants it to see.
            let under_way = u64::from(progress.is_stepping);
            progress.asked = progress.steps + under_way + 1;
            running.wake.wake();
            (running.steps.clone(), progress.asked)
        };
        steps.wait_for(|ended| *ended >= wanted).await.ok()?;
        self.reports().into_iter().find(|report| report.name == name)
    }

    /// Tells every job to stop after the step it is in, and waits for them, last started first, until `deadline` has
    /// passed. Names those that did not stop in time; what they were doing is resumed by the next start.
    pub async fn stop(&self, deadline: Duration) -> Vec<&'static str> {
        self.inner.stop.send_replace(true);
        let running = std::mem::take(&mut *self.inner.running.lock());
        let mut late = Vec::new();
        let end = tokio::time::Instant::now() + deadline;
        for running in running.into_iter().rev() {
            if tokio::time::timeout_at(end, running.task).await.is_err() {
                late.push(running.job.name());
            }
        }
        late
    }
}

#[cfg(test)]
mod tests;
