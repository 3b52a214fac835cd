//! Deleting, one by one or by the thousand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use larder_base::{ErrorKind, Result};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::{Answer, Bucket, DOCUMENT_MAX_BYTES};
use crate::http::Payload;
use crate::s3::sign::Request;
use crate::s3::xml::{Element, escape};

const DELETE: &str = "delete objects";
/// The most names in one request.
const BATCH: usize = 1000;

impl Bucket {
    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn delete_object(&self, key: &str) -> Result<()> {
        self.inner.place.check_key(key)?;
        let request = Request::new("delete object", Method::DELETE, Some(key));
        match self.ask(&request, DOCUMENT_MAX_BYTES).await? {
            Answer::Good(_) => Ok(()),
            Answer::Refused(refusal) if refusal.is_absence() => Ok(()),
            Answer::Refused(refusal) => Err(self.error(&request, &refusal)),
        }
    }

    /// Deletes objects, a thousand a request; those that are not there are deleted already. After an error some are deleted
    /// and some are not, and the same call may be made again.
    ///
    /// # Errors
    /// What the store refuses, of the first object that it refuses.
    pub async fn delete_objects<K: AsRef<str> + Sync>(&self, keys: &[K]) -> Result<()> {
        for key in keys {
            self.inner.place.check_key(key.as_ref())?;
        }
        for batch in keys.chunks(BATCH) {
            if !self.delete_batch(batch).await? {
                for key in batch {
                    self.delete_object(key.as_ref()).await?;
                }
            }
        }
        Ok(())
    }

    /// `false` when the store knows no such request; not all do.
    async fn delete_batch<K: AsRef<str>>(&self, keys: &[K]) -> Result<bool> {
        let prefix = self.inner.place.prefix();
        let mut document = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for key in keys {
            document += &format!("<Object><Key>{}</Key></Object>", escape(&format!("{prefix}{}", key.as_ref())));
        }
        document += "<Quiet>true</Quiet></Delete>";
        // The one request that must name a checksum; this one all stores know, but for directory buckets.
        let (header, sum) = match self.is_directory() {
            false => ("content-md5", STANDARD.encode(Md5::digest(&document))),
            true => ("x-amz-checksum-sha256", STANDARD.encode(Sha256::digest(&document))),
        };
        let request = Request::new(DELETE, Method::POST, None)
            .query("delete", "")
            .sign(header, sum)
            .body(Payload::Whole(document.into()));
        let answer = match self.ask(&request, DOCUMENT_MAX_BYTES).await? {
            Answer::Good(answer) => answer.into_body(),
            Answer::Refused(refusal)
                if refusal.code == "NotImplemented"
                    || matches!(refusal.status, StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED) =>
            {
                return Ok(false);
            }
            Answer::Refused(refusal) => return Err(self.error(&request, &refusal)),
        };
        let result = Element::parse(&answer)?;
        let refused = result.all("Error").find(|error| error.text("Code") != Some("NoSuchKey"));
        match refused {
            None => Ok(true),
            Some(error) => {
                let code = error.text("Code").unwrap_or("an error without a code");
                let key = error.text("Key").and_then(|key| key.strip_prefix(prefix));
                let kind = match code {
                    "AccessDenied" => ErrorKind::Denied,
                    "InternalError" | "SlowDown" | "ServiceUnavailable" => ErrorKind::Unavailable,
                    _ => ErrorKind::Failed,
                };
                let what = format!("was not deleted: {code} {}", error.text("Message").unwrap_or_default());
                Err(self.failure(kind, DELETE, key, what.trim_end()))
            }
        }
    }
}
