//! The node: a local store in front of a Larder above it.
//!
//! What a job puts is durable in the local store when it is acknowledged, and is sent up afterwards by a job of the node's
//! own, from a spool that survives it. What a job asks for and the local store lacks is fetched from above, once however
//! many ask, verified, and kept. When nobody above answers, the local store is all there is; no caller hears of it.
//!
//! Entries above are the truth: an entry is looked up there first, unless it still waits here to be sent. Blobs are named by
//! their content, so a local one is as good as any.

mod blobs;
mod circuit;
mod early;
mod entries;
mod fetch;
mod plan;
mod push;
mod segments;
mod spool;
mod turns;
mod unproved;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_base::{Blobs, Bulk, Clock, ContentHash, Entries, Namespace, Result};
use parking_lot::Mutex;
use serde::Serialize;

use crate::cache::Tiers;
use crate::jobs::{JobHandle, Jobs};
use circuit::Circuit;
use early::Early;
use entries::Copies;
use plan::Plans;
use spool::Spool;
use turns::Turns;
use unproved::Unproved;

/// How long a client waits for the Larder above before it gets what is here.
const ANSWER: Duration = Duration::from_secs(5);

/// The Larder above, as its three kinds of calls.
#[derive(Clone)]
pub struct Upstream {
    /// Its blobs.
    pub blobs: Arc<dyn Blobs>,
    /// Its entries.
    pub entries: Arc<dyn Entries>,
    /// Many chunks in one body.
    pub bulk: Arc<dyn Bulk>,
}

/// How a node behaves.
#[derive(Clone, Copy, Debug)]
pub struct NodeOptions {
    /// How many entries may wait to be sent; what is put beyond that stays here, and is counted.
    pub spool_max: usize,
    /// How often what waits is touched, so that the local store keeps it: less than its retention time.
    pub touch_every: Duration,
    /// Bytes that came from above and are proved later, at most: they are on the disk, and eviction cannot free them.
    pub unproved_max_bytes: u64,
    /// A number that no earlier process had: what is planned is numbered from it on.
    pub random: u64,
}

/// A node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    local: Tiers,
    above: Upstream,
    circuit: Circuit,
    spool: Spool,
    plans: Plans,
    /// Blobs that are being fetched whole.
    loads: Arc<Turns<(Namespace, ContentHash)>>,
    /// Runs of records that are being fetched, by the first of them.
    flights: Arc<Turns<(Namespace, ContentHash)>>,
    unproved: Unproved,
    early: Early,
    copies: Mutex<Copies>,
    pushing: Mutex<Option<JobHandle>>,
    proving: Mutex<Option<JobHandle>>,
    clock: Arc<dyn Clock>,
    touch_every: Duration,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    pushed: AtomicU64,
    lost: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    /// Of these, the bytes of parts that were proved.
    kept: AtomicU64,
    bad: AtomicU64,
    /// Parts that were named.
    parts: AtomicU64,
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// What a node is doing.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// Whether the Larder above answers.
    pub reachable: bool,
    /// Why it was last given up.
    pub last_error: Option<String>,
    /// Entries that wait to be sent.
    pub spool_entries: usize,
    /// How many may wait.
    pub spool_max: usize,
    /// How long the oldest has waited, in seconds.
    pub spool_oldest_seconds: u64,
    /// Entries sent since the start.
    pub pushed: u64,
    /// Entries that are another's above: the first write won.
    pub conflicts: usize,
    /// Entries that are not wanted above; they stay here.
    pub refused: usize,
    /// Entries that went away here before they were sent.
    pub lost: u64,
    /// Entries that were not spooled because the spool was full.
    pub dropped: u64,
    /// Bytes of chunks and blobs sent.
    pub bytes_up: u64,
    /// Bytes of chunks and blobs fetched.
    pub bytes_down: u64,
    /// Of these, bytes that are still to be proved: what is in them is not here yet.
    pub bytes_unproved: u64,
    /// Answers whose bytes were not what was asked for.
    pub bad_answers: u64,
    /// Entries from above of which a copy waits for its blobs to have come.
    pub copies_waiting: usize,
    /// The last conflicts and refusals: which entry, and why.
    pub notes: Vec<String>,
}

impl Node {
    /// A node over a local store. Reads the spool that an earlier process left.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn open(local: Tiers, above: Upstream, clock: Arc<dyn Clock>, options: NodeOptions) -> Result<Self> {
        let spool = Spool::open(local.clone(), clock.clone(), options.spool_max).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                local,
                above,
                circuit: Circuit::default(),
                spool,
                plans: Plans::new(options.random),
                loads: Arc::default(),
                flights: Arc::default(),
                unproved: Unproved::new(options.unproved_max_bytes),
                early: Early::default(),
                copies: Mutex::default(),
                pushing: Mutex::default(),
                proving: Mutex::default(),
                clock,
                touch_every: options.touch_every,
                counts: Counts::default(),
            }),
        })
    }

    /// What doors see.
    pub fn tiers(&self) -> Tiers {
        let tier = Arc::new(self.clone());
        Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier }
    }

    /// Starts the node's own work: sending, asking for the upstream while it is away, and proving what came from there.
    pub fn start(&self, jobs: &Jobs) {
        let proving = jobs.start(Arc::new(unproved::Proving::new(self.clone())));
        *self.inner.proving.lock() = Some(proving);
        let pushing = jobs.start(Arc::new(push::Pushing::new(self.clone())));
        *self.inner.pushing.lock() = Some(pushing);
    }

    /// What it is doing.
    pub fn status(&self) -> NodeStatus {
        let Inner { circuit, spool, counts, clock, .. } = &*self.inner;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let spooled = spool.summary(clock.now());
        NodeStatus {
            reachable: circuit.is_closed(),
            last_error: circuit.last_error(),
            spool_entries: spooled.waiting,
            spool_max: spool.max(),
            spool_oldest_seconds: spooled.oldest.as_secs(),
            pushed: read(&counts.pushed),
            conflicts: spooled.conflicts,
            refused: spooled.refused,
            lost: read(&counts.lost),
            dropped: spooled.dropped,
            bytes_up: read(&counts.bytes_up),
            bytes_down: read(&counts.bytes_down),
            bytes_unproved: self.inner.unproved.bytes(),
            bad_answers: read(&counts.bad),
            copies_waiting: self.inner.copies.lock().len(),
            notes: spooled.notes,
        }
    }

    fn wake_pushing(&self) {
        if let Some(job) = &*self.inner.pushing.lock() {
            job.wake();
        }
    }

    fn wake_proving(&self) {
        if let Some(job) = &*self.inner.proving.lock() {
            job.wake();
        }
    }
}

#[cfg(test)]
mod tests;
