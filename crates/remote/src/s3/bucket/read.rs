//! Reading a range of an object, again from where it broke off.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http::{HeaderMap, Method, StatusCode};
use larder_base::{BlobStream, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Bucket, SLOWEST};
use crate::s3::sign::Request;

const GET: &str = "get object";
/// The longest piece of a stream of ours.
const PIECE_MAX_LEN: usize = 2 << 20;

/// A range that is being read.
struct Reading {
    bucket: Bucket,
    key: String,
    offset: u64,
    left: u64,
    /// What the object was when the reading began: a rest of another object would be no rest.
    etag: Option<String>,
    body: Option<BlobStream>,
    piece: Bytes,
    breaks: u32,
    deadline: Instant,
}

impl Bucket {
    /// `length` bytes of an object from `offset` on; `None` when there is no such object. The stream ends after exactly so
    /// many bytes or with an error; a connection that breaks is made again for the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when the object is shorter than that; what the store refuses. In the stream also
    /// [`ErrorKind::Unavailable`] when the rest does not come.
    pub async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<BlobStream>> {
        self.inner.place.check_key(key)?;
        if length == 0 {
            // HTTP has no words for an empty range.
            let empty = || larder_base::stream_of(Bytes::new());
            return Ok(self.head(key).await?.map(|_| empty()));
        }
        let time = self.inner.http.policy().total + std::time::Duration::from_secs(length / SLOWEST);
        let mut reading = Reading {
            bucket: self.clone(),
            key: key.to_owned(),
            offset,
            left: length,
            etag: None,
            body: None,
            piece: Bytes::new(),
            breaks: 0,
            deadline: Instant::now() + time,
        };
        if !reading.begin().await? {
            return Ok(None);
        }
        Ok(Some(Box::pin(stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        }))))
    }
}

impl Bucket {
    /// The bytes of an object from `offset` on, at most `length` of them: fewer where it ends, none beyond. `None` when there
    /// is no such object. All of it is read before this returns.
    ///
    /// # Errors
    /// What the store refuses; [`ErrorKind::Corrupt`] when it answers with other bytes.
    pub async fn get_at_most(&self, key: &str, offset: u64, length: u64) -> Result<Option<Bytes>> {
        self.inner.place.check_key(key)?;
        if length == 0 {
            return Ok(self.head(key).await?.map(|_| Bytes::new()));
        }
        // versitygw and MinIO ignore a range with a number beyond 63 bits, and send all of the object.
        let last = offset.saturating_add(length - 1).min(i64::MAX as u64).max(offset);
        let mut request = Request::new(GET, Method::GET, Some(key));
        request.plain.push(("range", format!("bytes={offset}-{last}")));
        let limit = usize::try_from(length).unwrap_or(usize::MAX);
        match self.ask(&request, limit).await? {
            Answer::Good(answer) => {
                let begins_there = match answer.status() {
                    StatusCode::PARTIAL_CONTENT => range_of(answer.headers()).is_some_and(|(first, _)| first == offset),
                    // All of it, from a store that knows no ranges.
                    _ => offset == 0,
                };
                if begins_there {
                    return Ok(Some(answer.into_body()));
                }
                let what = format!("bytes from {offset} on were asked for, and others came");
                Err(self.failure(ErrorKind::Corrupt, GET, Some(key), &what))
            }
            Answer::Refused(refusal) if refusal.is_absence() => Ok(None),
            Answer::Refused(refusal) if refusal.status == StatusCode::RANGE_NOT_SATISFIABLE => Ok(Some(Bytes::new())),
            Answer::Refused(refusal) => Err(self.error(&request, &refusal)),
        }
    }
}

/// The first and the last byte that an answer holds, by its `Content-Range`.
fn range_of(headers: &HeaderMap) -> Option<(u64, u64)> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (first, last) = range.split('/').next()?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

impl Reading {
    /// Opens the rest of the range; `false` when there is no object.
    async fn begin(&mut self) -> Result<bool> {
        let last = self.offset.saturating_add(self.left - 1);
        let mut request = Request::new(GET, Method::GET, Some(&self.key));
        request.plain.push(("range", format!("bytes={}-{last}", self.offset)));
        if let Some(etag) = &self.etag {
            request.plain.push(("if-match", etag.clone()));
        }
        let answer = match self.bucket.open(&request).await? {
            Answer::Good(answer) => answer,
            Answer::Refused(refusal) if refusal.is_absence() => return Ok(false),
            Answer::Refused(refusal) if refusal.status == StatusCode::PRECONDITION_FAILED => {
                return Err(self.bucket.failure(
                    ErrorKind::Corrupt,
                    GET,
                    Some(&self.key),
                    "was changed while it was read",
                ));
            }
            Answer::Refused(refusal) => return Err(self.bucket.error(&request, &refusal)),
        };
        let (head, body) = answer.into_parts();
        if !self.is_answered(head.status, &head.headers) {
            let what = format!("bytes {} to {last} were asked for, and others came, or fewer", self.offset);
            return Err(self.bucket.failure(ErrorKind::Corrupt, GET, Some(&self.key), &what));
        }
        self.etag = head.headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.body = Some(body);
        Ok(true)
    }

    /// Whether an answer holds exactly the range.
    fn is_answered(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let whole = header(CONTENT_LENGTH).and_then(|text| text.parse().ok());
        if status == StatusCode::OK {
            // A store that knows no ranges, or an object that is the range.
            return self.offset == 0 && whole == Some(self.left);
        }
        status == StatusCode::PARTIAL_CONTENT
            && range_of(headers) == Some((self.offset, self.offset + (self.left - 1)))
            && whole.is_none_or(|whole: u64| whole == self.left)
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if !self.piece.is_empty() {
                let length = self.piece.len().min(PIECE_MAX_LEN);
                return Ok(Some(self.piece.split_to(length)));
            }
            if self.left == 0 {
                return Ok(None);
            }
            let broken = |what: &str| self.bucket.failure(ErrorKind::Unavailable, GET, Some(&self.key), what);
            let body = self.body.as_mut().expect("a reading has begun before it is read");
            let problem = match timeout_at(self.deadline, body.next()).await {
                Ok(Some(Ok(piece))) if piece.len() as u64 <= self.left => {
                    self.left -= piece.len() as u64;
                    self.offset += piece.len() as u64;
                    self.piece = piece;
                    continue;
                }
                Ok(Some(Ok(_))) => return Err(broken("came with more bytes than were announced")),
                Ok(Some(Err(error))) => broken(&format!("broke off: {}", error.message())).with_source(error),
                Ok(None) => broken("came with fewer bytes than were announced"),
                Err(_) => return Err(broken("came too slowly")),
            };
            self.breaks += 1;
            let (http, policy) = (&self.bucket.inner.http, self.bucket.inner.http.policy());
            if self.breaks >= policy.tries {
                return Err(problem);
            }
            tokio::time::sleep(http.pauses().after(self.breaks, policy.first_pause)).await;
            if !self.begin().await? {
                return Err(self.bucket.failure(
                    ErrorKind::Corrupt,
                    GET,
                    Some(&self.key),
                    "vanished while it was read",
                ));
            }
        }
    }
}
