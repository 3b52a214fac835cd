//! The URLs of parts: one by one, or by batch.

use axum::extract::State;
use larder_base::{PartName, TransferUrl, UploadId};
use larder_cache::Caller;
use larder_proto::ci::{PARTS_BATCH_MAX, PartAnswer, PartLength, PartRequest, PartsAnswer, PartsRequest};

use crate::Ci;
use crate::failure::Failure;
use crate::permission::Permission;
use crate::request::{Asker, Json, Segments};

/// The URL of one part. Asking is a sign of life; ask again when the URL has expired or the part has another length.
#[utoipa::path(post, tag = "upload", operation_id = "part", path = "/ci/v1/{namespace}/uploads/{upload}/parts",
    params(("namespace" = String, Path), ("upload" = String, Path)),
    request_body = PartRequest, responses((status = 200, body = PartAnswer)))]
pub(crate) async fn one_part(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    segments: Segments,
    Json(request): Json<PartRequest>,
) -> Result<axum::Json<PartAnswer>, Failure> {
    let PartRequest { number, length, sent, through_server } = request;
    let (id, part) = (segments.upload()?, PartLength { number, length });
    admit(&ci, &caller, &id, &[part], &sent).await?;
    place(&ci, &caller, &id, part, through_server).await.map(axum::Json)
}

/// The URLs of several parts, in the order asked. All of them are let in, or none. In all else it is as asking for one.
#[utoipa::path(post, tag = "upload", operation_id = "parts", path = "/ci/v1/{namespace}/uploads/{upload}/parts/batch",
    params(("namespace" = String, Path), ("upload" = String, Path)),
    request_body = PartsRequest, responses((status = 200, body = PartsAnswer)))]
pub(crate) async fn several_parts(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    segments: Segments,
    Json(request): Json<PartsRequest>,
) -> Result<axum::Json<PartsAnswer>, Failure> {
    let PartsRequest { parts, sent, through_server } = request;
    let id = segments.upload()?;
    if parts.is_empty() {
        return Err(Failure::invalid("parts: at least one must be named"));
    }
    if parts.len() > PARTS_BATCH_MAX {
        let message = format!("{} parts are asked for at once; at most {PARTS_BATCH_MAX} may be", parts.len());
        return Err(Failure::too_large(message).with_hint("ask several times"));
    }
    let mut numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
    numbers.sort_unstable();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::invalid(format!("part {} is asked for twice", twice[0])));
    }
    admit(&ci, &caller, &id, &parts, &sent).await?;
    let mut places = Vec::with_capacity(parts.len());
    for part in parts {
        places.push(place(&ci, &caller, &id, part, through_server).await?);
    }
    Ok(axum::Json(PartsAnswer { parts: places }))
}

/// Lets parts in, all or none, with one write, and takes note of those that were sent.
async fn admit(ci: &Ci, caller: &Caller, id: &UploadId, parts: &[PartLength], sent: &[u32]) -> Result<(), Failure> {
    loop {
        let mut kept = ci.uploads().of(caller, id).await?;
        for number in sent.iter().filter(|number| kept.upload.parts.contains_key(number)) {
            ci.arrivals().note(PartName { upload: id.clone(), number: *number });
        }
        let admitted = kept.upload.admit_parts(ci.settings(), parts)?;
        // Before any of it is sent: what is new in an entry is never more than the entry.
        ci.cache().quotas().check_fits(caller.namespace(), admitted.bytes)?;
        let quiet = ci.cache().clock().now().since(kept.changed);
        // A write for what is new, and now and then one as a sign of life.
        let is_due = admitted.changed || quiet > ci.settings().upload_idle() / 4;
        if !is_due || ci.uploads().write(id, &kept.upload, kept.revision).await? {
            return Ok(());
        }
    }
}

/// Where a part that was let in goes.
async fn place(
    ci: &Ci,
    caller: &Caller,
    id: &UploadId,
    PartLength { number, length }: PartLength,
    through_server: bool,
) -> Result<PartAnswer, Failure> {
    let part = PartName { upload: id.clone(), number };
    let direct = match through_server {
        false => ci.cache().receive_url(&part, length, ci.settings().url_life()).await?,
        true => None,
    };
    let TransferUrl { url, headers, expires } =
        direct.unwrap_or_else(|| Permission::Send { namespace: caller.namespace().clone(), part, length }.grant(ci));
    Ok(PartAnswer { url, expires_ms: expires.as_millis(), headers: headers.into_iter().collect() })
}
