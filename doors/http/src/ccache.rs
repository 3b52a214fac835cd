//! ccache's HTTP protocol: `GET`, `HEAD`, `PUT` and `DELETE` of small values that may be replaced.
//!
//! ccache sends no more than it must and asks for no compression; what it is sent is what was put, byte for byte.

pub(crate) mod key;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing;
use http::HeaderMap;
use larder_base::{Access, Attributes, Error, Key, Result};
use larder_door::RangeHeader;

use crate::profile::Profile;
use crate::reply::{self, OCTETS};
use crate::soft::Verb;
use crate::upload::Upload;

const ROOT: &str = "/http/ccache/";

pub(crate) fn routes(profile: Profile) -> Router {
    let methods = routing::head(head).get(get).put(put).delete(delete);
    Router::new().route("/http/ccache/{namespace}/{*path}", methods).with_state(profile)
}

/// The namespace and the key of a path. Cut from the path as it came: no form of a key needs decoding.
fn parse(path: &str) -> Result<(&str, Key)> {
    let (namespace, rest) = path
        .strip_prefix(ROOT)
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| Error::invalid("read ccache key", "the path has no namespace"))?;
    Ok((namespace, key::key_of_path(rest)?))
}

async fn get(State(profile): State<Profile>, request: Request) -> Response {
    let headers = request.headers();
    let found = value(&profile, headers, request.uri().path()).await;
    profile.finish(Verb::Read, headers, found)
}

async fn value(profile: &Profile, headers: &HeaderMap, path: &str) -> Result<Response> {
    let (namespace, key) = parse(path)?;
    let caller = profile.reader(headers, namespace)?;
    match profile.find(&caller, &key, Access::Serve).await? {
        Some(entry) => profile.serve(&caller, &entry, RangeHeader::Whole, OCTETS).await,
        None => Ok(reply::miss()),
    }
}

async fn head(State(profile): State<Profile>, request: Request) -> Response {
    let headers = request.headers();
    let found = size(&profile, headers, request.uri().path()).await;
    profile.finish(Verb::Read, headers, found)
}

async fn size(profile: &Profile, headers: &HeaderMap, path: &str) -> Result<Response> {
    let (namespace, key) = parse(path)?;
    let caller = profile.reader(headers, namespace)?;
    let entry = profile.find(&caller, &key, Access::Check).await?;
    Ok(entry.map_or_else(reply::miss, |entry| reply::head(entry.blob.size, OCTETS)))
}

async fn put(State(profile): State<Profile>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let upload = Upload::new(&head.headers, body, profile.max_value());
    let kept = keep(&profile, &head.headers, head.uri.path(), &upload).await;
    profile.finish_write(&head.headers, &upload, kept).await
}

async fn keep(profile: &Profile, headers: &HeaderMap, path: &str, upload: &Upload) -> Result<Response> {
    let (namespace, key) = parse(path)?;
    let caller = profile.writer(headers, namespace)?;
    profile.keep(&caller, &key, headers, upload, Attributes::new()).await
}

async fn delete(State(profile): State<Profile>, request: Request) -> Response {
    let headers = request.headers();
    let removed = remove(&profile, headers, request.uri().path()).await;
    profile.finish(Verb::Remove, headers, removed)
}

async fn remove(profile: &Profile, headers: &HeaderMap, path: &str) -> Result<Response> {
    let (namespace, key) = parse(path)?;
    let caller = profile.writer(headers, namespace)?;
    Ok(if profile.cache().delete(&caller, &key).await? { reply::done() } else { reply::miss() })
}

#[cfg(test)]
mod tests;
