//! The NAME door: values under keys.

mod answer;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::get;
use http::{HeaderMap, Response, StatusCode};
use larder_base::{Access, Attributes, ByteRange, Key, PutIf, Result};
use larder_cache::{Caller, DoorCache, Lookup};
use larder_door::{Door, Section, body_of, credential_of, stream_of_body};
use serde::Deserialize;

/// This door.
pub const DOOR: Door = Door { name: "NAME", about: "values under keys", open, helpers: &[] };

/// The section `[door.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The largest value, in bytes.
    max_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_bytes: 1 << 30 }
    }
}

#[derive(Clone)]
struct Shared {
    cache: DoorCache,
    settings: Settings,
}

fn open(section: Section, cache: DoorCache) -> Result<Router> {
    let shared = Shared { cache, settings: section.parse()? };
    Ok(Router::new().route("/NAME/{namespace}/{*key}", get(read).put(write)).with_state(shared))
}

async fn read(
    State(shared): State<Shared>,
    Path((namespace, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let found = value_of(&shared, &namespace, &key, &headers).await;
    found.unwrap_or_else(|error| answer::to_read(&error))
}

async fn value_of(shared: &Shared, namespace: &str, key: &str, headers: &HeaderMap) -> Result<Response<Body>> {
    let (caller, key) = parse(shared, namespace, key, headers)?;
    let Lookup::Hit(found) = shared.cache.lookup(&caller, &key, Access::Serve).await? else {
        return Ok(answer::empty(StatusCode::NOT_FOUND));
    };
    Ok(match shared.cache.value(&caller, &found.entry, ByteRange::ALL).await? {
        Some(blob) => Response::new(body_of(blob.body, blob.digest.size)),
        None => answer::empty(StatusCode::NOT_FOUND),
    })
}

async fn write(
    State(shared): State<Shared>,
    Path((namespace, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let stored = keep(&shared, &namespace, &key, &headers, body).await;
    stored.unwrap_or_else(|error| answer::to_write(&error))
}

async fn keep(shared: &Shared, namespace: &str, key: &str, headers: &HeaderMap, body: Body) -> Result<Response<Body>> {
    let (caller, key) = parse(shared, namespace, key, headers)?;
    let body = stream_of_body(body);
    let limit = shared.settings.max_bytes;
    shared.cache.put_value(&caller, &key, body, Attributes::new(), PutIf::Always, limit).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

fn parse(shared: &Shared, namespace: &str, key: &str, headers: &HeaderMap) -> Result<(Caller, Key)> {
    let caller = shared.cache.authorize(credential_of(headers).as_ref(), namespace)?;
    Ok((caller, key.parse()?))
}

#[cfg(test)]
mod tests;
