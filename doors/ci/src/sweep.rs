//! The sweep: takes up what an earlier process left, and takes away what nobody will come back for.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use larder_base::{BoxFuture, Result, UploadId};
use larder_cache::{Job, Next};

use crate::Ci;
use crate::upload::{Ended, Stage};

/// How often it is looked.
const PAUSE: Duration = Duration::from_secs(60);
/// Uploads that are read at once.
pub(crate) const PAGE: usize = 256;

/// The job that sweeps.
pub(crate) struct Sweep {
    ci: Ci,
    last: Mutex<Swept>,
}

/// What a sweep found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Swept {
    /// Uploads that are remembered.
    uploads: usize,
    /// Of these, put into the commit queue, or found in it.
    queued: usize,
    /// Left alone for too long, and given up.
    abandoned: usize,
    /// Ended long ago, and forgotten.
    forgotten: usize,
    /// Uploads whose parts were taken away.
    discarded: usize,
}

impl Sweep {
    pub(crate) fn new(ci: Ci) -> Self {
        Self { ci, last: Mutex::default() }
    }

    async fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        // First the parts, then the uploads: every part is of an upload that was registered before it came, so a part
        // seen here whose upload is not seen below has none.
        let parts = self.ci.cache().waiting_parts(None).await?;
        let mut orphans: BTreeSet<UploadId> = parts.into_iter().map(|part| part.upload).collect();
        let mut after = None;
        loop {
            let (page, next) = self.ci.uploads().page(after.as_deref(), PAGE).await?;
            for line in page {
                swept.uploads += 1;
                if line.is_ended {
                    // Another server may have ended it.
                    self.ci.open_uploads().forget(&line.id);
                    self.forget_if_old(&line.id, line.changed, &mut swept).await?;
                } else if self.keep_going(&line.id, &mut swept).await? {
                    orphans.remove(&line.id);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        for upload in &orphans {
            if !self.is_wanted(upload).await? {
                self.ci.discard(upload).await?;
                swept.discarded += 1;
            }
        }
        Ok(swept)
    }

    async fn forget_if_old(&self, id: &UploadId, ended: larder_base::Timestamp, swept: &mut Swept) -> Result<()> {
        if self.ci.cache().clock().now().since(ended) > self.ci.settings().upload_kept() {
            self.ci.uploads().remove(id).await?;
            // An adoption that was under way when the upload ended may have noted something since.
            self.ci.arrivals().forget(id);
            swept.forgotten += 1;
        }
        Ok(())
    }

    /// Does what an upload that has not ended needs; says whether its parts are still wanted.
    async fn keep_going(&self, id: &UploadId, swept: &mut Swept) -> Result<bool> {
        let Some(mut kept) = self.ci.uploads().read(id).await? else { return Ok(false) };
        match kept.upload.stage {
            Stage::Finishing(_) => {
                self.ci.open_uploads().ensure(id, &kept.upload);
                self.ci.queue().ensure(id, kept.upload.address(&self.ci));
                swept.queued += 1;
                Ok(true)
            }
            Stage::Open => {
                let idle = self.ci.cache().clock().now().since(kept.changed);
                if idle <= self.ci.settings().upload_idle() {
                    self.ci.open_uploads().ensure(id, &kept.upload);
                    return Ok(true);
                }
                kept.upload.stage = Stage::Ended(Ended::aborted(format!("left alone for {} s", idle.as_secs())));
                // If it was written meanwhile, its client has come back.
                let abandoned = self.ci.uploads().write(id, &kept.upload, kept.revision).await?;
                if abandoned {
                    tracing::info!(upload = %id, key = %kept.upload.key, "upload abandoned");
                    self.ci.discard(id).await?;
                    swept.abandoned += 1;
                }
                Ok(!abandoned)
            }
            Stage::Ended(_) => Ok(false),
        }
    }

    async fn is_wanted(&self, id: &UploadId) -> Result<bool> {
        let kept = self.ci.uploads().read(id).await?;
        Ok(kept.is_some_and(|kept| !matches!(kept.upload.stage, Stage::Ended(_))))
    }
}

impl Job for Sweep {
    fn name(&self) -> &'static str {
        "ci-sweep"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            let swept = self.sweep().await?;
            *self.last.lock().expect("nothing panics while it holds this") = swept;
            Ok(Next::After(PAUSE))
        })
    }

    fn status(&self) -> String {
        let Swept { uploads, queued, abandoned, forgotten, discarded } =
            *self.last.lock().expect("nothing panics while it holds this");
        format!(
            "{uploads} uploads, {queued} being committed; last time gave up {abandoned}, forgot {forgotten}, \
             took away the parts of {discarded}"
        )
    }
}
