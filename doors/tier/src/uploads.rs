//! Uploads: segments that nodes put into the bucket themselves, by a URL, and that are kept as they lie there once every
//! record is verified.
//!
//! An upload is written down before its URL leaves, so a crash at any moment leaves something that the sweep knows of.

mod record;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use larder_base::{ErrorKind, PartName, TransferUrl, UploadId};
use larder_cache::Caller;
use larder_proto::tier::{SMALL_BYTES, SegmentAnswer, UploadAnswer, UploadPlace, UploadRequest};

use crate::Tier;
use crate::failure::Failure;
use crate::request::{self, Asker, Put, no_such_upload};
use crate::runs::URL_LIFE;
use crate::segments::{check_length, told};

use record::Upload;
pub(crate) use record::{Stage, Uploads};

/// The most bytes for which one caller may have URLs of uploads that have not ended; what is more comes through here.
pub(crate) const OPEN_MAX_BYTES: u64 = 8 << 30;

/// `POST uploads`: where a segment is to be put. There may be no such place: then it is to be sent here.
pub(crate) async fn begin(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    request::Json(UploadRequest { length }): request::Json<UploadRequest>,
) -> Result<Json<UploadAnswer>, Failure> {
    tier.cache.check_sends(&caller)?;
    check_length(length)?;
    if length < SMALL_BYTES {
        return Ok(Json(UploadAnswer::default()));
    }
    let upload = Upload::new(&caller, length);
    if !tier.uploads.has_room(&upload, OPEN_MAX_BYTES) {
        return Ok(Json(UploadAnswer::default()));
    }
    let id = tier.new_upload()?;
    let Some(place) = tier.cache.receive_url(&part_of(&id), length, URL_LIFE).await? else {
        return Ok(Json(UploadAnswer::default()));
    };
    if !tier.uploads.register(&id, &upload).await? {
        // The name was used before, which its making makes all but impossible.
        return Ok(Json(UploadAnswer::default()));
    }
    tier.uploads.ensure_open(&id, &upload);
    let TransferUrl { url, headers, expires } = place;
    let headers = headers.into_iter().collect();
    let place = UploadPlace { upload: id.to_string(), url, headers, expires_ms: expires.as_millis() };
    Ok(Json(UploadAnswer { place: Some(place) }))
}

/// `POST uploads/{upload}`: the segment is there. Safe to repeat.
pub(crate) async fn adopt(
    State(tier): State<Tier>,
    Asker(caller): Asker,
    Put(id): Put,
) -> Result<Json<SegmentAnswer>, Failure> {
    tier.cache.check_sends(&caller)?;
    let upload = upload_of(&tier, &caller, &id).await?;
    if let Stage::Adopted(answer) = upload.stage {
        return Ok(Json(answer));
    }
    match tier.cache.adopt_part(&caller, &part_of(&id), upload.length).await {
        Ok(Some(adopted)) => {
            let answer = told(&adopted);
            tier.uploads.end(&id, &upload, answer).await?;
            Ok(Json(answer))
        }
        // Adopted by another call for the same, or nothing was put.
        Ok(None) => match upload_of(&tier, &caller, &id).await?.stage {
            Stage::Adopted(answer) => Ok(Json(answer)),
            Stage::Open => Err(no_such_upload()),
        },
        Err(error) => {
            if error.kind() == ErrorKind::Invalid {
                // It will not become another by asking again.
                tier.give_up(&id).await?;
            }
            Err(error.into())
        }
    }
}

/// `DELETE uploads/{upload}`: the segment will not be put. One that was adopted stays.
pub(crate) async fn abort(State(tier): State<Tier>, Asker(caller): Asker, Put(id): Put) -> Result<StatusCode, Failure> {
    tier.cache.check_sends(&caller)?;
    if upload_of(&tier, &caller, &id).await?.stage == Stage::Open {
        tier.give_up(&id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn upload_of(tier: &Tier, caller: &Caller, id: &UploadId) -> Result<Upload, Failure> {
    let upload = tier.uploads.read(id).await?.filter(|upload| upload.belongs_to(caller));
    upload.ok_or_else(no_such_upload)
}

/// The one part of an upload.
fn part_of(id: &UploadId) -> PartName {
    PartName { upload: id.clone(), number: 1 }
}

impl Tier {
    /// Forgets an upload and what was put for it. What is put later, by a URL that still holds, is an object that nothing
    /// speaks of: the sweep of the bucket takes it.
    pub(crate) async fn give_up(&self, id: &UploadId) -> larder_base::Result<()> {
        self.cache.discard_parts(id).await?;
        self.uploads.remove(id).await
    }
}

#[cfg(test)]
mod tests;
