//! The bucket: how requests about it are made, repeated and given up.

mod delete;
mod list;
mod multipart;
mod objects;
mod presign;
mod read;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use larder_base::{BlobStream, BoxFuture, Clock, Error, ErrorKind, Result, Timestamp};
use tokio::time::{Instant, timeout};

use super::config::{BucketConfig, Place};
use super::credentials::{CredentialChain, Credentials};
use super::refusal::Refusal;
use super::session::Sessions;
use super::sign::{Authority, Request};
use crate::HttpClient;

pub use list::{ObjectPage, StoredObject};
pub use multipart::{
    MultipartPlan, MultipartUpload, OpenUpload, PART_MAX_BYTES, PART_MIN_BYTES, PARTS_MAX, PartTag, UploadMarker,
    UploadPage,
};
pub use objects::{ObjectBody, ObjectStat};
pub use presign::Presigned;

/// The most bytes of a document: a page of a thousand names, each of a thousand bytes, escaped.
const DOCUMENT_MAX_BYTES: usize = 8 << 20;
/// The most bytes of an error.
const ERROR_MAX_BYTES: usize = 256 << 10;
/// A transfer slower than this is given up, in bytes a second.
const SLOWEST: u64 = 64 << 10;
/// A transfer at this pace, in bytes a second, may still begin again after a fault at its end.
const USUAL: u64 = 1 << 20;
/// Clocks that differ by less are not the reason of a refusal.
const SKEW_MIN_MILLIS: i64 = 30_000;

/// An object store's bucket. Cheap to clone.
///
/// A request that fails in a way that may pass (a broken connection, a stall, 429, 500, 502 to 504, `SlowDown`) is made again,
/// as often as the HTTP client's policy says, with growing and jittered pauses. Every request may therefore arrive twice, and
/// all are made so that this is harmless. A refusal because of the clock teaches the store's time, and one because of an ended
/// session fetches other credentials; each once a request.
///
/// Errors name operation, bucket, object and the store's own code. Names of objects are given, and come back, without the
/// configured prefix. Nothing that is secret, signed URLs included, is in an error or a log.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    credentials: CredentialChain,
    /// Of a directory bucket; other buckets have none.
    sessions: Option<Sessions>,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    /// What the store's clock is ahead of ours, in milliseconds.
    ahead: AtomicI64,
}

/// What came of a request that arrived.
enum Answer<T> {
    Good(Response<T>),
    Refused(Refusal),
}

impl Bucket {
    /// A bucket. Nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a configuration that cannot be right.
    pub fn new(
        config: &BucketConfig,
        credentials: CredentialChain,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let place = config.place()?;
        let sessions = place.is_directory().then(Sessions::default);
        Ok(Self { inner: Arc::new(Inner { place, credentials, sessions, http, clock, ahead: AtomicI64::new(0) }) })
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        self.inner.place.name()
    }

    /// Whether it is a directory bucket (S3 Express One Zone), which is used in sessions and lists objects in no order.
    pub fn is_directory(&self) -> bool {
        self.inner.place.is_directory()
    }

    /// Looks for credentials, so that their absence is told by itself.
    pub(super) async fn find_credentials(&self) -> Result<()> {
        self.credentials(Authority::Account).await.map(drop)
    }

    /// Begins a session if the bucket wants one, so that the want of this right is told by itself.
    pub(super) async fn find_session(&self) -> Result<()> {
        self.credentials(Authority::Session).await.map(drop)
    }

    async fn credentials(&self, authority: Authority) -> Result<Credentials> {
        match (&self.inner.sessions, authority) {
            (Some(sessions), Authority::Session) => sessions.current(self).await,
            _ => self.inner.credentials.current().await,
        }
    }

    /// Whether a refusal calls the credentials ended, or may.
    fn calls_ended(&self, refusal: &Refusal, authority: Authority) -> bool {
        match (&self.inner.sessions, authority) {
            (Some(_), Authority::Session) => refusal.may_be_of_session(),
            _ => refusal.is_of_session(),
        }
    }

    /// Forgets credentials that the store called ended.
    async fn forget(&self, authority: Authority, refused: &Credentials) {
        match (&self.inner.sessions, authority) {
            (Some(sessions), Authority::Session) => sessions.forget(refused),
            _ => self.inner.credentials.forget(refused).await,
        }
    }

    pub(super) fn http(&self) -> &HttpClient {
        &self.inner.http
    }

    /// The moment by this machine's clock.
    pub(super) fn clock_now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The moment by the store's clock, as far as its difference from ours is known.
    pub(super) fn now(&self) -> Timestamp {
        self.moment(self.ahead())
    }

    /// What is added to this machine's clock, in milliseconds.
    pub(super) fn ahead(&self) -> i64 {
        self.inner.ahead.load(Ordering::Relaxed)
    }

    fn moment(&self, ahead: i64) -> Timestamp {
        Timestamp::from_millis(self.inner.clock.now().as_millis().saturating_add_signed(ahead))
    }

    /// Sends a request and reads its whole answer, of at most `limit` bytes. An error inside of a good answer is a refusal.
    async fn ask(&self, request: &Request<'_>, limit: usize) -> Result<Answer<Bytes>> {
        self.repeat(request, move |response| {
            Box::pin(async move {
                let (head, body) = response.into_parts();
                let body = larder_base::collect(body, limit).await?;
                Ok(match Refusal::inside(head.status, &head.headers, &body) {
                    Some(refusal) => Answer::Refused(refusal),
                    None => Answer::Good(Response::from_parts(head, body)),
                })
            })
        })
        .await
    }

