//! The sweep: takes away uploads that nobody will come back for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_base::{BoxFuture, Result};
use larder_cache::{Job, Next};

use crate::Tier;
use crate::runs::URL_LIFE;
use crate::uploads::Stage;

/// How often it is looked.
const PAUSE: Duration = Duration::from_secs(60);
/// Uploads that are read at once.
pub(crate) const PAGE: usize = 256;
/// How long an upload may take from its URL to its adoption: a transfer that began in time may go on for a while.
pub(crate) const OPEN_FOR: Duration = URL_LIFE.saturating_mul(2);
/// How long it is remembered what an upload was.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);

/// The job that sweeps.
pub(crate) struct Sweep {
    tier: Tier,
    given_up: AtomicU64,
}

impl Sweep {
    pub(crate) fn new(tier: Tier) -> Self {
        Self { tier, given_up: AtomicU64::new(0) }
    }

    async fn sweep(&self) -> Result<()> {
        let (uploads, now) = (&self.tier.uploads, self.tier.cache.clock().now());
        let mut after = None;
        loop {
            let (page, next) = uploads.page(after.as_deref(), PAGE).await?;
            for line in page {
                let age = now.since(line.changed);
                if line.is_adopted {
                    if age > KEPT_FOR {
                        uploads.remove(&line.id).await?;
                    }
                } else if age > OPEN_FOR {
                    tracing::info!(upload = %line.id, "an upload of a segment was left alone and is given up");
                    self.tier.give_up(&line.id).await?;
                    self.given_up.fetch_add(1, Ordering::Relaxed);
                } else if let Some(upload) = uploads.read(&line.id).await?
                    && upload.stage == Stage::Open
                {
                    uploads.ensure_open(&line.id, &upload);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

impl Job for Sweep {
    fn name(&self) -> &'static str {
        "tier-sweep"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            self.sweep().await?;
            Ok(Next::After(PAUSE))
        })
    }

    fn status(&self) -> String {
        let given_up = self.given_up.load(Ordering::Relaxed);
        format!("{} segments are on their way to the bucket; {given_up} were given up", self.tier.uploads.open_count())
    }
}
