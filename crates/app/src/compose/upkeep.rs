//! The store's own work in the background: eviction, pruning, scrubbing, checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_base::{BoxFuture, Result};
use larder_cache::{Job, Jobs, Next};
use larder_store::{Evicted, Pruned, Repacked, Scrubbed, StoreService, StoreStatus};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::sweep::{BucketSweep, ObjectSweep, Removed};
use crate::config::ByteSize;
use crate::words::counted;

/// How often the quota is looked at.
const EVICTION_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for stale rows in the index: a look costs nothing, a pass is made when they are many.
const PRUNING_EVERY: Duration = Duration::from_secs(10);
/// The pause between two steps of a pass, as long as a step or longer: checkpoints wait for it.
const PRUNING_PAUSE: Duration = Duration::from_millis(20);
/// How often the index follows the log when little is written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// Bytes that one step of the scrub reads.
const SCRUB_STEP: u64 = 4 << 20;
/// Bytes a second that the scrub reads: enough to see 100 GiB in a day.
const SCRUB_RATE: u64 = 2 << 20;
/// How long the scrub rests when it has seen everything.
const SCRUB_REST: Duration = Duration::from_secs(3600);

/// How often it is looked for segments that were sealed.
const SHIPPING_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for segments in the bucket that are half dead: the entries are read for it.
const REPACKING_EVERY: Duration = Duration::from_secs(3600);
/// The pause between two steps of that.
const REPACKING_PAUSE: Duration = Duration::from_millis(200);

/// Starts the jobs of a store, and of its bucket if it has one.
pub fn start(jobs: &Jobs, store: &StoreService, sweep: Option<&BucketSweep>) {
    if let Some(sweep) = sweep {
        jobs.start(Arc::new(Shipping { store: store.clone() }));
        let total = Mutex::default();
        jobs.start_when_due(Arc::new(ObjectSweep { store: store.clone(), sweep: sweep.clone(), total }));
        jobs.start_when_due(Arc::new(Repacking { store: store.clone(), pass: Mutex::default() }));
    }
    jobs.start(Arc::new(Eviction { store: store.clone(), total: Mutex::default() }));
    jobs.start(Arc::new(Pruning { store: store.clone(), rows: AtomicU64::new(0) }));
    jobs.start_when_due(Arc::new(Scrub { store: store.clone(), total: Mutex::default() }));
    jobs.start(Arc::new(Checkpoint { store: store.clone() }));
}

/// Brings the data under the quota now, prunes the index if that is due, sweeps the bucket once, and tells what was done.
///
/// # Errors
/// Those of the store.
pub async fn collect(store: &StoreService, sweep: Option<&BucketSweep>) -> Result<Value> {
    let mut total = Evicted::default();
    loop {
        let step = store.blocking(larder_store::Store::evict_step).await?;
        total.add(&step);
        if step.is_none() {
            break;
        }
    }
    let mut pruned = Pruned::default();
    while !pruned.wrapped {
        pruned.add(&store.blocking(larder_store::Store::prune_step).await?);
    }
    let mut removed = Removed::default();
    if let Some(sweep) = sweep {
        while !removed.swept.wrapped {
            removed.add(&sweep.step(store).await?);
        }
    }
    let Removed { swept, checks, .. } = removed;
    let status = store.store().status()?;
    Ok(json!({
        "evicted_segments": total.segments,
        "evicted_blobs": total.blobs,
        "evicted_entries": total.entries,
        "kept": total.kept,
        "offloaded_segments": total.offloaded,
        "freed_bytes": total.bytes,
        "pruned_rows": pruned.rows,
        "deleted_objects": swept.deleted + swept.orphans,
        "deleted_object_bytes": swept.bytes,
        "deleted_check_objects": checks.objects,
        "aborted_check_uploads": checks.uploads,
        "bytes": status.bytes,
        "quota": status.quota,
    }))
}

/// Keeps the data under the quota.
struct Eviction {
    store: StoreService,
    total: Mutex<Evicted>,
}

impl Job for Eviction {
    fn name(&self) -> &'static str {
        "eviction"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let step = self.store.blocking(larder_store::Store::evict_step).await?;
            self.total.lock().add(&step);
            Ok(if step.is_none() { Next::After(EVICTION_EVERY) } else { Next::Now })
        })
    }

    fn status(&self) -> String {
        let total = self.total.lock();
        let (segments, blobs) = (counted(total.segments, "segment"), counted(total.blobs, "blob"));
        format!("{segments} and {blobs} evicted since the start")
    }
}

