//! URLs that carry the right to one transfer.

use std::time::Duration;

use http::Method;
use larder_base::{ErrorKind, Result, Timestamp};

use super::{Bucket, PART_MAX_BYTES};
use crate::s3::sign::{LIFETIME_MAX, Request};

const PRESIGN: &str = "sign URL";

/// A URL that its holder may use once or more until its end. It is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The URL.
    pub url: String,
    /// Headers that must be sent as they are, besides the host.
    pub headers: Vec<(&'static str, String)>,
    /// When it ends, by this machine's clock. A transfer that has begun by then may go on.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Presigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presigned").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Bucket {
    /// A URL to PUT an object of exactly `length` bytes. Nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] above 5 GiB, and what [`super::CredentialChain::current`] fails with.
    pub async fn presign_put(&self, key: &str, length: u64, lifetime: Duration) -> Result<Presigned> {
        if length > PART_MAX_BYTES {
            let what = format!("has {length} bytes; one request carries at most 5 GiB");
            return Err(self.failure(ErrorKind::TooLarge, PRESIGN, Some(key), &what));
        }
        let request = Request::new(PRESIGN, Method::PUT, Some(key)).sign("content-length", length.to_string());
        self.presign(request, lifetime).await
    }

    /// As [`Bucket::presign_put`], for an object that is not there yet: the store keeps the first that is put, and answers
    /// every other put by this URL with 412, if [it can](Bucket::keeps_the_first).
    ///
    /// # Errors
    /// As [`Bucket::presign_put`].
    pub async fn presign_new(&self, key: &str, length: u64, lifetime: Duration) -> Result<Presigned> {
        if length > PART_MAX_BYTES {
            let what = format!("has {length} bytes; one request carries at most 5 GiB");
            return Err(self.failure(ErrorKind::TooLarge, PRESIGN, Some(key), &what));
        }
        let request = Request::new(PRESIGN, Method::PUT, Some(key))
            .sign("content-length", length.to_string())
            .sign("if-none-match", "*");
        self.presign(request, lifetime).await
    }

    /// A URL to GET an object, whole or by range.
    ///
    /// # Errors
    /// As [`Bucket::presign_put`].
    pub async fn presign_get(&self, key: &str, lifetime: Duration) -> Result<Presigned> {
        self.presign(Request::new(PRESIGN, Method::GET, Some(key)), lifetime).await
    }

    /// A URL to GET exactly `length` bytes of an object from `offset` on: the range is signed, and no other is served.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no bytes at all, and as [`Bucket::presign_put`].
    pub async fn presign_range(&self, key: &str, offset: u64, length: u64, lifetime: Duration) -> Result<Presigned> {
        let Some(last) = length.checked_sub(1).and_then(|last| offset.checked_add(last)) else {
            return Err(self.failure(ErrorKind::Invalid, PRESIGN, Some(key), "has no such range"));
        };
        let request = Request::new(PRESIGN, Method::GET, Some(key)).sign("range", format!("bytes={offset}-{last}"));
        self.presign(request, lifetime).await
    }

    async fn presign(&self, request: Request<'_>, lifetime: Duration) -> Result<Presigned> {
        self.inner.place.check_key(request.key.unwrap_or_default())?;
        let credentials = self.credentials(request.authority).await?;
        let now = self.inner.clock.now();
        let mut lifetime = Duration::from_secs(lifetime.min(LIFETIME_MAX).as_secs().max(1));
        if let Some(end) = credentials.expires {
            // With the session end its signatures, whatever they say.
            lifetime = Duration::from_secs(lifetime.min(end.since(now)).as_secs().max(1));
        }
        let url = request.url(&self.inner.place, &credentials, self.now(), lifetime);
        Ok(Presigned { url, headers: request.signed, expires: now.plus(lifetime) })
    }
}
