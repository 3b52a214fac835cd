//! Requests about a bucket, and their signatures.

mod express;

use std::borrow::Cow;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use larder_base::{Error, Result, Timestamp};

use super::config::Place;
use super::credentials::Credentials;
use crate::http::Payload;
use express::{SERVICE, Signed, Signer};

/// The longest that a signature may be good for: the limit of the protocol.
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the signature of a request of ours is good: the clocks' difference, and the time to arrive.
const OWN_LIFETIME: Duration = Duration::from_secs(900);

/// Whose credentials sign a request about a directory bucket. Other buckets know no sessions of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// Those that are configured.
    Account,
    /// Those of a session that was begun with them.
    Session,
}

/// A request before it is signed.
#[derive(Clone)]
pub(super) struct Request<'a> {
    /// A verb phrase, for errors.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Without the prefix; `None` for the bucket itself.
    pub(super) key: Option<&'a str>,
    pub(super) query: Vec<(&'static str, Cow<'a, str>)>,
    /// Headers whose values are signed too. Lower-case names.
    pub(super) signed: Vec<(&'static str, String)>,
    /// Headers that are not.
    pub(super) plain: Vec<(&'static str, String)>,
    pub(super) body: Payload,
    /// How long, beyond the usual, the store may be silent.
    pub(super) wait: Duration,
    pub(super) authority: Authority,
}

impl<'a> Request<'a> {
    pub(super) fn new(operation: &'static str, method: Method, key: Option<&'a str>) -> Self {
        let body = Payload::Whole(bytes::Bytes::new());
        let (query, signed, plain) = (Vec::new(), Vec::new(), Vec::new());
        let (wait, authority) = (Duration::ZERO, Authority::Session);
        Self { operation, method, key, query, signed, plain, body, wait, authority }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn sign(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.signed.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Payload) -> Self {
        self.body = body;
        self
    }

    /// The URL that carries the right to make this request from `now` on for `lifetime`.
    pub(super) fn url(&self, place: &Place, credentials: &Credentials, now: Timestamp, lifetime: Duration) -> String {
        let seconds = lifetime.min(LIFETIME_MAX).as_secs().max(1);
        if place.is_directory() {
            let token = match self.authority {
                Authority::Account => "X-Amz-Security-Token",
                Authority::Session => "X-Amz-S3session-Token",
            };
            return signer(place, credentials, now).url(self.to_sign(place), token, seconds).into();
        }
        let Signed { url, mut query, mut headers, .. } = self.to_sign(place);
        query.sort_unstable();
        headers.sort_unstable();
        let signed = rusty_s3::signing::sign(
            &moment(now),
            method(&self.method),
            url,
            &credentials.access_key_id,
            &credentials.secret_access_key,
            credentials.session_token.as_deref(),
            place.region(),
            seconds,
            query.into_iter(),
            headers.into_iter(),
        );
        signed.into()
    }

    /// The request, signed and ready to be sent.
    pub(super) fn message(
        &self,
        place: &Place,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<http::Request<Payload>> {
        if !place.is_directory() {
            return self.message_to(&self.url(place, credentials, now, OWN_LIFETIME), &[]);
        }
        let token = match self.authority {
            Authority::Account => "x-amz-security-token",
            Authority::Session => "x-amz-s3session-token",
        };
        let is_empty = self.body.length() == 0;
        let (url, headers) = signer(place, credentials, now).headers(self.to_sign(place), token, is_empty);
        self.message_to(url.as_str(), &headers)
    }

    fn to_sign(&self, place: &Place) -> Signed<'_> {
        Signed {
            method: &self.method,
            url: place.url(self.key),
            query: self.query.iter().map(|(name, value)| (*name, value.as_ref())).collect(),
            headers: self.signed.iter().map(|(name, value)| (*name, value.as_str())).collect(),
        }
    }

    /// `rights` are the headers that carry the right to the request.
    fn message_to(&self, url: &str, rights: &[(&'static str, String)]) -> Result<http::Request<Payload>> {
        let mut headers = HeaderMap::new();
        let own = self.signed.iter().chain(&self.plain).map(|header| (header, false));
        for ((name, value), is_secret) in own.chain(rights.iter().map(|header| (header, true))) {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| Error::invalid(self.operation, format!("no good value for the header {name}")))?;
            value.set_sensitive(is_secret);
            headers.insert(HeaderName::from_static(name), value);
        }
        let mut message = http::Request::new(self.body.clone());
        *message.method_mut() = self.method.clone();
        *message.headers_mut() = headers;
        *message.uri_mut() =
            url.parse().map_err(|error| Error::invalid(self.operation, "the URL is malformed").with_source(error))?;
        Ok(message)
    }
}

fn signer<'a>(place: &'a Place, credentials: &'a Credentials, now: Timestamp) -> Signer<'a> {
    Signer { credentials, region: place.region(), service: SERVICE, now: moment(now) }
}

fn moment(now: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}

fn method(method: &Method) -> rusty_s3::Method {
    match *method {
        Method::GET => rusty_s3::Method::Get,
        Method::HEAD => rusty_s3::Method::Head,
        Method::PUT => rusty_s3::Method::Put,
        Method::POST => rusty_s3::Method::Post,
        Method::DELETE => rusty_s3::Method::Delete,
        _ => unreachable!("a bucket knows no other method"),
    }
}

#[cfg(test)]
mod tests;
