//! What is known of jobs after a restart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use larder_base::{
    Access, BoxFuture, Clock, DoorName, Entries, EntryAddress, Error, ErrorKind, Result, Scope, Timestamp,
};
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::jobs::{Job, JobReport, JobState, Jobs, Next, RunOutcome};

const HOUR: Duration = Duration::from_secs(3600);

/// What outlives a process.
struct World {
    memory: Arc<Memory>,
    clock: FakeClock,
}

impl World {
    fn new() -> Self {
        let clock = FakeClock::default();
        Self { memory: Arc::new(Memory::new(Arc::new(clock.clone()))), clock }
    }

    async fn jobs(&self) -> Jobs {
        Jobs::remembered(Arc::new(self.clock.clone()), self.memory.clone()).await
    }

    /// How often something was written of the job.
    async fn writes(&self) -> u64 {
        let address = EntryAddress {
            namespace: "~jobs".parse().unwrap(),
            scope: Scope::Trusted,
            door: DoorName::new("jobs"),
            key: "scripted".parse().unwrap(),
        };
        let entry = Entries::get(&*self.memory, &address, Access::Check).await.unwrap();
        // The tier counts its writes, and there are no others.
        entry.map_or(0, |entry| entry.revision)
    }
}

/// Does what it was told, then rests for an hour each time. A step without an end is one that a kill cuts off.
#[derive(Default)]
struct Scripted {
    steps: Mutex<VecDeque<Option<Result<Next>>>>,
    taken: Mutex<u32>,
    stepped: Notify,
}

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Option<Result<Next>>>) -> Arc<Self> {
        Arc::new(Self { steps: Mutex::new(steps.into_iter().collect()), ..Self::default() })
    }

    fn taken(&self) -> u32 {
        *self.taken.lock()
    }
}

impl Job for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            *self.taken.lock() += 1;
            self.stepped.notify_one();
            let step = self.steps.lock().pop_front().unwrap_or(Some(Ok(Next::After(HOUR))));
            match step {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        })
    }

    fn status(&self) -> String {
        format!("{} steps", self.taken())
    }
}

fn failure() -> Option<Result<Next>> {
    Some(Err(Error::new(ErrorKind::Unavailable, "count", "not yet")))
}

/// The report of the only job, once the step under way has ended and what is due at once was written.
async fn settled(jobs: &Jobs) -> JobReport {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    jobs.reports().remove(0)
}

fn outcome(report: &JobReport) -> Option<RunOutcome> {
    report.last_run.as_ref().map(|run| run.outcome)
}

