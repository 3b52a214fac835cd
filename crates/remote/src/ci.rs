//! The client of the ci door: one method for each call of the protocol, with parsed answers.
//!
//! Every method is safe to repeat and is repeated as the [`HttpClient`]'s policy says. A server that cannot be reached is
//! [`larder_base::ErrorKind::Unavailable`]. The token goes to the server's own calls only, never to a signed URL.

pub(crate) mod answer;
mod entries;
mod fetch;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use larder_base::{ContentHash, Digest, Error, HashFunction, Key, Namespace, Result, Scope, Timestamp};
use larder_proto::ci::{HASH_LEN, HASHES_MAX, LocateAnswer, LookupRequest, Purpose, Run, split_hashes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::Call;
use crate::signed_url::{DirectWay, SignedUrl};
use crate::{HttpClient, ServerUrl};

pub use entries::{EntryFilter, Shown};
pub use upload::{Begin, Finish, Upload};

/// The most bytes of a JSON answer: a page of entries, or the places of as many chunks as one request may name.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Speaks to the ci door of one server about one namespace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CiClient {
    http: HttpClient,
    server: ServerUrl,
    /// `ci/v1/{namespace}`.
    path: String,
    authorization: Option<HeaderValue>,
    direct: Arc<DirectWay>,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// An entry, under the key or under one that begins as a fallback does.
    Hit(Box<Found>),
    /// Nothing, and why, in a few words.
    Miss(String),
}

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: Key,
    /// The scope it was written in.
    pub scope: Scope,
    /// The saved tree's manifest.
    pub manifest: ManifestAddress,
    /// What two saves with the same content agree on.
    pub content: ContentHash,
    /// How many files it has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was written.
    pub created: Timestamp,
    /// When it was last restored; when it was written, if it never was.
    pub restored: Timestamp,
    /// Who wrote it.
    pub writer: String,
}

/// The name of a manifest, and the chunks it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestAddress {
    /// The name of the whole.
    pub digest: Digest,
    /// Its chunks, in order.
    pub chunks: Vec<Digest>,
}

/// Where chunks can be fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locations {
    /// Each holds whole records, of chunks that were asked for, in any order.
    pub runs: Vec<Run>,
    /// What the namespace does not have.
    pub absent: Vec<ContentHash>,
}

impl CiClient {
    /// A client for one namespace.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] for a token that no header can hold.
    pub fn new(http: HttpClient, server: ServerUrl, namespace: &Namespace, token: Option<&str>) -> Result<Self> {
        let authorization = token.map(bearer).transpose()?;
        let direct = Arc::new(DirectWay::once());
        Ok(Self { http, server, path: format!("ci/v1/{namespace}"), authorization, direct })
    }

    /// The entry under a key, or the newest under the first fallback prefix that has one.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Unavailable`] when the server cannot be reached, and what the server answers.
    pub async fn lookup(&self, key: &Key, fallbacks: &[String], purpose: Purpose) -> Result<Lookup> {
        let request = LookupRequest { key: key.to_string(), fallbacks: fallbacks.to_vec(), purpose };
        let answer = self.post_json("lookup", &request, Duration::ZERO).await?;
        answer::lookup(self.json(answer)?)
    }

    /// Those of `hashes` that the namespace does not have, in the order given. Any number may be asked for.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn missing(&self, hashes: &[ContentHash]) -> Result<Vec<ContentHash>> {
        let mut missing = Vec::new();
        for batch in hashes.chunks(HASHES_MAX) {
            let answer = self.good(self.post_hashes("missing", batch).await?)?;
            let hashes = split_hashes(answer.body())
                .ok_or_else(|| answer::unreadable("the list of missing chunks has a broken length"))?;
            missing.extend(hashes.map(|hash| ContentHash::new(HashFunction::TREE, hash)));
        }
        Ok(missing)
    }

    /// Where the records of chunks can be fetched. Any number may be asked for.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn locate(&self, hashes: &[ContentHash]) -> Result<Locations> {
        let mut locations = Locations::default();
        for batch in hashes.chunks(HASHES_MAX) {
            let path = if self.through_server() { "locate?through_server=true" } else { "locate" };
            let answer: LocateAnswer = self.json(self.post_hashes(path, batch).await?)?;
            locations.runs.extend(answer.runs);
            for absent in &answer.absent {
                locations.absent.push(answer::hash(absent)?);
            }
        }
        Ok(locations)
    }

    async fn post_hashes(&self, path: &str, hashes: &[ContentHash]) -> Result<Response<Bytes>> {
        let mut body = Vec::with_capacity(hashes.len() * HASH_LEN);
        for hash in hashes {
            body.extend_from_slice(hash.as_bytes());
        }
        self.call(Method::POST, path, Some("application/octet-stream"), body.into(), Duration::ZERO).await
    }

    async fn post_json(&self, path: &str, request: &impl Serialize, wait: Duration) -> Result<Response<Bytes>> {
        let body = serde_json::to_vec(request).expect("the protocol's requests have no maps with keys that JSON lacks");
        self.call(Method::POST, path, Some("application/json"), body.into(), wait).await
    }

    async fn get(&self, path: &str, wait: Duration) -> Result<Response<Bytes>> {
        self.call(Method::GET, path, None, Bytes::new(), wait).await
    }

    async fn delete(&self, path: &str) -> Result<Response<Bytes>> {
        self.call(Method::DELETE, path, None, Bytes::new(), Duration::ZERO).await
    }

    /// One call; `path` is relative to the namespace. `wait` is how long the server was asked to take.
    async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&'static str>,
        body: Bytes,
        wait: Duration,
    ) -> Result<Response<Bytes>> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let advice = Some(answer::START_ONE);
        let call = Call { method, url: self.resolve(path), headers, body, wait, advice };
        self.http.exchange(&call, ANSWER_MAX_BYTES).await
    }

    fn resolve(&self, reference: &str) -> String {
        self.server.resolve(&self.path, reference)
    }

    /// What a URL in an answer means, with the headers that it wants.
    fn signed_url(&self, reference: &str, headers: &BTreeMap<String, String>) -> Result<SignedUrl> {
        SignedUrl::new(&self.server, &self.path, reference, headers)
    }

    /// Whether all bytes are to go through the server from now on.
    fn through_server(&self) -> bool {
        !self.direct.is_open()
    }

    /// Notes that a transfer by a URL failed; says whether it led elsewhere than to the server.
    fn note_failed_transfer(&self, url: &SignedUrl) -> bool {
        if url.leads_elsewhere() {
            self.direct.failed();
        }
        url.leads_elsewhere()
    }

    /// The answer, if it is a success.
    fn good(&self, answer: Response<Bytes>) -> Result<Response<Bytes>> {
        if answer.status().is_success() { Ok(answer) } else { Err(answer::failure(self.server.as_str(), &answer)) }
    }

    /// The value in an answer, if it is a success.
    fn json<T: DeserializeOwned>(&self, answer: Response<Bytes>) -> Result<T> {
        answer::json(self.good(answer)?.body())
    }

    /// The value in an answer; `None` when the server says that there is no such thing.
    fn json_or_absent<T: DeserializeOwned>(&self, answer: Response<Bytes>) -> Result<Option<T>> {
        if answer.status() == StatusCode::NOT_FOUND && answer::is_absence(answer.body()) {
            return Ok(None);
        }
        self.json(answer).map(Some)
    }
}

/// The header that carries a token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::invalid("read token", "the token holds a character that no header can hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
