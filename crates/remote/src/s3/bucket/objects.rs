//! Whole objects: put and head.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ETAG};
use http::{Method, StatusCode};
use larder_base::{BlobStream, ErrorKind, Result};

use super::{Answer, Bucket, DOCUMENT_MAX_BYTES, PART_MAX_BYTES};
use crate::http::Payload;
use crate::s3::sign::Request;

/// How long a store may take over an object once all of it has come.
pub(super) const STORING: std::time::Duration = std::time::Duration::from_secs(50);

/// The bytes of an object or of a part, which can be sent more than once.
#[derive(Clone)]
pub struct ObjectBody(Payload);

/// What a store tells of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStat {
    /// Its bytes.
    pub size: u64,
    /// The store's name for this content: opaque, and no digest.
    pub etag: Option<String>,
}

impl ObjectBody {
    /// Bytes that are in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Payload::Whole(bytes.into()))
    }

    /// `length` bytes that `open` reads while they are sent, such as a file's: from the start, each time it is called.
    pub fn reading(length: u64, open: impl Fn() -> BlobStream + Send + Sync + 'static) -> Self {
        Self(Payload::Read { length, open: Arc::new(open) })
    }

    /// How many bytes these are.
    pub fn length(&self) -> u64 {
        self.0.length()
    }

    pub(super) fn payload(&self) -> Payload {
        self.0.clone()
    }
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBody").field("length", &self.length()).finish_non_exhaustive()
    }
}

impl Bucket {
    /// Puts a whole object, in place of any of this name. When this returns the store has it durably.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] above 5 GiB, before anything is sent; [`ErrorKind::Invalid`] for a body that has another
    /// length than it announced; what the store refuses.
    pub async fn put_object(&self, key: &str, body: &ObjectBody) -> Result<()> {
        self.need(&self.put(key, body)?, DOCUMENT_MAX_BYTES).await.map(drop)
    }

    /// Puts a whole object unless there is one of this name; says whether it is the one that was put. A try whose answer
    /// was lost makes that `false`.
    ///
    /// # Errors
    /// Those of [`Bucket::put_object`].
    pub async fn put_new(&self, key: &str, body: &ObjectBody) -> Result<bool> {
        let request = self.put(key, body)?.sign("if-none-match", "*");
        match self.ask(&request, DOCUMENT_MAX_BYTES).await? {
            Answer::Good(_) => Ok(true),
            Answer::Refused(refusal) if refusal.status == StatusCode::PRECONDITION_FAILED => Ok(false),
            Answer::Refused(refusal) => Err(self.error(&request, &refusal)),
        }
    }

    /// Whether the store keeps the first object of a name where that is asked for. `key` is used for the trial, and removed.
    /// A store that does not know the condition may take no notice of it, or refuse it.
    ///
    /// # Errors
    /// What the store refuses besides.
    pub async fn keeps_the_first(&self, key: &str) -> Result<bool> {
        self.put_object(key, &ObjectBody::bytes("first")).await?;
        let second = self.put_new(key, &ObjectBody::bytes("other")).await;
        self.delete_object(key).await?;
        match second {
            Ok(was_put) => Ok(!was_put),
            Err(error) if error.kind().may_pass() => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn put<'a>(&self, key: &'a str, body: &ObjectBody) -> Result<Request<'a>> {
        const PUT: &str = "put object";
        self.inner.place.check_key(key)?;
        if body.length() > PART_MAX_BYTES {
            let what = format!("has {} bytes; one request carries at most 5 GiB", body.length());
            return Err(self.failure(ErrorKind::TooLarge, PUT, Some(key), &what));
        }
        let mut request = Request::new(PUT, Method::PUT, Some(key)).body(body.payload());
        request.wait = STORING;
        Ok(request)
    }

    /// Size and tag of an object; `None` when there is none.
    ///
    /// # Errors
    /// What the store refuses. One that may not list answers a missing object with 403: [`ErrorKind::Denied`].
    pub async fn head(&self, key: &str) -> Result<Option<ObjectStat>> {
        const HEAD: &str = "look for object";
        self.inner.place.check_key(key)?;
        let request = Request::new(HEAD, Method::HEAD, Some(key));
        match self.open(&request).await? {
            Answer::Good(answer) => {
                let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
                let size = header(CONTENT_LENGTH).and_then(|length| length.parse().ok()).ok_or_else(|| {
                    self.failure(ErrorKind::Failed, HEAD, Some(key), "was found, and its size was not told")
                })?;
                Ok(Some(ObjectStat { size, etag: header(ETAG).map(str::to_owned) }))
            }
            Answer::Refused(refusal) if refusal.is_absence() => Ok(None),
            Answer::Refused(refusal) => Err(self.error(&request, &refusal)),
        }
    }
}
