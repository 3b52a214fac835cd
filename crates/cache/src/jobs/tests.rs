use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_base::{BoxFuture, Clock, Error, ErrorKind, Result, Timestamp};
use tokio::sync::Notify;

use super::{Job, JobState, Jobs, Next};

mod restarts;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(5)
    }
}

/// Counts its steps; fails the first `failures` of them.
#[derive(Default)]
struct Counting {
    steps: AtomicU64,
    failures: u64,
    stepped: Notify,
}

impl Job for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let step = self.steps.fetch_add(1, Ordering::SeqCst);
            self.stepped.notify_one();
            if step < self.failures {
                return Err(Error::new(ErrorKind::Unavailable, "count", "not yet"));
            }
            Ok(Next::After(Duration::from_secs(3600)))
        })
    }

    fn status(&self) -> String {
        format!("{} steps", self.steps.load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_at_once_and_again_when_woken_and_stops_in_order() {
    let jobs = Jobs::new(Arc::new(Still));
    let job = Arc::new(Counting::default());
    let handle = jobs.start(job.clone());
    job.stepped.notified().await;
    handle.wake();
    job.stepped.notified().await;
    assert_eq!(job.steps.load(Ordering::SeqCst), 2);
    assert!(jobs.stop(Duration::from_secs(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failing_job_is_tried_again_and_says_why() {
    let jobs = Jobs::new(Arc::new(Still));
    let job = Arc::new(Counting { failures: 1, ..Counting::default() });
    jobs.start(job.clone());
    job.stepped.notified().await;
    tokio::task::yield_now().await;
    let report = jobs.reports().remove(0);
    assert_eq!(report.state, JobState::Failing);
    assert_eq!(report.last_error(), Some("count: not yet"));
    job.stepped.notified().await;
    tokio::task::yield_now().await;
    let report = jobs.reports().remove(0);
    assert_eq!((report.state, report.last_error()), (JobState::Waiting, None));
    assert_eq!(report.status, "2 steps");
}

struct Stuck;

impl Job for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(std::future::pending())
    }

    fn status(&self) -> String {
        String::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_stop_in_time_is_named() {
    let jobs = Jobs::new(Arc::new(Still));
    jobs.start(Arc::new(Stuck));
    tokio::task::yield_now().await;
    assert_eq!(jobs.stop(Duration::from_secs(1)).await, ["stuck"]);
}

/// Takes each step only when told to.
#[derive(Default)]
struct Gated {
    begun: Notify,
    go: Notify,
}

impl Job for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            self.begun.notify_one();
            self.go.notified().await;
            Ok(Next::After(Duration::from_secs(3600)))
        })
    }

    fn status(&self) -> String {
        String::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_asked_for_takes_a_whole_step_that_began_after_the_asking() {
    let jobs = Jobs::new(Arc::new(Still));
    let job = Arc::new(Gated::default());
    jobs.start(job.clone());
    job.begun.notified().await;
    let asked = jobs.run("gated");
    tokio::pin!(asked);
    job.go.notify_one();
    tokio::select! {
        biased;
        report = &mut asked => panic!("the step under way had begun before: {report:?}"),
        () = job.begun.notified() => {}
    }
    job.go.notify_one();
    let report = asked.await.unwrap();
    assert_eq!((report.steps, report.failures), (2, 0));
    assert_eq!(report.last_success, Some(Timestamp::from_millis(5)));
    assert!(jobs.run("no such job").await.is_none());
}
