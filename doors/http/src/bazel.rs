//! Bazel's HTTP protocol, as Bazel, moon and others speak it: an action cache (`ac`) of results that may be replaced, and
//! a store of blobs (`cas`) by their SHA-256.
//!
//! Paths end in `ac/<hash>` or `cas/<hash>`; what stands between the namespace and that is the protocol's instance name.
//! Results of two instances are apart, blobs are shared by the namespace.

mod action_cache;
mod completeness;
mod content;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use larder_base::{Access, ContentHash, Error, Key, Result};

use crate::profile::Profile;
use crate::soft::Verb;
use crate::upload::Upload;

const ROOT: &str = "/http/bazel/";

pub(crate) fn routes(profile: Profile) -> Router {
    let methods = routing::head(head).get(get).put(put);
    Router::new().route("/http/bazel/{namespace}/{*path}", methods).with_state(profile)
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    namespace: &'a str,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// The result of an action: the key is the hash, behind the instance if there is one.
    ActionResult(Key),
    /// A blob.
    Content(ContentHash),
}

fn parse(path: &str) -> Result<Target<'_>> {
    let invalid =
        |problem: &str| Error::invalid("read path", format!("{problem} in {:?}", &path[..path.len().min(200)]));
    let rest = path.strip_prefix(ROOT).ok_or_else(|| invalid("no namespace"))?;
    let (namespace, rest) = rest.split_once('/').ok_or_else(|| invalid("no namespace"))?;
    let (rest, hash) = rest.rsplit_once('/').ok_or_else(|| invalid("no ac/ or cas/"))?;
    // moon with an empty instance name, and URLs that end in a slash, make empty segments.
    let (instance, kind) = rest.rsplit_once('/').unwrap_or(("", rest));
    let instance = instance.trim_matches('/');
    let hash: ContentHash = hash
        .parse()
        .map_err(|_| invalid("no SHA-256 of 64 hexadecimal digits (other digest functions are not known)"))?;
    let kind = match kind {
        "ac" if instance.is_empty() => Kind::ActionResult(hash.to_hex().parse()?),
        "ac" => Kind::ActionResult(format!("{instance}/{hash}").parse()?),
        "cas" => Kind::Content(hash),
        _ => return Err(invalid("no ac/ or cas/")),
    };
    Ok(Target { namespace, kind })
}

async fn get(State(profile): State<Profile>, request: Request) -> Response {
    read(&profile, request.headers(), request.uri().path(), Access::Serve).await
}

async fn head(State(profile): State<Profile>, request: Request) -> Response {
    read(&profile, request.headers(), request.uri().path(), Access::Check).await
}

async fn read(profile: &Profile, headers: &HeaderMap, path: &str, access: Access) -> Response {
    let found = async {
        let target = parse(path)?;
        let caller = profile.reader(headers, target.namespace)?;
        match target.kind {
            Kind::ActionResult(key) => action_cache::read(profile, &caller, headers, &key, access).await,
            Kind::Content(hash) => content::read(profile, &caller, headers, &hash, access).await,
        }
    };
    profile.finish(Verb::Read, headers, found.await)
}

async fn put(State(profile): State<Profile>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let upload = Upload::new(&head.headers, body, profile.max_value());
    let kept = keep(&profile, &head.headers, head.uri.path(), &upload).await;
    profile.finish_write(&head.headers, &upload, kept).await
}

async fn keep(profile: &Profile, headers: &HeaderMap, path: &str, upload: &Upload) -> Result<Response> {
    let target = parse(path)?;
    let caller = profile.writer(headers, target.namespace)?;
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let message = format!("a body in Content-Encoding {encoding:?} is not understood");
        return Err(
            Error::invalid("read body", message).with_hint("send it as it is; what is kept is compressed anyway")
        );
    }
    match target.kind {
        Kind::ActionResult(key) => action_cache::keep(profile, &caller, headers, &key, upload).await,
        Kind::Content(hash) => content::keep(profile, &caller, &hash, upload).await,
    }
}

#[cfg(test)]
mod tests;