    /// As [`Bucket::ask`], and a refusal is an error.
    pub(super) async fn need(&self, request: &Request<'_>, limit: usize) -> Result<Response<Bytes>> {
        match self.ask(request, limit).await? {
            Answer::Good(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(self.error(request, &refusal)),
        }
    }

    /// Sends a request; the body of a good answer is left to read. It is repeated only until the answer begins.
    async fn open(&self, request: &Request<'_>) -> Result<Answer<BlobStream>> {
        self.repeat(request, |response| Box::pin(async move { Ok(Answer::Good(response)) })).await
    }

    fn error(&self, request: &Request<'_>, refusal: &Refusal) -> Error {
        refusal.error(request.operation, &self.inner.place, request.key)
    }

    /// An error about an object that no answer of the store gave.
    fn failure(&self, kind: ErrorKind, operation: &'static str, key: Option<&str>, what: &str) -> Error {
        let place = &self.inner.place;
        let key = key.map_or_else(String::new, |key| format!("/{}{key}", place.prefix()));
        Error::new(kind, operation, format!("s3://{}{key} {what}", place.name()))
    }

    async fn repeat<T>(
        &self,
        request: &Request<'_>,
        receive: impl Fn(Response<BlobStream>) -> BoxFuture<'static, Result<Answer<T>>> + Send,
    ) -> Result<Answer<T>> {
        let policy = self.inner.http.policy();
        let last_start = Instant::now() + policy.total + Duration::from_secs(request.body.length() / USUAL);
        let (mut tried, mut corrected, mut renewed) = (0, false, false);
        loop {
            let credentials = self.credentials(request.authority).await?;
            let ahead = self.ahead();
            tried += 1;
            let answer = self.attempt(request, &credentials, self.moment(ahead), &receive).await;
            let asked = match &answer {
                Ok(Answer::Good(_)) => return answer,
                Ok(Answer::Refused(refusal)) if !corrected && self.corrects_clock(refusal, ahead) => {
                    corrected = true;
                    continue;
                }
                Ok(Answer::Refused(refusal)) if !renewed && self.calls_ended(refusal, request.authority) => {
                    renewed = true;
                    self.forget(request.authority, &credentials).await;
                    continue;
                }
                Ok(Answer::Refused(refusal)) if refusal.may_pass() => refusal.retry_after,
                Err(error) if error.kind() == ErrorKind::Unavailable => None,
                _ => return self.named(request, answer),
            };
            let pause = self.inner.http.pauses().after(tried, policy.first_pause).max(asked.unwrap_or_default());
            if tried >= policy.tries || Instant::now() + pause > last_start {
                return self.named(request, answer);
            }
            let outcome = match &answer {
                Ok(Answer::Refused(refusal)) => format!("{} {}", refusal.status, refusal.code),
                Ok(Answer::Good(_)) => unreachable!("a good answer has been returned"),
                Err(error) => error.to_string(),
            };
            tracing::debug!(
                operation = request.operation,
                key = request.key,
                tried,
                ?pause,
                outcome,
                "will be tried again"
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt<T>(
        &self,
        request: &Request<'_>,
        credentials: &Credentials,
        now: Timestamp,
        receive: &(impl Fn(Response<BlobStream>) -> BoxFuture<'static, Result<Answer<T>>> + Send),
    ) -> Result<Answer<T>> {
        let message = request.message(&self.inner.place, credentials, now)?;
        let length = request.body.length();
        let deadline = self.inner.http.policy().total + request.wait + Duration::from_secs(length / SLOWEST);
        let exchange = async {
            let response = self.inner.http.send_once(message, request.wait).await?;
            if response.status().is_success() {
                return receive(response).await;
            }
            let (head, body) = response.into_parts();
            // What an error says may be lost; that it is one may not.
            let body = larder_base::collect(body, ERROR_MAX_BYTES).await.unwrap_or_default();
            Ok(Answer::Refused(Refusal::of(head.status, &head.headers, &body)))
        };
        timeout(deadline, exchange).await.unwrap_or_else(|_| {
            let what = format!("had no whole answer within {} s", deadline.as_secs());
            Err(Error::new(ErrorKind::Unavailable, "send request", what))
        })
    }

    /// Puts operation and subject in front of what the connection reports.
    fn named<T>(&self, request: &Request<'_>, answer: Result<Answer<T>>) -> Result<Answer<T>> {
        answer.map_err(|error| {
            let mut what = format!("failed: {}", error.message());
            let mut cause = std::error::Error::source(&error);
            while let Some(deeper) = cause {
                what += &format!(": {deeper}");
                cause = deeper.source();
            }
            let failure = self.failure(error.kind(), request.operation, request.key, &what);
            match error.hint() {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        })
    }

    /// Learns the store's time from the refusal of a request that was signed for a clock `ahead` of ours, if that differs so
    /// much that this may be its reason. Another request may have learned it meanwhile; this one is made again all the same.
    fn corrects_clock(&self, refusal: &Refusal, ahead: i64) -> bool {
        let date = refusal.date.filter(|_| refusal.status == 403 || refusal.code == "RequestTimeTooSkewed");
        date.is_some_and(|date| self.learn_clock(date, ahead))
    }

    /// Learns the store's time from what it says that it is, if the one that was taken for it, `ahead` of ours, differs by
    /// more than a little; says whether it does.
    pub(super) fn learn_clock(&self, date: Timestamp, ahead: i64) -> bool {
        let signed = |moment: Timestamp| i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        let off = signed(date).saturating_sub(signed(self.moment(ahead)));
        if off.abs() < SKEW_MIN_MILLIS {
            return false;
        }
        let ahead = signed(date).saturating_sub(signed(self.inner.clock.now()));
        tracing::warn!(bucket = self.name(), seconds = ahead / 1000, "the store's clock differs from this machine's");
        self.inner.ahead.store(ahead, Ordering::Relaxed);
        true
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("place", &self.inner.place).finish_non_exhaustive()
    }
}
