//! The Larder above this one as a tier: the client of the tier door.
//!
//! It keeps nothing and decides nothing but which way bytes take: when to ask, and what to do when no answer comes, is its
//! caller's matter. The token is sent with every call, and never to a URL that leads elsewhere. What comes is unverified.

mod direct;
mod entries;
mod fetch;
mod send;
mod transfer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use larder_base::{
    Blob, BlobStream, Blobs, BoxFuture, ByteRange, ContentHash, Digest, Error, ErrorKind, HashFunction, Namespace,
    Result,
};
use larder_proto::tier::{BlobName, HASH_LEN, HASHES_MAX, SIZE_HEADER, split_hashes};

use crate::ci::answer::{failure, is_absence, json, unreadable};
use crate::http::{Call, Payload};
use crate::{HttpClient, ServerUrl};

use direct::Direct;
pub use direct::DirectStatus;

/// The most bytes of an answer that is read as a whole: an entry with all its links.
const ANSWER_MAX_BYTES: usize = 96 * 1024 * 1024;
/// How long the upstream may be silent beyond the usual while it makes what it received durable.
const KEEPING: Duration = Duration::from_secs(50);

/// A Larder above this one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UpstreamTier {
    http: HttpClient,
    server: ServerUrl,
    authorization: Option<HeaderValue>,
    direct: Arc<Direct>,
}

impl UpstreamTier {
    /// The Larder at an address.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a token that no header can hold.
    pub fn new(http: HttpClient, server: ServerUrl, token: Option<&str>) -> Result<Self> {
        let authorization = token.map(crate::ci::bearer).transpose()?;
        Ok(Self { http, server, authorization, direct: Arc::new(Direct::new()) })
    }

    /// Its address.
    pub fn url(&self) -> &ServerUrl {
        &self.server
    }

    /// What moved past it, straight to and from the object store that it uses.
    pub fn direct_status(&self) -> DirectStatus {
        self.direct.status()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers
    }

    fn address(&self, namespace: &Namespace, path: &str) -> String {
        self.server.resolve(&format!("tier/v1/{namespace}"), path)
    }

    fn call(&self, method: Method, namespace: &Namespace, path: &str, body: Bytes) -> Call {
        Call {
            method,
            url: self.address(namespace, path),
            headers: self.headers(),
            body,
            wait: Duration::ZERO,
            advice: None,
        }
    }

    /// The body of an answer that is a success.
    async fn ask(&self, call: &Call) -> Result<Bytes> {
        let answer = self.http.exchange(call, ANSWER_MAX_BYTES).await?;
        Ok(self.good(answer)?.into_body())
    }

    fn good(&self, answer: Response<Bytes>) -> Result<Response<Bytes>> {
        if answer.status().is_success() { Ok(answer) } else { Err(failure(self.server.as_str(), &answer)) }
    }