#[tokio::test(start_paused = true)]
async fn how_a_job_went_is_known_to_the_next_process() {
    let world = World::new();
    let jobs = world.jobs().await;
    jobs.start(Scripted::new([Some(Ok(Next::Now)), Some(Ok(Next::Soon(Duration::from_secs(5))))]));
    let began = world.clock.now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(settled(&jobs).await.running_since, Some(began), "a pause is no end");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = settled(&jobs).await;
    let run = before.last_run.clone().unwrap();
    assert_eq!((run.began, run.ended, run.outcome), (began, Some(world.clock.now()), RunOutcome::Succeeded));
    assert_eq!((run.did.as_str(), before.last_success), ("3 steps", run.ended));

    // Killed while it rests: nobody tells the first process to stop.
    let jobs = world.jobs().await;
    jobs.start_when_due(Scripted::new([]));
    let after = settled(&jobs).await;
    assert_eq!((after.last_run, after.last_success), (before.last_run, before.last_success));
    assert_eq!((after.state, after.steps, after.running_since), (JobState::Waiting, 0, None));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_kill_cut_off_is_interrupted_and_not_running() {
    let world = World::new();
    let first = world.jobs().await;
    first.start(Scripted::new([Some(Ok(Next::After(HOUR))), None]));
    let success = settled(&first).await.last_success;
    tokio::time::sleep(HOUR + Duration::from_secs(5)).await;
    let began = settled(&first).await.running_since;
    assert!(began.is_some());
    let jobs = world.jobs().await;
    let job = Scripted::new([None]);
    jobs.start_when_due(job.clone());
    // Before its task had a turn.
    let report = jobs.reports().remove(0);
    assert_eq!((report.state, outcome(&report)), (JobState::Waiting, Some(RunOutcome::Interrupted)));
    assert_eq!((report.last_run.clone().unwrap().began, report.last_run.unwrap().ended), (began.unwrap(), None));
    assert_eq!((report.last_interrupted, report.last_success), (began, success));
    settled(&jobs).await;
    assert_eq!(job.taken(), 1, "what was cut off is taken up at once");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_stop_cut_off_is_interrupted_too() {
    let world = World::new();
    let jobs = world.jobs().await;
    jobs.start(Scripted::new([Some(Ok(Next::Soon(HOUR)))]));
    settled(&jobs).await;
    assert!(jobs.stop(Duration::from_secs(1)).await.is_empty());
    let jobs = world.jobs().await;
    jobs.start_when_due(Scripted::new([None]));
    let report = jobs.reports().remove(0);
    assert_eq!(outcome(&report), Some(RunOutcome::Interrupted));
    assert_eq!(report.last_run.unwrap().reason.as_deref(), Some("the server was stopped"));
}

#[tokio::test(start_paused = true)]
async fn restarts_neither_run_a_rare_job_each_time_nor_put_it_off_for_ever() {
    let world = World::new();
    let jobs = world.jobs().await;
    jobs.start_when_due(Scripted::new([]));
    settled(&jobs).await;
    let twenty = Duration::from_secs(20 * 60);
    let mut taken = 0;
    for _ in 0..3 {
        let jobs = world.jobs().await;
        let job = Scripted::new([]);
        jobs.start_when_due(job.clone());
        world.clock.advance(twenty);
        tokio::time::sleep(twenty - Duration::from_secs(1)).await;
        assert_eq!(job.taken(), 0);
        taken += job.taken();
        jobs.stop(Duration::ZERO).await;
    }
    assert_eq!(taken, 0);
    let jobs = world.jobs().await;
    let job = Scripted::new([]);
    jobs.start_when_due(job.clone());
    job.stepped.notified().await;
    assert_eq!(settled(&jobs).await.steps, 1, "the hour is over");

    // By a clock that was set back the last run is to come: waiting for it would be waiting for the clock.
    world.clock.set(Timestamp::from_millis(5));
    let jobs = world.jobs().await;
    let job = Scripted::new([]);
    jobs.start_when_due(job.clone());
    settled(&jobs).await;
    assert_eq!(job.taken(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_failed_is_due_at_once_and_its_reason_is_kept() {
    let world = World::new();
    let jobs = world.jobs().await;
    jobs.start(Scripted::new([failure()]));
    settled(&jobs).await;
    let jobs = world.jobs().await;
    let job = Scripted::new([None]);
    jobs.start_when_due(job.clone());
    assert_eq!(jobs.reports().remove(0).last_error(), Some("count: not yet"));
    settled(&jobs).await;
    assert_eq!(job.taken(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_often_is_written_down_once_a_minute_and_at_each_change_of_its_outcome() {
    let world = World::new();
    let jobs = world.jobs().await;
    let often = || Some(Ok(Next::After(Duration::from_secs(5))));
    let job = Scripted::new((0..60).map(|_| often()).chain([failure(), failure(), often(), often()]));
    jobs.start(job.clone());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.writes().await, 1);
    tokio::time::sleep(Duration::from_secs(60 * 5 - 6)).await;
    assert_eq!((job.taken(), world.writes().await), (60, 5));
    // The first failure, and the first success again.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((job.taken(), world.writes().await), (63, 7));
    // What rests with something unwritten is written when the minute is over.
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!((job.taken(), world.writes().await), (65, 8));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((job.taken(), world.writes().await), (65, 8));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_asked_for_is_written_before_the_answer() {
    let world = World::new();
    let jobs = world.jobs().await;
    jobs.start(Scripted::new([]));
    settled(&jobs).await;
    world.clock.advance(Duration::from_secs(3));
    let report = jobs.run("scripted").await.unwrap();
    assert_eq!((report.steps, world.writes().await), (2, 2));
    assert_eq!(report.last_success, Some(world.clock.now()));
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_was_not_written_yet() {
    let world = World::new();
    let jobs = world.jobs().await;
    let job = Scripted::new([Some(Ok(Next::After(Duration::from_secs(5))))]);
    jobs.start(job.clone());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((job.taken(), world.writes().await), (2, 1));
    jobs.stop(Duration::from_secs(1)).await;
    assert_eq!(world.writes().await, 2);
}

#[test]
#[should_panic(expected = "lower-case words joined by hyphens")]
fn a_name_of_another_form_is_refused() {
    struct Named;
    impl Job for Named {
        fn name(&self) -> &'static str {
            "two words"
        }
        fn step(&self) -> BoxFuture<'_, Result<Next>> {
            Box::pin(std::future::pending())
        }
        fn status(&self) -> String {
            String::new()
        }
    }
    Jobs::new(Arc::new(FakeClock::default())).start(Arc::new(Named));
}
