//! What a request brings, parsed to types at once.

use std::collections::HashMap;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::request::Parts;
use larder_base::{ContentHash, HashFunction, Key, Scope, UploadId};
use larder_cache::Caller;
use larder_door::credential_of;
use larder_proto::ci::{FALLBACKS_MAX, HASH_LEN, HASHES_MAX, JSON_MAX_BYTES, split_hashes};
use serde::de::DeserializeOwned;

use crate::Ci;
use crate::failure::Failure;

/// Who asks, as their token says, in the namespace that the path names.
pub(crate) struct Asker(pub(crate) Caller);

impl FromRequestParts<Ci> for Asker {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ci: &Ci) -> Result<Self, Failure> {
        let Segments(segments) = Segments::from_request_parts(parts, ci).await?;
        let namespace = segments.get("namespace").map_or("", String::as_str);
        let credential = credential_of(&parts.headers);
        let caller = ci.cache().authorize(credential.as_ref(), namespace);
        caller.map(Self).map_err(|error| match credential {
            None if error.kind() == larder_base::ErrorKind::Denied => Failure::unauthenticated(&error),
            _ => error.into(),
        })
    }
}

/// The named segments of the path.
pub(crate) struct Segments(HashMap<String, String>);

impl Segments {
    /// The segment of this name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The number in the segment of this name.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        let text = self.text(name);
        text.parse().map_err(|_| Failure::invalid(format!("{text:?} in the path is not a {name}")))
    }

    /// The upload that the path names. What is no id names no upload.
    pub(crate) fn upload(&self) -> Result<UploadId, Failure> {
        self.text("upload").parse().map_err(|_| no_such_upload())
    }
}

/// Says the same of an upload that never was and of one that belongs to somebody else.
pub(crate) fn no_such_upload() -> Failure {
    Failure::not_found("there is no such upload")
        .with_hint("it was never begun, belongs to somebody else, or ended too long ago to be remembered")
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let segments = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        segments.map(|Path(segments)| Self(segments)).map_err(|_| Failure::invalid("the path is not valid UTF-8"))
    }
}

/// A query.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejection| Failure::invalid(rejection.body_text()))
    }
}

/// A JSON body of at most [`JSON_MAX_BYTES`], whatever content type it claims to have.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let body = read(request.into_body(), JSON_MAX_BYTES).await?;
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| Failure::invalid(format!("the body is not the JSON expected here: {error}")))
    }
}

/// A body of hashes, at most [`HASHES_MAX`].
pub(crate) struct Hashes(pub(crate) Vec<ContentHash>);

impl<S: Send + Sync> FromRequest<S> for Hashes {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let body = read(request.into_body(), HASHES_MAX * HASH_LEN).await?;
        let hashes = split_hashes(&body)
            .ok_or_else(|| Failure::invalid("the body must be BLAKE3 hashes of 32 raw bytes, one after the other"))?;
        Ok(Self(hashes.map(|hash| ContentHash::new(HashFunction::TREE, hash)).collect()))
    }
}

async fn read(body: Body, limit: usize) -> Result<axum::body::Bytes, Failure> {
    let stream = larder_door::stream_of_body(body);
    larder_base::collect(stream, limit).await.map_err(|error| match error.kind() {
        larder_base::ErrorKind::TooLarge => Failure::too_large(format!("the body may have at most {limit} bytes")),
        _ => error.into(),
    })
}

/// A key and fallbacks that are prefixes of keys.
pub(crate) fn key_and_fallbacks(key: &str, fallbacks: &[String]) -> Result<Key, Failure> {
    if fallbacks.len() > FALLBACKS_MAX {
        return Err(Failure::too_large(format!("at most {FALLBACKS_MAX} fallbacks may be given")));
    }
    for fallback in fallbacks {
        Key::check_prefix(fallback)?;
    }
    Ok(key.parse()?)
}

/// A scope, where one was given. An empty one is none.
pub(crate) fn scope(text: Option<&str>) -> Result<Option<Scope>, Failure> {
    Ok(text.filter(|text| !text.is_empty()).map(str::parse).transpose()?)
}

/// A hash in hexadecimal.
pub(crate) fn hash(what: &str, hex: &str) -> Result<ContentHash, Failure> {
    ContentHash::from_hex(HashFunction::TREE, hex).map_err(|error| Failure::invalid(format!("{what}: {error}")))
}