    /// The answer, its body as a stream; `None` when there is no such thing.
    async fn open(&self, call: &Call) -> Result<Option<Response<BlobStream>>> {
        let answer = self.http.open(call).await?;
        if answer.status().is_success() || answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(Some(answer));
        }
        let (head, body) = answer.into_parts();
        let answer = Response::from_parts(head, larder_base::collect(body, 64 * 1024).await?);
        if answer.status() == StatusCode::NOT_FOUND && is_absence(answer.body()) {
            return Ok(None);
        }
        Err(failure(self.server.as_str(), &answer))
    }

    async fn get_blob(&self, namespace: &Namespace, hash: &ContentHash, range: ByteRange) -> Result<Option<Blob>> {
        let mut call = self.call(Method::GET, namespace, &format!("blobs/{}", text_of(hash)), Bytes::new());
        let nothing = range.length == Some(0);
        if range != ByteRange::ALL {
            // HTTP has no empty range: one byte is asked for and none is taken.
            let end = range.length.and_then(|length| range.offset.checked_add(length.max(1)));
            let last = end.map_or(String::new(), |end| (end - 1).to_string());
            let value = format!("bytes={}-{last}", range.offset);
            call.headers.insert(RANGE, HeaderValue::try_from(value).expect("numbers are fit for a header"));
        }
        let Some(answer) = self.open(&call).await? else { return Ok(None) };
        let size = answer.headers().get(HeaderName::from_static(SIZE_HEADER));
        let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
        let size: u64 = size.ok_or_else(|| unreadable("a blob came without its size"))?;
        let is_empty = nothing || answer.status() == StatusCode::RANGE_NOT_SATISFIABLE;
        let (_, length) = range.within(size);
        let body = if is_empty {
            larder_base::stream_of(Bytes::new())
        } else {
            transfer::in_pieces(transfer::exactly(answer.into_body(), length))
        };
        Ok(Some(Blob { digest: Digest { hash: *hash, size }, body }))
    }

    async fn put_blob(
        &self,
        namespace: &Namespace,
        expected: Option<&ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> Result<Digest> {
        if size.is_some_and(|size| i64::try_from(size).is_err()) {
            return Err(Error::invalid("send blob", "no blob has as many bytes as were announced"));
        }
        // A body that is announced as empty is not looked at when it is sent.
        let body = if size == Some(0) {
            larder_base::stream_of(larder_base::collect(body, 0).await.map_err(|error| match error.kind() {
                ErrorKind::TooLarge => Error::invalid("send blob", "bytes came that were not announced"),
                _ => error,
            })?)
        } else {
            body
        };
        let path = expected.map_or_else(|| "blobs".to_owned(), |hash| format!("blobs/{}", text_of(hash)));
        // Once all announced bytes are sent nobody looks at the stream again: what it ends with must be known before.
        let once = Arc::new(Mutex::new(Some(transfer::held_back(body))));
        let payload = match size {
            None => Payload::Once(once),
            Some(length) => {
                // It is opened once: a put is not repeated here.
                let take = move || {
                    let body = once.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                    body.unwrap_or_else(|| larder_base::stream_of(Bytes::new()))
                };
                Payload::Read { length, open: Arc::new(take) }
            }
        };
        let mut request = Request::new(payload);
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = self.address(namespace, &path).parse().map_err(|error| {
            Error::invalid("send blob", "the address of the upstream is malformed").with_source(error)
        })?;
        *request.headers_mut() = self.headers();
        let (head, body) = self.http.send_once(request, KEEPING).await?.into_parts();
        let answer = Response::from_parts(head, larder_base::collect(body, 64 * 1024).await?);
        digest_of(&json::<BlobName>(self.good(answer)?.body())?)
    }

    async fn ask_missing(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<Vec<ContentHash>> {
        let mut missing = Vec::new();
        let mut batches = hashes.chunks(HASHES_MAX);
        // An empty question is asked too: it tells whether anyone is there.
        let mut batch = batches.next().unwrap_or_default();
        loop {
            let answer = self.ask(&self.call(Method::POST, namespace, "missing", listed(batch))).await?;
            missing.extend(hashes_of(&answer)?);
            match batches.next() {
                Some(next) => batch = next,
                None => return Ok(missing),
            }
        }
    }
}

impl Blobs for UpstreamTier {
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(self.get_blob(namespace, hash, range))
    }

    fn put<'a>(
        &'a self,
        namespace: &'a Namespace,
        expected: Option<&'a ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> BoxFuture<'a, Result<Digest>> {
        Box::pin(self.put_blob(namespace, expected, size, body))
    }

    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>> {
        Box::pin(self.ask_missing(namespace, hashes))
    }
}

/// Hashes as the body of a request.
fn listed(hashes: &[ContentHash]) -> Bytes {
    hashes.iter().flat_map(ContentHash::to_key).collect()
}

fn hashes_of(answer: &[u8]) -> Result<Vec<ContentHash>> {
    let hashes = split_hashes(answer).ok_or_else(|| unreadable("a list of hashes has a broken length"))?;
    hashes.map(known).collect()
}

fn known(hash: &[u8; HASH_LEN]) -> Result<ContentHash> {
    ContentHash::from_key(hash).ok_or_else(|| unreadable("a hash of an unknown function came"))
}

/// A hash as 66 hexadecimal digits.
fn text_of(hash: &ContentHash) -> String {
    format!("{:02x}{hash}", hash.function().code())
}

fn digest_of(name: &BlobName) -> Result<Digest> {
    Ok(Digest { hash: hash_of(&name.hash)?, size: name.size })
}

fn hash_of(text: &str) -> Result<ContentHash> {
    let bad = || Error::new(ErrorKind::Failed, "read answer", format!("{text:?} is no hash"));
    let (code, hex) = text.split_at_checked(2).ok_or_else(bad)?;
    let function = u8::from_str_radix(code, 16).ok().and_then(HashFunction::from_code).ok_or_else(bad)?;
    ContentHash::from_hex(function, hex).map_err(|_| bad())
}

#[cfg(test)]
mod tests;
