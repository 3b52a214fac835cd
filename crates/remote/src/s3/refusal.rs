//! What a store answers when it does not do what was asked.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use larder_base::{Error, ErrorKind, Timestamp};

use super::config::Place;
use super::xml::Element;

/// A refusal. Some come with a good status and an error inside.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The store's word, such as `NoSuchKey`; empty when it gave none, as to every HEAD.
    pub(super) code: String,
    pub(super) message: String,
    /// The store's clock.
    pub(super) date: Option<Timestamp>,
    pub(super) retry_after: Option<Duration>,
    /// Where the bucket is, if not here.
    region: Option<String>,
}

impl Refusal {
    /// What an answer that is none of the good ones says.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Self {
        let document = Element::parse(body).ok();
        let error = document.as_ref().filter(|document| document.name == "Error");
        Self::new(status, headers, error)
    }

    /// The error inside of a good answer, if that is what it holds.
    pub(super) fn inside(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Option<Self> {
        // Only documents of this name are looked into: the bodies of most answers are something else.
        let document = Element::parse(body).ok()?;
        (document.name == "Error").then(|| Self::new(status, headers, Some(&document)))
    }

    fn new(status: StatusCode, headers: &HeaderMap, error: Option<&Element>) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let text = |name| error.and_then(|error| error.text(name)).unwrap_or_default();
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect();
        Self {
            status,
            code: shown(text("Code")),
            message: shown(text("Message")),
            date: date_of(headers),
            retry_after: header("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs),
            region: header("x-amz-bucket-region").map(shown),
        }
    }

    /// Whether the same request may be answered well a little later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.status.as_u16(), 429 | 500 | 502..=504)
            || matches!(
                self.code.as_str(),
                "InternalError" | "SlowDown" | "ServiceUnavailable" | "RequestTimeout" | "OperationAborted"
            )
            || self.code.starts_with("Throttl")
    }

    /// Whether the session that signed has ended.
    pub(super) fn is_of_session(&self) -> bool {
        matches!(self.code.as_str(), "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken")
    }

    /// Whether it may be of the session that signed, and does not say: a refusal of a HEAD has no words.
    pub(super) fn may_be_of_session(&self) -> bool {
        self.is_of_session() || self.code.is_empty() && matches!(self.status.as_u16(), 400 | 401 | 403)
    }

    /// Whether there is no such object.
    pub(super) fn is_absence(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && matches!(self.code.as_str(), "" | "NoSuchKey" | "NotFound")
    }

    /// Whether there is no such upload.
    pub(super) fn is_no_upload(&self) -> bool {
        self.code == "NoSuchUpload"
    }

    /// As an error of `operation` on an object or the bucket.
    pub(super) fn error(&self, operation: &'static str, place: &Place, key: Option<&str>) -> Error {
        let subject = match key {
            Some(key) => format!("s3://{}/{}{key}", place.name(), place.prefix()),
            None => format!("s3://{}", place.name()),
        };
        let code = if self.code.is_empty() { String::new() } else { format!(" {}", self.code) };
        let said = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        let elsewhere = match &self.region {
            Some(region) if region != place.region() => format!(" (the bucket is in {region}, not {})", place.region()),
            _ => String::new(),
        };
        let message = format!("{subject} was answered with {}{code}{said}{elsewhere}", self.status.as_u16());
        let (kind, hint) = self.meaning();
        let error = Error::new(kind, operation, message);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    fn meaning(&self) -> (ErrorKind, Option<&'static str>) {
        match self.code.as_str() {
            "NoSuchBucket" => (ErrorKind::Failed, Some("make the bucket, or correct bucket.url")),
            "SignatureDoesNotMatch" => (
                ErrorKind::Denied,
                Some(
                    "the secret key is wrong, or bucket.region, or something between here and the store changes requests",
                ),
            ),
            "InvalidAccessKeyId" => (ErrorKind::Denied, Some("the store does not know this access key")),
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
                (ErrorKind::Denied, Some("the session of the credentials has ended; get new ones"))
            }
            "RequestTimeTooSkewed" => (ErrorKind::Denied, Some("set this machine's clock")),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                (ErrorKind::Failed, Some("set bucket.region and bucket.endpoint to where the bucket is"))
            }
            "EntityTooLarge" => (ErrorKind::TooLarge, None),
            "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => {
                (ErrorKind::Full, Some("make room in the object store, or raise its quota"))
            }
            "InvalidRange" => (ErrorKind::Corrupt, Some("the object is shorter than it was when it was written")),
            "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" | "BadDigest" | "IncompleteBody" => {
                (ErrorKind::Invalid, None)
            }
            _ if self.may_pass() => (ErrorKind::Unavailable, None),
            _ if self.status == StatusCode::INSUFFICIENT_STORAGE => (ErrorKind::Full, None),
            _ if matches!(self.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                (ErrorKind::Denied, Some("run `larder server check-bucket`: it names the right that is missing"))
            }
            _ if self.status.is_redirection() => {
                (ErrorKind::Failed, Some("set bucket.region and bucket.endpoint to where the bucket is"))
            }
            _ => (ErrorKind::Failed, None),
        }
    }
}

/// The moment of an answer, by the clock of whoever gave it.
pub(super) fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get("date")?.to_str().ok()?;
    let moment = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests;
