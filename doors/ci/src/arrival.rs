//! A head start for commits: a part is verified and adopted as soon as it has arrived, while others are still being sent.
//!
//! Nothing depends on it. What is not adopted here the commit adopts; what an abandoned upload leaves are chunks that no
//! entry names, which a repeated save finds present and does not send again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use larder_base::{Adopted, BoxFuture, PartName, Result, UploadId};
use larder_cache::{Job, JobHandle, Next};
use larder_proto::ci::Received;
use tokio::sync::Notify;

use crate::Ci;
use crate::failure::describe;
use crate::upload::Stage;

/// Parts that are verified side by side.
const AT_ONCE: usize = 2;
/// Parts that may wait; the commit takes the rest.
const WAITING_MAX: usize = 1024;
/// With nothing to do the job waits to be woken; this is for show.
const IDLE: Duration = Duration::from_secs(3600);

/// The parts that have arrived and were not looked at yet, and what the others added.
#[derive(Default)]
pub(crate) struct Arrivals {
    line: Mutex<Line>,
    arrived: Notify,
    job: OnceLock<JobHandle>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<PartName>,
    early: HashMap<UploadId, Early>,
}

/// What was adopted early of an upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Early {
    /// What it added.
    pub(crate) received: Received,
    /// The numbers of the parts.
    pub(crate) parts: HashSet<u32>,
}

impl Arrivals {
    /// Names the job that is woken when a part arrives.
    pub(crate) fn wake_with(&self, job: JobHandle) {
        // Set once, when the door is opened.
        let _ = self.job.set(job);
    }

    /// Notes a part that has arrived.
    pub(crate) fn note(&self, part: PartName) {
        let mut line = self.line();
        if line.waiting.len() < WAITING_MAX {
            line.waiting.push_back(part);
            drop(line);
            self.arrived.notify_one();
            if let Some(job) = self.job.get() {
                job.wake();
            }
        }
    }

    /// What was adopted early of an upload.
    pub(crate) fn early(&self, upload: &UploadId) -> Early {
        self.line().early.get(upload).cloned().unwrap_or_default()
    }

    /// Forgets an upload that has ended.
    pub(crate) fn forget(&self, upload: &UploadId) {
        let mut line = self.line();
        line.waiting.retain(|part| part.upload != *upload);
        line.early.remove(upload);
    }

    fn take(&self) -> Option<PartName> {
        self.line().waiting.pop_front()
    }

    fn add(&self, part: &PartName, adopted: Adopted) {
        let mut line = self.line();
        let early = line.early.entry(part.upload.clone()).or_default();
        early.received.chunks += adopted.records;
        early.received.stored_bytes += adopted.stored_bytes;
        early.received.raw_bytes += adopted.raw_bytes;
        early.parts.insert(part.number);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Every change above is whole before anything could panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The job that adopts parts as they arrive.
pub(crate) struct Adoptions {
    ci: Ci,
    running: tokio::sync::Mutex<FuturesUnordered<BoxFuture<'static, ()>>>,
}

impl Adoptions {
    pub(crate) fn new(ci: Ci) -> Self {
        Self { ci, running: tokio::sync::Mutex::default() }
    }
}

impl Job for Adoptions {
    fn name(&self) -> &'static str {
        "ci-adoptions"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let mut running = self.running.lock().await;
            while running.len() < AT_ONCE {
                let Some(part) = self.ci.arrivals().take() else { break };
                running.push(Box::pin(adopt(self.ci.clone(), part)));
            }
            if running.is_empty() {
                return Ok(Next::After(IDLE));
            }
            tokio::select! {
                _ = running.next() => {}
                () = self.ci.arrivals().arrived.notified() => {}
            }
            Ok(Next::Now)
        })
    }

    fn status(&self) -> String {
        format!("{} parts waiting", self.ci.arrivals().line().waiting.len())
    }
}

async fn adopt(ci: Ci, part: PartName) {
    let adopted = async {
        // An upload that has ended meanwhile has no use for its parts.
        let Some(kept) = ci.uploads().read(&part.upload).await? else { return Ok(None) };
        if matches!(kept.upload.stage, Stage::Ended(_)) {
            return Ok(None);
        }
        let Some(length) = kept.upload.parts.get(&part.number) else { return Ok(None) };
        ci.cache().adopt_part(&kept.upload.caller(), &part, *length).await
    };
    match adopted.await {
        Ok(Some(adopted)) => ci.arrivals().add(&part, adopted),
        Ok(None) => {}
        // The commit meets the same and tells the client.
        Err(error) => tracing::debug!(%part, error = describe(&error), "part could not be adopted early"),
    }
}