/// Rids the index of rows of what was evicted.
struct Pruning {
    store: StoreService,
    rows: AtomicU64,
}

impl Job for Pruning {
    fn name(&self) -> &'static str {
        "pruning"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let step = self.store.blocking(larder_store::Store::prune_step).await?;
            self.rows.fetch_add(step.rows, Ordering::Relaxed);
            Ok(if step.wrapped { Next::After(PRUNING_EVERY) } else { Next::Soon(PRUNING_PAUSE) })
        })
    }

    fn status(&self) -> String {
        format!("{} of the index pruned since the start", counted(self.rows.load(Ordering::Relaxed), "row"))
    }
}

/// Puts sealed segments into the bucket.
struct Shipping {
    store: StoreService,
}

impl Job for Shipping {
    fn name(&self) -> &'static str {
        "shipping"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let shipped = self.store.remote(larder_store::Store::ship_next).await?;
            Ok(if shipped.is_some() { Next::Now } else { Next::After(SHIPPING_EVERY) })
        })
    }

    fn status(&self) -> String {
        match self.store.store().status() {
            Ok(StoreStatus { bucket: Some(bucket), .. }) => {
                let shipped = counted(bucket.shipped, "segment");
                format!("{shipped} shipped since the start, {} waiting", bucket.waiting_segments)
            }
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }
}

/// Writes again what lives of half-dead segments in the bucket, so that their objects go.
struct Repacking {
    store: StoreService,
    /// What the present pass did, and what the last whole one did, if there was one.
    pass: Mutex<(Repacked, Option<Repacked>)>,
}

impl Job for Repacking {
    fn name(&self) -> &'static str {
        "repacking"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let step = self.store.remote(larder_store::Store::repack_step).await?;
            let mut pass = self.pass.lock();
            pass.0.add(&step);
            if step.wrapped {
                *pass = (Repacked::default(), Some(pass.0));
            }
            Ok(if step.wrapped { Next::After(REPACKING_EVERY) } else { Next::Soon(REPACKING_PAUSE) })
        })
    }

    fn status(&self) -> String {
        let all = match self.store.store().status() {
            Ok(StoreStatus { bucket: Some(bucket), .. }) => {
                let repacked = counted(bucket.repacked, "segment");
                format!("{repacked} repacked since the start, {}", ByteSize(bucket.repacked_bytes))
            }
            Ok(_) => return String::new(),
            Err(error) => return error.to_string(),
        };
        match self.pass.lock().1 {
            Some(last) => format!(
                "{all}; in the last pass {}, {} of blobs and entries kept, {}",
                counted(last.segments, "segment"),
                counted(last.kept, "record"),
                ByteSize(last.bytes)
            ),
            None => format!("{all}; no pass is complete yet"),
        }
    }
}

/// Reads what is kept again and again, so that damage is found before it is asked for.
struct Scrub {
    store: StoreService,
    total: Mutex<Scrubbed>,
}

impl Job for Scrub {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let step = self.store.blocking(|store| store.scrub_step(SCRUB_STEP)).await?;
            let mut total = self.total.lock();
            total.records += step.records;
            total.bytes += step.bytes;
            total.bad += step.bad;
            Ok(if step.wrapped { Next::After(SCRUB_REST) } else { Next::Soon(step.pause(SCRUB_RATE)) })
        })
    }

    fn status(&self) -> String {
        let total = self.total.lock();
        let records = counted(total.records, "record");
        format!("{records} in {} checked, {} set aside", ByteSize(total.bytes), total.bad)
    }
}

/// Lets the index follow the log, so that a start after a crash has little to read again.
struct Checkpoint {
    store: StoreService,
}

impl Job for Checkpoint {
    fn name(&self) -> &'static str {
        "checkpoint"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            self.store.blocking(larder_store::Store::checkpoint).await?;
            Ok(Next::After(CHECKPOINT_EVERY))
        })
    }

    fn status(&self) -> String {
        let status = self.store.store().status();
        status.map_or_else(|error| error.to_string(), |status| format!("{} since the start", status.checkpoints))
    }
}
