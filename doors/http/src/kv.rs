//! Plain keys and values: HTTP as the standards have it, and every failure told.
//!
//! A value keeps the `Content-Type` it was put with. Values are shown to browsers as strangers' data: no scripts, and no
//! guessing at types.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};
use larder_base::{Access, Attributes, Entry, Error, Key, Result};

use crate::profile::Profile;
use crate::reply::{self, OCTETS};
use crate::soft::Verb;
use crate::upload::Upload;

/// The attribute that holds a value's type.
const TYPE: &str = "content-type";

/// The namespace and the key, percent-decoded.
type Address = Path<(String, String)>;

pub(crate) fn routes(profile: Profile) -> Router {
    let methods = routing::head(head).get(get).put(put).delete(delete);
    Router::new().route("/http/kv/{namespace}/{*key}", methods).with_state(profile)
}

async fn get(State(profile): State<Profile>, Path((namespace, key)): Address, request: Request) -> Response {
    let headers = request.headers();
    let found = value(&profile, headers, &namespace, &key).await;
    profile.finish(Verb::Read, headers, found)
}

async fn value(profile: &Profile, headers: &HeaderMap, namespace: &str, key: &str) -> Result<Response> {
    let caller = profile.reader(headers, namespace)?;
    let Some(entry) = profile.find(&caller, &key.parse::<Key>()?, Access::Serve).await? else {
        return Ok(reply::miss());
    };
    let range = larder_door::range_of(headers, entry.blob.size);
    let response = profile.serve(&caller, &entry, range, type_of(&entry)).await?;
    Ok(guarded(reply::with_ranges(response)))
}

async fn head(State(profile): State<Profile>, Path((namespace, key)): Address, request: Request) -> Response {
    let headers = request.headers();
    let found = size(&profile, headers, &namespace, &key).await;
    profile.finish(Verb::Read, headers, found)
}

async fn size(profile: &Profile, headers: &HeaderMap, namespace: &str, key: &str) -> Result<Response> {
    let caller = profile.reader(headers, namespace)?;
    let entry = profile.find(&caller, &key.parse::<Key>()?, Access::Check).await?;
    Ok(entry
        .map_or_else(reply::miss, |entry| guarded(reply::with_ranges(reply::head(entry.blob.size, type_of(&entry))))))
}

async fn put(State(profile): State<Profile>, Path((namespace, key)): Address, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let upload = Upload::new(&head.headers, body, profile.max_value());
    let kept = keep(&profile, &head.headers, &namespace, &key, &upload).await;
    profile.finish_write(&head.headers, &upload, kept).await
}

async fn keep(profile: &Profile, headers: &HeaderMap, namespace: &str, key: &str, upload: &Upload) -> Result<Response> {
    let caller = profile.writer(headers, namespace)?;
    let key = key.parse::<Key>()?;
    let mut attributes = Attributes::new();
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        let text = content_type
            .to_str()
            .map_err(|_| Error::invalid("read content type", "it holds more than visible ASCII characters"))?;
        attributes.insert(TYPE.to_owned(), text.to_owned());
    }
    profile.keep(&caller, &key, headers, upload, attributes).await
}

async fn delete(State(profile): State<Profile>, Path((namespace, key)): Address, request: Request) -> Response {
    let headers = request.headers();
    let removed = remove(&profile, headers, &namespace, &key).await;
    profile.finish(Verb::Remove, headers, removed)
}

async fn remove(profile: &Profile, headers: &HeaderMap, namespace: &str, key: &str) -> Result<Response> {
    let caller = profile.writer(headers, namespace)?;
    let removed = profile.cache().delete(&caller, &key.parse::<Key>()?).await?;
    Ok(if removed { reply::done() } else { reply::miss() })
}

fn type_of(entry: &Entry) -> HeaderValue {
    entry.attributes.get(TYPE).and_then(|text| HeaderValue::from_str(text).ok()).unwrap_or(OCTETS)
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

#[cfg(test)]
mod tests;
