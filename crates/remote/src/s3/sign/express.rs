//! Signature version 4 for directory buckets, whose requests are signed for a service that `rusty-s3` does not know.
//!
//! Requests of ours carry the signature in headers, as those of Amazon's own tools do; what is signed for others carries it
//! in the URL. See "Authenticating Requests (AWS Signature Version 4)" of Amazon's documentation.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::s3::credentials::Credentials;
use crate::url::escape;

/// What directory buckets are called in signatures.
pub(super) const SERVICE: &str = "s3express";
/// The hash of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Stands for the hash of a body that is not signed: the connection keeps it whole.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Names and values.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Who signs, for where, and when.
pub(super) struct Signer<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) now: jiff::Timestamp,
}

/// A request as far as it is signed. The path of the URL is signed as it is; its query is `query`.
pub(super) struct Signed<'a> {
    pub(super) method: &'a Method,
    pub(super) url: Url,
    pub(super) query: Pairs<'a>,
    /// Names are in lower case.
    pub(super) headers: Pairs<'a>,
}

impl Signer<'_> {
    /// The URL that carries the right to a request for so many seconds. `token` is the name of the parameter that holds the
    /// token of the session that the credentials belong to, if they belong to one.
    pub(super) fn url(&self, request: Signed<'_>, token: &str, seconds: u64) -> Url {
        let Signed { method, mut url, mut query, mut headers } = request;
        let (credential, date, seconds) = (self.credential(), self.date(), seconds.to_string());
        let host = host(&url);
        headers.push(("host", &host));
        headers.sort_unstable();
        let names = names(&headers);
        query.extend([
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", &names),
        ]);
        query.extend(self.credentials.session_token.as_deref().map(|session| (token, session)));
        let query = canonical(&query);
        let signature = self.sign(method, &url, &query, &headers, UNSIGNED);
        url.set_query(Some(&format!("{query}&X-Amz-Signature={signature}")));
        url
    }

    /// The URL of a request, and the headers besides its own that carry the right to it. `token` is the name of the header
    /// for the session's token.
    pub(super) fn headers(
        &self,
        request: Signed<'_>,
        token: &'static str,
        is_empty: bool,
    ) -> (Url, Vec<(&'static str, String)>) {
        let Signed { method, mut url, query, headers } = request;
        let content = if is_empty { EMPTY } else { UNSIGNED };
        let mut added = vec![("x-amz-content-sha256", content.to_owned()), ("x-amz-date", self.date())];
        added.extend(self.credentials.session_token.clone().map(|session| (token, session)));
        let host = host(&url);
        let mut all = headers;
        all.push(("host", &host));
        all.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
        all.sort_unstable();
        let query = canonical(&query);
        let signature = self.sign(method, &url, &query, &all, content);
        let authorization =
            format!("{ALGORITHM} Credential={},SignedHeaders={},Signature={signature}", self.credential(), names(&all));
        added.push(("authorization", authorization));
        url.set_query(Some(&query).filter(|query| !query.is_empty()).map(String::as_str));
        (url, added)
    }

    fn sign(&self, method: &Method, url: &Url, query: &str, headers: &[(&str, &str)], content: &str) -> String {
        let mut lines = String::new();
        for (name, value) in headers {
            lines += &format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        let request = format!("{method}\n{}\n{query}\n{lines}\n{}\n{content}", url.path(), names(headers));
        let digest = hex(&Sha256::digest(request));
        let to_sign = format!("{ALGORITHM}\n{}\n{}\n{digest}", self.date(), self.scope());
        let mut key = mac(format!("AWS4{}", self.credentials.secret_access_key).as_bytes(), &self.day());
        for part in [self.region, self.service, "aws4_request"] {
            key = mac(&key, part);
        }
        hex(&mac(&key, &to_sign))
    }

    fn credential(&self) -> String {
        format!("{}/{}", self.credentials.access_key_id, self.scope())
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.day(), self.region, self.service)
    }

    fn day(&self) -> String {
        self.now.strftime("%Y%m%d").to_string()
    }

    fn date(&self) -> String {
        self.now.strftime("%Y%m%dT%H%M%SZ").to_string()
    }
}

/// A query as it is signed and sent: escaped first, then sorted.
fn canonical(query: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> = query.iter().map(|(name, value)| (escape(name), escape(value))).collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The names of headers that are sorted, as they are signed.
fn names(headers: &[(&str, &str)]) -> String {
    headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
}

/// What the HTTP client sends as the header `host`.
fn host(url: &Url) -> String {
    let host = url.host_str().expect("a place has a host");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
