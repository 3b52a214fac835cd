//! What makes a bucket a directory bucket: sessions, and lists without an order.

use std::time::Duration;

use http::HeaderMap;
use larder_base::{ContentHash, Timestamp};

use super::document::{document, element, escape, moment};
use super::signature::Grant;
use super::state::{Refused, Reply};

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_secs(300);
/// What is signed for.
pub(super) const SERVICE: &str = "s3express";

/// The sessions of a directory bucket.
#[derive(Default)]
pub(super) struct Directory {
    sessions: Vec<Session>,
    /// How many tags were given.
    tags: u64,
}

struct Session {
    ends: Timestamp,
}

impl Directory {
    /// Answers `CreateSession`.
    pub(super) fn begin(&mut self, headers: &HeaderMap, now: Timestamp) -> Result<Reply, Refused> {
        if headers.get("x-amz-create-session-mode").is_some_and(|mode| mode != "ReadWrite") {
            return Err(Refused(400, "InvalidRequest", "no such mode".into()));
        }
        let (id, secret, token) = names(self.sessions.len());
        let ends = now.plus(LIFETIME);
        self.sessions.push(Session { ends });
        let credentials = element("SessionToken", &escape(&token))
            + &element("SecretAccessKey", &secret)
            + &element("AccessKeyId", &id)
            + &element("Expiration", &moment(ends));
        let body = document("CreateSessionResult", &element("Credentials", &credentials));
        Ok(Reply { status: 200, headers: vec![("content-type", "application/xml".into())], body: body.into() })
    }

    /// What the holder of a session's keys needs besides.
    pub(super) fn grant(&self, id: &str, now: Timestamp) -> Result<Grant, Refused> {
        let found = self.sessions.iter().enumerate().find(|(number, _)| names(*number).0 == id);
        let (number, session) = found.ok_or(Refused(403, "InvalidAccessKeyId", "no session has this key".into()))?;
        if now >= session.ends {
            return Err(Refused(400, "ExpiredToken", "The provided token has expired.".into()));
        }
        let (_, secret, token) = names(number);
        Ok(Grant { secret, service: SERVICE, token: Some(("x-amz-s3session-token", token)) })
    }

    /// Ends all sessions before their time.
    pub(super) fn end_sessions(&mut self) {
        for session in &mut self.sessions {
            session.ends = Timestamp::default();
        }
    }

    /// A tag, which says nothing of the content.
    pub(super) fn tag(&mut self) -> String {
        self.tags += 1;
        format!("\"{:032x}\"", self.tags)
    }
}

/// The public half, the secret half and the token of a session.
fn names(number: usize) -> (String, String, String) {
    (format!("SESSION{number}"), format!("secret/{number}"), format!("token+/{number}=="))
}

/// Where a name stands in lists.
pub(super) fn position(name: &str) -> String {
    ContentHash::of(name.as_bytes()).to_hex()
}

/// What tells a client to go on behind a position: no name, and with characters that have to be escaped.
pub(super) fn marker(position: &str) -> String {
    format!("{position}+/=")
}

/// Refuses a list that a directory bucket cannot make.
pub(super) fn check_list(prefix: &str, unknown: Option<&str>) -> Result<(), Refused> {
    if !prefix.is_empty() && !prefix.ends_with('/') {
        return Err(Refused(400, "InvalidRequest", "a prefix must end in a delimiter".into()));
    }
    match unknown {
        Some(_) => Err(Refused(501, "NotImplemented", "lists have no order to begin in the middle of".into())),
        None => Ok(()),
    }
}
