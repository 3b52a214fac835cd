//! Credentials as HTTP carries them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use larder_cache::Credential;

/// The secret in an `Authorization` header: a bearer token, or the password of basic authentication (its user name is
/// free: tools that can only send a pair put the token in the password). `None` without one, or for another scheme.
pub fn credential_of(headers: &HeaderMap) -> Option<Credential> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credential::new(rest.trim()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (_, password) = pair.split_once(':')?;
        return Some(Credential::new(password));
    }
    None
}

#[cfg(test)]
mod tests;
