//! Work in the background: named, bounded, visible, and stopped in order. Nothing in a server runs that is not a job.

use std::sync::Arc;
use std::time::Duration;

use larder_base::{BoxFuture, Clock, Result, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// When a job wants to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more to do.
    Now,
    /// After this long, or sooner when woken.
    After(Duration),
}

/// A kind of background work. What it must remember over a restart it keeps in a tier, not in itself.
pub trait Job: Send + Sync + 'static {
    /// One or two lower-case words.
    fn name(&self) -> &'static str;

    /// Does a bounded piece of work. After an error the job is run again later, more and more rarely.
    fn step(&self) -> BoxFuture<'_, Result<Next>>;

    /// A line on what it is doing or has done, for people.
    fn status(&self) -> String;
}

/// The first wait after a failed step; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobState {
    /// A step is under way.
    Running,
    /// It waits for its time or to be woken.
    #[default]
    Waiting,
    /// Its last step failed; it will be tried again.
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

/// What is known of a job.
#[derive(Clone, Debug)]
pub struct JobReport {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub state: JobState,
    /// Its own line.
    pub status: String,
    /// Steps done.
    pub steps: u64,
    /// Of these, failed.
    pub failures: u64,
    /// When the last step ended.
    pub last_step: Option<Timestamp>,
    /// How long the last step took.
    pub last_took: Duration,
    /// When the last step that did not fail ended.
    pub last_success: Option<Timestamp>,
    /// Why the last failed step failed; kept until a step succeeds.
    pub last_error: Option<String>,
}

/// The jobs of a process.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
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
    steps: u64,
    failures: u64,
    last_step: Option<Timestamp>,
    last_took: Duration,
    last_success: Option<Timestamp>,
    last_error: Option<String>,
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
    /// No jobs yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (stop, _) = watch::channel(false);
        Self { inner: Arc::new(Inner { clock, stop, running: Mutex::default() }) }
    }

    /// Starts a job on the present tokio runtime. Its first step is taken at once.
    pub fn start(&self, job: Arc<dyn Job>) -> JobHandle {
        let handle = JobHandle { wake: Arc::new(Notify::new()) };
        let progress = Arc::new(Mutex::new(Progress::default()));
        let (ended, steps) = watch::channel(0);
        #[expect(clippy::disallowed_methods, reason = "the one place where background work is spawned")]
        let task = tokio::spawn(drive(
            job.clone(),
            progress.clone(),
            handle.wake.clone(),
            self.inner.stop.subscribe(),
            ended,
            self.inner.clock.clone(),
        ));
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
                last_step: progress.last_step,
                last_took: progress.last_took,
                last_success: progress.last_success,
                last_error: progress.last_error.clone(),
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
            let progress = running.progress.lock();
            // One under way may have passed what the caller wants it to see.
            let under_way = u64::from(progress.state == JobState::Running);
            running.wake.wake();
            (running.steps.clone(), progress.steps + under_way + 1)
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

async fn drive(
    job: Arc<dyn Job>,
    progress: Arc<Mutex<Progress>>,
    wake: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
    ended: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
) {
    let mut retry = RETRY_MIN;
    info!(job = job.name(), "job started");
    while !*stop.borrow() {
        progress.lock().state = JobState::Running;
        let began = clock.now();
        let outcome = job.step().await;
        let (pause, steps) = {
            let mut progress = progress.lock();
            let now = clock.now();
            progress.steps += 1;
            progress.last_step = Some(now);
            progress.last_took = now.since(began);
            let pause = match outcome {
                Ok(next) => {
                    retry = RETRY_MIN;
                    progress.state = JobState::Waiting;
                    progress.last_error = None;
                    progress.last_success = Some(now);
                    match next {
                        Next::Now => Duration::ZERO,
                        Next::After(pause) => pause,
                    }
                }
                Err(error) => {
                    warn!(job = job.name(), %error, "job failed; it will be tried again");
                    progress.state = JobState::Failing;
                    progress.failures += 1;
                    progress.last_error = Some(error.to_string());
                    let pause = retry;
                    retry = (retry * 2).min(RETRY_MAX);
                    pause
                }
            };
            (pause, progress.steps)
        };
        ended.send_replace(steps);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wake.notified() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
    progress.lock().state = JobState::Stopped;
}

#[cfg(test)]
mod tests;
