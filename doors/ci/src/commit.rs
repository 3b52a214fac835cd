//! Commits: what arrived is verified, and only then can the entry be seen.
//!
//! Every step can be repeated after a crash at any point: a part that was adopted is not there to be adopted again, an
//! entry that was put is known by the upload that made it, and an upload ends once.

mod verdict;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use larder_base::{BoxFuture, Error, ErrorKind, Result};
use larder_cache::{Job, Next};
use tokio::sync::Mutex;

use crate::Ci;
use crate::failure::describe;
use crate::queue::Turn;
use crate::upload::{Ended, Stage};

/// How often a commit is tried when the store cannot do it now.
const TRIES: u32 = 5;
/// The pause after the first try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// With nothing to do the job waits to be woken; this is for show.
const IDLE: Duration = Duration::from_secs(3600);

/// The job that commits uploads: several keys side by side, one commit at a time of each.
pub(crate) struct Commits {
    ci: Ci,
    running: Mutex<FuturesUnordered<BoxFuture<'static, ()>>>,
    done: AtomicU64,
}

impl Commits {
    pub(crate) fn new(ci: Ci) -> Self {
        Self { ci, running: Mutex::default(), done: AtomicU64::new(0) }
    }
}

impl Job for Commits {
    fn name(&self) -> &'static str {
        "ci-commits"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let mut running = self.running.lock().await;
            while running.len() < self.ci.settings().commit_parallel {
                let Some(turn) = self.ci.queue().take() else { break };
                running.push(Box::pin(take_turn(self.ci.clone(), turn)));
            }
            if running.is_empty() {
                return Ok(Next::After(IDLE));
            }
            tokio::select! {
                _ = running.next() => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
                () = self.ci.queue().arrival() => {}
            }
            Ok(Next::Now)
        })
    }

    fn status(&self) -> String {
        let (waiting, running) = self.ci.queue().lengths();
        format!("{running} running, {waiting} waiting, {} done", self.done.load(Ordering::Relaxed))
    }
}

/// Brings an upload to its end, or leaves it to the next sweep when even that cannot be written down.
async fn take_turn(ci: Ci, turn: Turn) {
    let mut pause = FIRST_PAUSE;
    for left in (0..TRIES).rev() {
        let Err(error) = commit(&ci, &turn).await else { break };
        tracing::warn!(upload = %turn.upload, error = describe(&error), left, "commit could not be done");
        if left > 0 {
            tokio::time::sleep(pause).await;
            pause *= 2;
        } else if let Err(error) = end(&ci, &turn, Ended::failed(describe(&error))).await {
            tracing::warn!(upload = %turn.upload, error = describe(&error), "the end of an upload could not be written");
        }
    }
    ci.queue().done(&turn);
}

/// Commits an upload.
///
/// # Errors
/// Those that may be gone at the next try; what will stay wrong is an end.
async fn commit(ci: &Ci, turn: &Turn) -> Result<()> {
    let Some(kept) = ci.uploads().read(&turn.upload).await? else { return Ok(()) };
    let Stage::Finishing(claim) = &kept.upload.stage else { return Ok(()) };
    let ended = match verdict::verdict(ci, &turn.upload, &kept.upload, claim).await {
        Ok(ended) => ended,
        Err(error) if may_pass(&error) => return Err(error),
        Err(error) => Ended::failed(describe(&error)),
    };
    end(ci, turn, ended).await
}

fn may_pass(error: &Error) -> bool {
    error.kind().may_pass() || error.kind() == ErrorKind::Failed
}

async fn end(ci: &Ci, turn: &Turn, ended: Ended) -> Result<()> {
    let Some(mut kept) = ci.uploads().read(&turn.upload).await? else { return Ok(()) };
    if matches!(kept.upload.stage, Stage::Finishing(_)) {
        tracing::info!(upload = %turn.upload, namespace = %turn.address.namespace, key = %turn.address.key,
            state = ended.state.as_str(), reason = ended.reason.as_deref(), "upload ended");
        kept.upload.stage = Stage::Ended(ended);
        // Another server may have been quicker; then its word counts.
        ci.uploads().write(&turn.upload, &kept.upload, kept.revision).await?;
    }
    ci.discard(&turn.upload).await
}
