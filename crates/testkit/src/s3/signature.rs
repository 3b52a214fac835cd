//! Signature version 4 in a query string, from its description and from nobody's code.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method};
use larder_base::Timestamp;
use sha2::{Digest as _, Sha256};

use super::operation::Query;
use super::state::Refused;
use super::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// How far ahead of the store's clock a request may be signed.
const AHEAD: Duration = Duration::from_secs(900);

/// Checks who signed a request, for what, and that it is time. `path` is as it came.
pub(super) fn check(
    method: &Method,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
    now: Timestamp,
    session: Option<&str>,
) -> Result<(), Refused> {
    let need = |name: &str| {
        let missing = || Refused(400, "AuthorizationQueryParametersError", format!("{name} is missing"));
        query.get(name).ok_or_else(missing)
    };
    if need("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(Refused(400, "AuthorizationQueryParametersError", "another algorithm".into()));
    }
    let (date, expires) = (need("X-Amz-Date")?, need("X-Amz-Expires")?);
    let (credential, given) = (need("X-Amz-Credential")?, need("X-Amz-Signature")?);
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    match credential.split_once('/') {
        Some((ACCESS_KEY_ID, signed_for)) if signed_for == scope => {}
        Some((ACCESS_KEY_ID, _)) => {
            return Err(Refused(400, "AuthorizationHeaderMalformed", format!("expected {scope}")));
        }
        _ => return Err(Refused(403, "InvalidAccessKeyId", "nobody has this key".into())),
    }
    if query.get("X-Amz-Security-Token") != session {
        return Err(Refused(400, "ExpiredToken", "the session has ended".into()));
    }
    let lifetime = expires.parse().ok().filter(|seconds| (1..=604_800).contains(seconds));
    let lifetime = lifetime.ok_or(Refused(400, "AuthorizationQueryParametersError", "bad X-Amz-Expires".into()))?;
    let begins = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok();
    let begins = begins.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok()).map(|date| date.timestamp());
    let begins = begins.and_then(|moment| u64::try_from(moment.as_millisecond()).ok()).map(Timestamp::from_millis);
    let begins = begins.ok_or(Refused(400, "AuthorizationQueryParametersError", "bad X-Amz-Date".into()))?;
    if begins > now.plus(AHEAD) {
        return Err(Refused(403, "AccessDenied", "Request is not valid yet".into()));
    }
    if now >= begins.plus(Duration::from_secs(lifetime)) {
        return Err(Refused(403, "AccessDenied", "Request has expired".into()));
    }
    let expected = signature(method, path, query, headers, date, &scope, need("X-Amz-SignedHeaders")?);
    if expected.as_deref() != Some(given) {
        return Err(Refused(403, "SignatureDoesNotMatch", "the signature is another".into()));
    }
    Ok(())
}

fn signature(
    method: &Method,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
    date: &str,
    scope: &str,
    signed: &str,
) -> Option<String> {
    let mut pairs: Vec<_> = query.pairs().iter().filter(|(name, _)| name != "X-Amz-Signature").collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    if !signed.split(';').any(|name| name == "host") {
        return None;
    }
    let mut lines = String::new();
    for name in signed.split(';') {
        lines += &format!("{name}:{}\n", headers.get(name)?.to_str().ok()?.trim());
    }
    let canonical = format!("{method}\n{path}\n{}\n{lines}\n{signed}\nUNSIGNED-PAYLOAD", pairs.join("&"));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = mac(format!("AWS4{SECRET_ACCESS_KEY}").as_bytes(), date.get(..8)?);
    for part in [REGION, "s3", "aws4_request"] {
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
