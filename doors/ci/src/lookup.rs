//! What a restore asks first: the entry, and where its chunks are.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use larder_base::{Access, Located, SegmentRange, TransferUrl};
use larder_cache::{Lookup, MissReason};
use larder_proto::ci::{LocateAnswer, LookupAnswer, LookupRequest, Miss, Purpose, Run};
use serde::Deserialize;

use crate::failure::Failure;
use crate::openapi::RawHashes;
use crate::permission::Permission;
use crate::request::{Asked, Asker, Hashes, Json, key_and_fallbacks};
use crate::{Ci, saved};

/// About how many bytes a run has at most. A larger one would leave the client's other connections idle at the end.
const RUN_BYTES: u64 = 8 * 1024 * 1024;

/// The entry under a key, or the newest under the first fallback prefix that has one.
#[utoipa::path(post, path = "/ci/v1/{namespace}/lookup", params(("namespace" = String, Path)),
    request_body = LookupRequest, responses((status = 200, body = LookupAnswer)))]
pub(crate) async fn lookup(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Json(request): Json<LookupRequest>,
) -> Result<axum::Json<LookupAnswer>, Failure> {
    let key = key_and_fallbacks(&request.key, &request.fallbacks)?;
    let access = match request.purpose {
        Purpose::Restore => Access::Serve,
        Purpose::Check => Access::Check,
    };
    let found = ci.cache().lookup_or_newest(&caller, &key, &request.fallbacks, access).await?;
    let answer = match found {
        Lookup::Hit(found) => match saved::show(ci.cache(), &caller, &found).await? {
            Some(saved) => LookupAnswer::Hit(saved),
            None => LookupAnswer::Miss(miss(MissReason::Absent)),
        },
        Lookup::Miss(reason) => LookupAnswer::Miss(miss(reason)),
    };
    Ok(axum::Json(answer))
}

/// Why nothing was found, in words.
pub(crate) fn miss(reason: MissReason) -> Miss {
    Miss { reason: reason.as_str().to_owned() }
}

/// Those of the chunks named in the body that are missing. Body and answer are BLAKE3 hashes of 32 raw bytes each.
#[utoipa::path(post, path = "/ci/v1/{namespace}/missing", params(("namespace" = String, Path)),
    request_body(content = RawHashes, content_type = "application/octet-stream"),
    responses((status = 200, body = RawHashes, content_type = "application/octet-stream")))]
pub(crate) async fn missing(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Hashes(hashes): Hashes,
) -> Result<Response, Failure> {
    let missing = ci.cache().missing(&caller, &hashes).await?;
    let body: Vec<u8> = missing.iter().flat_map(|hash| *hash.as_bytes()).collect();
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Where the chunks named in the body can be fetched. The body is BLAKE3 hashes of 32 raw bytes each. With `through_server`
/// all of it comes from this server, for a client that does not get it from the object store.
#[utoipa::path(post, path = "/ci/v1/{namespace}/locate",
    params(("namespace" = String, Path), ("through_server" = Option<bool>, Query)),
    request_body(content = RawHashes, content_type = "application/octet-stream"),
    responses((status = 200, body = LocateAnswer)))]
pub(crate) async fn locate(
    State(ci): State<Ci>,
    Asker(caller): Asker,
    Asked(way): Asked<Way>,
    Hashes(hashes): Hashes,
) -> Result<axum::Json<LocateAnswer>, Failure> {
    let located = ci.cache().locate(&caller, &hashes).await?;
    let there: HashSet<_> = located.iter().map(|located| located.digest.hash).collect();
    let mut seen = HashSet::new();
    let absent = hashes.iter().filter(|hash| !there.contains(hash) && seen.insert(**hash));
    let absent = absent.map(larder_base::ContentHash::to_hex).collect();
    let ranges = runs(located);
    let direct = match way.through_server {
        false => ci.cache().read_urls(&ranges, ci.settings().url_life()).await?,
        true => vec![None; ranges.len()],
    };
    let run = |(range, direct): (SegmentRange, Option<TransferUrl>)| {
        let granted = || Permission::Read { namespace: caller.namespace().clone(), range }.grant(&ci);
        let TransferUrl { url, headers, .. } = direct.unwrap_or_else(granted);
        Run { url, length: range.length, headers: headers.into_iter().collect() }
    };
    let runs = ranges.into_iter().zip(direct).map(run).collect();
    Ok(axum::Json(LocateAnswer { runs, absent }))
}

/// Which way the bytes are to come.
#[derive(Debug, Deserialize)]
pub(crate) struct Way {
    #[serde(default)]
    through_server: bool,
}

/// The bytes of segments that hold whole records, all of them asked for: records that touch are joined. What lies between two records is never joined in: it may belong to another namespace.
fn runs(mut located: Vec<Located>) -> Vec<SegmentRange> {
    located.sort_unstable_by_key(|record| (record.segment, record.offset));
    // A chunk that was asked for twice is sent once.
    located.dedup_by_key(|record| (record.segment, record.offset));
    let mut runs: Vec<SegmentRange> = Vec::new();
    for Located { segment, offset, length, .. } in located {
        match runs.last_mut() {
            Some(run)
                if run.segment == segment && run.offset + run.length == offset && run.length + length <= RUN_BYTES =>
            {
                run.length += length;
            }
            _ => runs.push(SegmentRange { segment, offset, length }),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
