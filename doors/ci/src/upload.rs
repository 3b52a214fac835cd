//! Uploads, as a client sees them: begin, parts, finish, status, abort.

mod claim;
mod open;
pub(crate) mod parts;
mod record;

use std::time::Duration;

use axum::extract::State;
use larder_base::{Key, UploadId};
use larder_cache::Caller;
use larder_proto::ci::{BeginAnswer, BeginRequest, FinishRequest, UploadStatus, WAIT_MAX_MS};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::Ci;
use crate::failure::Failure;
use crate::request::{Asked, Asker, Json, Segments, no_such_upload};

pub(crate) use claim::Claim;
pub(crate) use open::OpenUploads;
pub(crate) use record::{Ended, Stage, Upload, Uploads};

/// Registers an upload, before any of its bytes move.
#[utoipa::path(post, path = "/ci/v1/{namespace}/uploads", params(("namespace" = String, Path)),
    request_body = BeginRequest, responses((status = 200, body = BeginAnswer)))]
pub(crate) async fn begin(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Json(request): Json<BeginRequest>,
) -> Result<axum::Json<BeginAnswer>, Failure> {
    let scope = caller.write_scope()?.clone();
    let key: Key = request.key.parse()?;
    let BeginRequest { bytes, files, replace, .. } = request;
    let settings = ci.settings();
    if bytes > settings.max_entry_bytes.0 {
        let message = format!("{key} has {bytes} bytes; an entry may have {} here", settings.max_entry_bytes);
        return Err(Failure::too_large(message).with_hint("save less, or raise max_entry_bytes in [door.ci]"));
    }
    if files > settings.max_files() {
        let message = format!("{key} has {files} files; an entry may have {} here", settings.max_files());
        return Err(Failure::too_large(message).with_hint("save less, or raise max_manifest_bytes in [door.ci]"));
    }
    let upload = Upload::new(&caller, scope, key, bytes, files, replace);
    let room = ci.open_uploads().reserve(&upload, settings.open_uploads).ok_or_else(|| {
        let message = format!("{} has as many uploads open as one may: {}", caller.principal(), settings.open_uploads);
        Failure::busy(message).with_hint("finish or abort some, or wait: one that is left alone ends by itself")
    })?;
    let id = ci.uploads().register(&upload).await?;
    room.fill(&id);
    Ok(axum::Json(BeginAnswer {
        upload: id.to_string(),
        part_max_bytes: settings.part_max_bytes.0,
        parts_max: settings.parts_max(bytes),
        parts_max_bytes: settings.parts_max_bytes(bytes, files),
        idle_ms: millis(settings.upload_idle()),
    }))
}

/// Says what an upload is and hands it to the commit queue. Safe to repeat: the answer is where it stands.
#[utoipa::path(post, path = "/ci/v1/{namespace}/uploads/{upload}/finish",
    params(("namespace" = String, Path), ("upload" = String, Path)),
    request_body = FinishRequest, responses((status = 200, body = UploadStatus)))]
pub(crate) async fn finish(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    segments: Segments,
    Json(request): Json<FinishRequest>,
) -> Result<axum::Json<UploadStatus>, Failure> {
    let id = segments.upload()?;
    let wait = request.wait_ms;
    let claim = Claim::parse(ci.settings(), request)?;
    loop {
        let mut kept = ci.uploads().of(&caller, &id).await?;
        match &kept.upload.stage {
            Stage::Ended(_) => break,
            Stage::Finishing(before) if *before == claim => {
                ci.queue().ensure(&id, kept.upload.address(&ci));
                break;
            }
            Stage::Finishing(_) => {
                return Err(Failure::conflict("the upload was finished before, and as something else"));
            }
            Stage::Open => {
                claim.check(&kept.upload)?;
                let place =
                    ci.queue().reserve().ok_or_else(|| Failure::busy("too many uploads wait to be committed"))?;
                kept.upload.stage = Stage::Finishing(claim.clone());
                if ci.uploads().write(&id, &kept.upload, kept.revision).await? {
                    place.fill(&id, kept.upload.address(&ci));
                    break;
                }
            }
        }
    }
    wait_for_end(&ci, &caller, &id, wait).await
}

/// How long a request is willing to wait.
#[derive(Debug, Deserialize)]
pub(crate) struct Patience {
    #[serde(default)]
    wait_ms: u64,
}

/// Where an upload stands; with `wait_ms` the answer comes when it has ended, or after that time.
#[utoipa::path(get, path = "/ci/v1/{namespace}/uploads/{upload}",
    params(("namespace" = String, Path), ("upload" = String, Path), ("wait_ms" = Option<u64>, Query)),
    responses((status = 200, body = UploadStatus)))]
pub(crate) async fn status(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    segments: Segments,
    Asked(patience): Asked<Patience>,
) -> Result<axum::Json<UploadStatus>, Failure> {
    wait_for_end(&ci, &caller, &segments.upload()?, patience.wait_ms).await
}

/// Gives an upload up, unless it has ended or is being committed.
#[utoipa::path(delete, path = "/ci/v1/{namespace}/uploads/{upload}",
    params(("namespace" = String, Path), ("upload" = String, Path)),
    responses((status = 200, body = UploadStatus)))]
pub(crate) async fn abort(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    segments: Segments,
) -> Result<axum::Json<UploadStatus>, Failure> {
    let id = segments.upload()?;
    loop {
        let mut kept = ci.uploads().of(&caller, &id).await?;
        if kept.upload.stage != Stage::Open {
            return Ok(axum::Json(kept.upload.status(&id)));
        }
        kept.upload.stage = Stage::Ended(Ended::aborted("given up by its client"));
        if ci.uploads().write(&id, &kept.upload, kept.revision).await? {
            ci.discard(&id).await?;
            return Ok(axum::Json(kept.upload.status(&id)));
        }
    }
}

async fn wait_for_end(
    ci: &Ci,
    caller: &Caller,
    id: &UploadId,
    wait_ms: u64,
) -> Result<axum::Json<UploadStatus>, Failure> {
    let deadline = Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MAX_MS));
    // Watched from before the upload is read: an end in between is not slept through.
    let mut ended = ci.queue().ended();
    loop {
        let upload = ci.uploads().of(caller, id).await?.upload;
        let waits = matches!(upload.stage, Stage::Finishing(_));
        if !waits || !matches!(timeout_at(deadline, ended.changed()).await, Ok(Ok(()))) {
            return Ok(axum::Json(upload.status(id)));
        }
    }
}

impl Uploads {
    /// An upload of this caller.
    async fn of(&self, caller: &Caller, id: &UploadId) -> Result<record::Kept, Failure> {
        let kept = self.read(id).await?.filter(|kept| kept.upload.belongs_to(caller));
        kept.ok_or_else(no_such_upload)
    }

    /// Refuses bytes for an upload that takes none any more. What slips through is swept.
    pub(crate) async fn still_open(&self, id: &UploadId) -> Result<(), Failure> {
        match self.read(id).await? {
            None => Err(no_such_upload()),
            Some(kept) if kept.upload.stage == Stage::Open => Ok(()),
            Some(_) => Err(Failure::conflict("the upload takes no parts any more")),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
