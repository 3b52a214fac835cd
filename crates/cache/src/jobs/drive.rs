//! A job's own task: it takes steps, rests between runs, and remembers how each run went.

use std::sync::Arc;
use std::time::Duration;

use larder_base::{Clock, Result};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::ledger::{Ledger, Memory};
use super::{Job, JobState, LastRun, Next, Progress, RunOutcome};

/// The first wait after a failed step; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How often a job is written down that runs more often than that, unless it comes to another end than before.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// A run that lasts so long is written down as under way, so that a kill is seen.
const MARK_AFTER: Duration = Duration::from_secs(1);
/// How long a write may take: what is written down is worth no more waiting.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Drives one job.
pub(super) struct Driver {
    pub(super) job: Arc<dyn Job>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) wake: Arc<Notify>,
    pub(super) stop: watch::Receiver<bool>,
    /// Told how many steps have ended.
    pub(super) ended: watch::Sender<u64>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notes: Notes,
}

/// What of a job is written down, and what is not yet.
pub(super) struct Notes {
    ledger: Option<Ledger>,
    written: Option<Instant>,
    /// How the run ended that was written last.
    outcome: Option<RunOutcome>,
    is_due: bool,
    /// Whether the present run is written down as under way.
    marked: bool,
    failing: bool,
}

impl Notes {
    pub(super) fn new(ledger: Option<Ledger>) -> Self {
        Self { ledger, written: None, outcome: None, is_due: false, marked: false, failing: false }
    }

    /// When what is due is to be written.
    fn due_at(&self) -> Option<Instant> {
        let written = self.ledger.as_ref().and(self.written).filter(|_| self.is_due);
        written.map(|written| written + WRITE_EVERY)
    }

    /// A run is over; says whether that is to be written now.
    fn run_over(&mut self, outcome: RunOutcome, is_asked: bool) -> bool {
        self.is_due = true;
        let is_old = self.written.is_none_or(|written| written.elapsed() >= WRITE_EVERY);
        is_old || is_asked || self.marked || self.outcome != Some(outcome)
    }

    async fn write(&mut self, name: &'static str, memory: Memory) {
        let Some(ledger) = &self.ledger else { return };
        self.written = Some(Instant::now());
        (self.is_due, self.marked) = (false, memory.running.is_some());
        self.outcome = memory.last.as_ref().map(|last| last.outcome);
        let failed = match timeout(WRITE_PATIENCE, ledger.write(name, &memory)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it took too long".to_owned()),
        };
        if let Some(error) = failed.as_ref().filter(|_| !self.failing) {
            warn!(job = name, error, "how a job went could not be written down; a restart will not know");
        }
        self.failing = failed.is_some();
    }
}

impl Driver {
    /// Takes steps until it is told to stop, the first after `rest`.
    pub(super) async fn run(mut self, rest: Duration) {
        let mut retry = RETRY_MIN;
        info!(job = self.job.name(), rest_s = rest.as_secs(), "job started");
        if !rest.is_zero() {
            self.rest(rest).await;
        }
        while !*self.stop.borrow() {
            let outcome = self.step().await;
            let pause = match &outcome {
                Ok(Next::Now) => Duration::ZERO,
                Ok(Next::Soon(pause) | Next::After(pause)) => *pause,
                Err(_) => retry,
            };
            retry = if outcome.is_ok() { RETRY_MIN } else { (retry * 2).min(RETRY_MAX) };
            self.settle(outcome, pause).await;
            self.rest(pause).await;
        }
        self.end().await;
    }

    /// Takes a step, which begins a run or goes on with one.
    async fn step(&mut self) -> Result<Next> {
        let now = self.clock.now();
        let memory = {
            let mut progress = self.progress.lock();
            (progress.state, progress.is_stepping) = (JobState::Running, true);
            progress.memory.running.get_or_insert(now);
            progress.memory.clone()
        };
        let job = self.job.clone();
        let mut step = job.step();
        if self.notes.ledger.is_none() || self.notes.marked {
            return step.await;
        }
        let began = memory.running.unwrap_or(now);
        tokio::select! {
            biased;
            outcome = &mut step => return outcome,
            () = sleep(MARK_AFTER.saturating_sub(now.since(began))) => {}
        }
        tokio::join!(step, self.notes.write(job.name(), memory)).0
    }

    /// Takes in how a step ended.
    async fn settle(&mut self, outcome: Result<Next>, pause: Duration) {
        let name = self.job.name();
        let did = self.job.status();
        let (steps, over) = {
            let mut progress = self.progress.lock();
            progress.is_stepping = false;
            progress.steps += 1;
            let over = match outcome {
                Ok(Next::Now | Next::Soon(_)) => None,
                Ok(Next::After(_)) => {
                    progress.state = JobState::Waiting;
                    Some((RunOutcome::Succeeded, None))
                }
                Err(error) => {
                    warn!(job = name, %error, "job failed; it will be tried again");
                    progress.state = JobState::Failing;
                    progress.failures += 1;
                    Some((RunOutcome::Failed, Some(error.to_string())))
                }
            };
            let is_asked = progress.steps <= progress.asked;
            let over = over.map(|(outcome, reason)| {
                let ended = self.clock.now();
                let memory = &mut progress.memory;
                let began = memory.running.take().unwrap_or(ended);
                if outcome == RunOutcome::Succeeded {
                    memory.last_success = Some(ended);
                }
                memory.rest = pause;
                memory.last = Some(LastRun { began, ended: Some(ended), outcome, reason, did });
                (outcome, is_asked, memory.clone())
            });
            (progress.steps, over)
        };
        if let Some((outcome, is_asked, memory)) = over
            && self.notes.run_over(outcome, is_asked)
        {
            self.notes.write(name, memory).await;
        }
        self.ended.send_replace(steps);
    }

    /// Waits until it is time, or it is woken or stopped; meanwhile writes down what is due.
    async fn rest(&mut self, pause: Duration) {
        let rest = sleep(pause);
        tokio::pin!(rest);
        loop {
            let due = self.notes.due_at();
            tokio::select! {
                // What is due with a run is written with its end.
                biased;
                () = &mut rest => return,
                () = self.wake.notified() => return,
                _ = self.stop.wait_for(|stop| *stop) => return,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let memory = self.progress.lock().memory.clone();
            self.notes.write(self.job.name(), memory).await;
        }
    }

    /// It was told to stop: a run that is not over is cut off.
    async fn end(&mut self) {
        let memory = {
            let mut progress = self.progress.lock();
            progress.state = JobState::Stopped;
            let now = self.clock.now();
            if let Some(began) = progress.memory.running.take() {
                self.notes.is_due = true;
                progress.memory.interrupt(began, Some(now), "the server was stopped");
            }
            progress.memory.clone()
        };
        if self.notes.is_due {
            self.notes.write(self.job.name(), memory).await;
        }
    }
}
