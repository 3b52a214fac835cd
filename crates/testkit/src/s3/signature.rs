//! Signature version 4, in a query string or in headers, from its description and from nobody's code.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method};
use larder_base::Timestamp;
use sha2::{Digest as _, Sha256};

use super::REGION;
use super::operation::{Operation, Query};
use super::state::Refused;

/// How far the clocks of store and client may differ.
const SKEW: Duration = Duration::from_secs(900);
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The names of the tokens of sessions, in headers and in queries.
const TOKENS: [&str; 2] = ["x-amz-security-token", "x-amz-s3session-token"];

/// A request as it came.
pub(super) struct Arrived<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a Query,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
    pub(super) now: Timestamp,
}

/// What the holder of a pair of keys needs besides.
pub(super) struct Grant {
    pub(super) secret: String,
    pub(super) service: &'static str,
    /// The name of the token, and the token.
    pub(super) token: Option<(&'static str, String)>,
}

/// What a request says of its signature.
struct Claim<'a> {
    credential: &'a str,
    date: &'a str,
    names: &'a str,
    signature: &'a str,
    content: &'a str,
    /// From the date on; headers are good around it.
    lifetime: Option<Duration>,
}

type Checked<T> = Result<T, Refused>;

fn malformed(what: &str) -> Refused {
    Refused(400, "AuthorizationQueryParametersError", what.to_owned())
}

/// Whether a request is by a URL that was made for somebody without keys: it says exactly which bytes may move. Who has the keys
/// signs no range, and no length that it need not.
pub(super) fn was_handed_out(operation: Operation, query: &Query) -> bool {
    let bound = match operation {
        Operation::Get => "range",
        Operation::Put | Operation::Part => "content-length",
        _ => return false,
    };
    query.get("X-Amz-SignedHeaders").is_some_and(|signed| signed.split(';').any(|name| name == bound))
}

/// Checks who signed a request, for what, and that it is time. `grant` tells of the holder of a pair of keys by its public
/// half.
pub(super) fn check(
    arrived: &Arrived<'_>,
    takes_headers: bool,
    grant: impl FnOnce(&str) -> Checked<Grant>,
) -> Checked<()> {
    let claim = match header(arrived, "authorization").filter(|_| takes_headers) {
        Some(authorization) => in_headers(arrived, authorization)?,
        None => in_query(arrived)?,
    };
    let (id, signed_for) = claim.credential.split_once('/').unwrap_or((claim.credential, ""));
    let grant = grant(id)?;
    let day = claim.date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/{}/aws4_request", grant.service);
    if signed_for != scope {
        return Err(Refused(400, "AuthorizationHeaderMalformed", format!("expected {scope}")));
    }
    for name in TOKENS {
        let wanted = grant.token.as_ref().filter(|(named, _)| *named == name).map(|(_, token)| token.as_str());
        if arrived.query.get_by_any_case(name).or_else(|| header(arrived, name)) != wanted {
            return Err(Refused(400, "ExpiredToken", "the session has ended".into()));
        }
    }
    check_time(&claim, arrived.now)?;
    if claim.content != UNSIGNED && claim.content != hex(&Sha256::digest(arrived.body)) {
        return Err(Refused(400, "XAmzContentSHA256Mismatch", "the body is another".into()));
    }
    if signature(arrived, &claim, &grant, &scope).as_deref() != Some(claim.signature) {
        return Err(Refused(403, "SignatureDoesNotMatch", "the signature is another".into()));
    }
    Ok(())
}

fn header<'a>(arrived: &Arrived<'a>, name: &str) -> Option<&'a str> {
    arrived.headers.get(name)?.to_str().ok()
}

fn in_query<'a>(arrived: &Arrived<'a>) -> Checked<Claim<'a>> {
    let need = |name: &str| arrived.query.get(name).ok_or_else(|| malformed(&format!("{name} is missing")));
    if need("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(malformed("another algorithm"));
    }
    let lifetime = need("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=604_800).contains(seconds));
    Ok(Claim {
        credential: need("X-Amz-Credential")?,
        date: need("X-Amz-Date")?,
        names: need("X-Amz-SignedHeaders")?,
        signature: need("X-Amz-Signature")?,
        content: UNSIGNED,
        lifetime: Some(Duration::from_secs(lifetime.ok_or_else(|| malformed("bad X-Amz-Expires"))?)),
    })
}

fn in_headers<'a>(arrived: &Arrived<'a>, authorization: &'a str) -> Checked<Claim<'a>> {
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| malformed("another algorithm"))?;
    let need = |name: &str| {
        let found = rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| malformed(&format!("{name} is missing")))
    };
    let names = need("SignedHeaders")?;
    let is_signed = |name: &str| names.split(';').any(|signed| signed == name);
    if arrived.headers.keys().any(|name| name.as_str().starts_with("x-amz-") && !is_signed(name.as_str())) {
        return Err(Refused(403, "AccessDenied", "There were headers present which were not signed".into()));
    }
    Ok(Claim {
        credential: need("Credential")?,
        date: header(arrived, "x-amz-date").ok_or_else(|| malformed("x-amz-date is missing"))?,
        names,
        signature: need("Signature")?,
        content: header(arrived, "x-amz-content-sha256").ok_or_else(|| malformed("x-amz-content-sha256 is missing"))?,
        lifetime: None,
    })
}

fn check_time(claim: &Claim<'_>, now: Timestamp) -> Checked<()> {
    let begins = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", claim.date).ok();
    let begins = begins.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok()).map(|date| date.timestamp());
    let begins = begins.and_then(|moment| u64::try_from(moment.as_millisecond()).ok()).map(Timestamp::from_millis);
    let begins = begins.ok_or_else(|| malformed("bad X-Amz-Date"))?;
    let Some(lifetime) = claim.lifetime else {
        if begins > now.plus(SKEW) || now > begins.plus(SKEW) {
            return Err(Refused(403, "RequestTimeTooSkewed", "the clocks differ by too much".into()));
        }
        return Ok(());
    };
    if begins > now.plus(SKEW) {
        return Err(Refused(403, "AccessDenied", "Request is not valid yet".into()));
    }
    if now >= begins.plus(lifetime) {
        return Err(Refused(403, "AccessDenied", "Request has expired".into()));
    }
    Ok(())
}

fn signature(arrived: &Arrived<'_>, claim: &Claim<'_>, grant: &Grant, scope: &str) -> Option<String> {
    let mut pairs: Vec<_> = arrived.query.pairs().iter().filter(|(name, _)| name != "X-Amz-Signature").collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    if !claim.names.split(';').any(|name| name == "host") {
        return None;
    }
    let mut lines = String::new();
    for name in claim.names.split(';') {
        lines += &format!("{name}:{}\n", header(arrived, name)?.trim());
    }
    let (method, path, query) = (arrived.method, arrived.path, pairs.join("&"));
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{}\n{}", claim.names, claim.content);
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", claim.date, hex(&Sha256::digest(canonical)));
    let mut key = mac(format!("AWS4{}", grant.secret).as_bytes(), claim.date.get(..8)?);
    for part in [REGION, grant.service, "aws4_request"] {
        key = mac(&key, part);
    }
    Some(hex(&mac(&key, &to_sign)))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
