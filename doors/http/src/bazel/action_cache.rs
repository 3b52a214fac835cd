//! Results of actions by the hash of the action.
//!
//! A result is kept as the protocol's message, byte for byte as it was put, and served as that or, to who asks for
//! `application/json`, as the message's JSON form.

use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use larder_base::{
    Access, ByteRange, ContentHash, Entry, EntryBody, Error, Key, NewEntry, PutIf, PutOutcome, Result, chunk, collect,
    stream_of,
};
use larder_cache::Caller;
use larder_door::RangeHeader;
use larder_proto::reapi_action::ActionResult;
use prost::Message;

use super::completeness;
use crate::profile::Profile;
use crate::reply::{self, JSON, OCTETS};
use crate::upload::Upload;

/// The most bytes of a result: tens of thousands of output files.
const RESULT_MAX: usize = 16 << 20;

pub(super) async fn read(
    profile: &Profile,
    caller: &Caller,
    headers: &HeaderMap,
    key: &Key,
    access: Access,
) -> Result<Response> {
    let Some(entry) = profile.find(caller, key, access).await? else { return Ok(reply::miss()) };
    if wants_json(headers) {
        return as_json(profile, caller, &entry).await;
    }
    match access {
        Access::Check => Ok(reply::head(entry.blob.size, OCTETS)),
        Access::Serve => profile.serve(caller, &entry, RangeHeader::Whole, OCTETS).await,
    }
}

async fn as_json(profile: &Profile, caller: &Caller, entry: &Entry) -> Result<Response> {
    let Some(blob) = profile.cache().value(caller, entry, ByteRange::ALL).await? else { return Ok(reply::miss()) };
    let result = decode(collect(blob.body, RESULT_MAX).await?)?;
    let text = result.to_json().map_err(|error| {
        Error::invalid("read action result", format!("it has no JSON form: {error}")).with_hint("ask for it as it is")
    })?;
    profile.count_sent(text.len() as u64);
    Ok(reply::whole(text.into(), JSON))
}

pub(super) async fn keep(
    profile: &Profile,
    caller: &Caller,
    headers: &HeaderMap,
    key: &Key,
    upload: &Upload,
) -> Result<Response> {
    upload.announced()?;
    let sent = collect(upload.stream(), RESULT_MAX).await?;
    let (result, value) = if is_json(headers) {
        let result = ActionResult::from_json(&sent).map_err(|error| {
            Error::invalid("read action result", format!("its JSON is not an ActionResult: {error}"))
        })?;
        let value = Bytes::from(result.encode_to_vec());
        (result, value)
    } else {
        (decode(sent.clone())?, sent)
    };
    let links = completeness::links(profile.cache(), caller, &result).await?;
    let body = if value.len() <= chunk::MAX_LEN {
        EntryBody::Value(value)
    } else {
        let size = value.len() as u64;
        EntryBody::Stored(profile.cache().put_blob(caller, None, Some(size), stream_of(value)).await?)
    };
    let entry = NewEntry { body, attributes: Default::default(), links, writer: caller.principal().to_string() };
    match profile.cache().put(caller, key, entry, PutIf::Always).await? {
        PutOutcome::Stored(_) | PutOutcome::Kept(_) => Ok(reply::done()),
        PutOutcome::Incomplete(missing) => Ok(incomplete(&missing)),
    }
}

/// A result must not come before the blobs it names: nobody could use it.
fn incomplete(missing: &[ContentHash]) -> Response {
    let shown: Vec<String> = missing.iter().take(5).map(ContentHash::to_hex).collect();
    let reason = format!(
        "put action result: {} of the blobs it names are not here; upload them first, then the result\n{}\n",
        missing.len(),
        shown.join("\n"),
    );
    reply::explained(StatusCode::CONFLICT, reason)
}

fn decode(bytes: Bytes) -> Result<ActionResult> {
    ActionResult::decode(bytes).map_err(|error| {
        Error::invalid("read action result", "the bytes are no ActionResult of the Remote Execution API")
            .with_source(error)
    })
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/json"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
}
