//! The sweep of the bucket: what nothing speaks of goes.

use std::sync::Arc;
use std::time::Duration;

use larder_base::{BoxFuture, Result};
use larder_cache::{Job, Next};
use larder_remote::s3::SweptChecks;
use larder_store::{StoreService, Swept};
use parking_lot::Mutex;

use crate::bucket::Objects;
use crate::config::ByteSize;
use crate::words::counted;

/// How often the bucket is swept from its first object to its last.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// The pause between two pages of a sweep.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// How a bucket is swept.
#[derive(Clone)]
pub(super) struct BucketSweep {
    /// The bucket.
    pub(super) objects: Arc<Objects>,
    /// How old must be what nothing speaks of.
    pub(super) orphan_age: Duration,
}

/// What sweeps removed.
#[derive(Clone, Default)]
pub(super) struct Removed {
    /// Of the store's objects.
    pub(super) swept: Swept,
    /// Of what checks of the bucket left.
    pub(super) checks: SweptChecks,
    /// Why the last sweep could not remove all that checks left, if it could not.
    problem: Option<String>,
}

impl BucketSweep {
    /// One step: a page of the store's objects, and after the last page what checks left.
    ///
    /// # Errors
    /// Those of the bucket and the store; what was not done is done by a later step. That what checks left cannot be removed
    /// is none: it keeps nothing else from being swept.
    pub(super) async fn step(&self, store: &StoreService) -> Result<Removed> {
        let age = self.orphan_age;
        let swept = store.remote(move |store| store.sweep_objects(age)).await?;
        let mut removed = Removed { swept, ..Removed::default() };
        if swept.wrapped {
            match self.objects.sweep_checks(age).await {
                Ok(checks) => removed.checks = checks,
                Err(error) => {
                    tracing::warn!(%error, "what checks of the bucket left cannot be removed; the next sweep tries again");
                    removed.problem = Some(error.to_string());
                }
            }
        }
        Ok(removed)
    }
}

impl Removed {
    /// Adds what another step removed.
    pub(super) fn add(&mut self, step: &Self) {
        self.swept.add(&step.swept);
        self.checks.add(&step.checks);
        if step.swept.wrapped {
            self.problem.clone_from(&step.problem);
        }
    }
}

/// Deletes the objects of evicted segments and those that nothing speaks of, and forgets what is gone.
pub(super) struct ObjectSweep {
    pub(super) store: StoreService,
    pub(super) sweep: BucketSweep,
    pub(super) total: Mutex<Removed>,
}

impl Job for ObjectSweep {
    fn name(&self) -> &'static str {
        "bucket-sweep"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let removed = self.sweep.step(&self.store).await?;
            self.total.lock().add(&removed);
            Ok(if removed.swept.wrapped { Next::After(SWEEP_EVERY) } else { Next::Soon(SWEEP_PAUSE) })
        })
    }

    fn status(&self) -> String {
        let Removed { swept, checks, problem } = self.total.lock().clone();
        let problem =
            problem.map_or_else(String::new, |problem| format!("; what checks left cannot be removed: {problem}"));
        format!(
            "{} of evicted segments and {} deleted ({}), {} forgotten, {} and {} of checks removed since the start{problem}",
            counted(swept.deleted, "object"),
            counted(swept.orphans, "orphan"),
            ByteSize(swept.bytes),
            counted(swept.forgotten, "segment"),
            counted(checks.objects, "object"),
            counted(checks.uploads, "upload")
        )
    }
}
