//! What the three protocols of this door share.

use axum::response::Response;
use http::header::{AUTHORIZATION, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use larder_base::{Access, Attributes, ByteRange, Entry, Error, ErrorKind, Key, PutIf, PutOutcome, Result};
use larder_cache::{Caller, DoorCache, Lookup};
use larder_door::RangeHeader;
use tracing::{debug, warn};

use crate::reply;
use crate::settings::Settings;
use crate::soft::{self, Answer, Client, Verb};
use crate::upload::{REFUSED_MAX, Upload};

/// One protocol's way to the cache. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Profile {
    client: Client,
    cache: DoorCache,
    settings: Settings,
}

impl Profile {
    pub(crate) fn new(client: Client, cache: DoorCache, settings: Settings) -> Self {
        Self { client, cache, settings }
    }

    pub(crate) fn cache(&self) -> &DoorCache {
        &self.cache
    }

    /// The most bytes of a value.
    pub(crate) fn max_value(&self) -> u64 {
        self.settings.max_value.0
    }

    /// The caller, for reading.
    pub(crate) fn reader(&self, headers: &HeaderMap, namespace: &str) -> Result<Caller> {
        self.cache.authorize(larder_door::credential_of(headers).as_ref(), namespace)
    }

    /// The caller, for writing: refused before a byte of the body is read.
    pub(crate) fn writer(&self, headers: &HeaderMap, namespace: &str) -> Result<Caller> {
        let caller = self.reader(headers, namespace)?;
        if self.settings.read_only {
            return Err(Error::new(ErrorKind::Denied, "authorize", "this server only serves what it has")
                .with_hint("an operator can set read_only = false in [door.http]"));
        }
        caller.write_scope()?;
        Ok(caller)
    }

    /// The entry under a key, counted as a lookup when it is to be served.
    pub(crate) async fn find(&self, caller: &Caller, key: &Key, access: Access) -> Result<Option<Entry>> {
        match self.cache.lookup(caller, key, access).await? {
            Lookup::Hit(found) => Ok(Some(found.entry)),
            Lookup::Miss(_) => Ok(None),
        }
    }

    /// The value of an entry, or the range of it that was asked for.
    pub(crate) async fn serve(
        &self,
        caller: &Caller,
        entry: &Entry,
        range: RangeHeader,
        content_type: HeaderValue,
    ) -> Result<Response> {
        let size = entry.blob.size;
        let (wanted, sent) = match range {
            RangeHeader::Whole => (ByteRange::ALL, size),
            RangeHeader::Part { length, .. } => (range.as_byte_range(), length),
            RangeHeader::Unsatisfiable => return Ok(reply::unsatisfiable(size)),
        };
        // The usual small value takes the short way: no stream, no second look into the cache.
        let response = if let (Some(inline), RangeHeader::Whole) = (&entry.inline, range) {
            reply::whole(inline.clone(), content_type)
        } else {
            // Evicted since it was found: a miss like any other.
            let Some(blob) = self.cache.value(caller, entry, wanted).await? else { return Ok(reply::miss()) };
            match range {
                RangeHeader::Part { offset, length } => reply::part(blob, offset, length, content_type).await?,
                _ => reply::blob(blob, content_type).await?,
            }
        };
        self.count_sent(sent);
        Ok(response)
    }

    /// Keeps a body under a key; `If-None-Match: *` keeps what is there already.
    pub(crate) async fn keep(
        &self,
        caller: &Caller,
        key: &Key,
        headers: &HeaderMap,
        upload: &Upload,
        attributes: Attributes,
    ) -> Result<Response> {
        upload.announced()?;
        let only_new = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag == "*");
        let condition = if only_new { PutIf::Absent } else { PutIf::Always };
        let limit = self.max_value();
        match self.cache.put_value(caller, key, upload.stream(), attributes, condition, limit).await? {
            PutOutcome::Stored(_) => Ok(reply::done()),
            PutOutcome::Kept(_) => Ok(reply::status(StatusCode::PRECONDITION_FAILED)),
            PutOutcome::Incomplete(_) => {
                Err(Error::new(ErrorKind::Full, "keep value", "it was evicted before its entry was written"))
            }
        }
    }

    /// The answer to a read or a removal.
    pub(crate) fn finish(&self, verb: Verb, headers: &HeaderMap, done: Result<Response>) -> Response {
        done.unwrap_or_else(|error| self.explain(verb, headers, &error).0)
    }

    /// The answer to a write, after what is left of its body was read.
    pub(crate) async fn finish_write(&self, headers: &HeaderMap, upload: &Upload, done: Result<Response>) -> Response {
        let (response, most) = match done {
            Ok(response) => (response, self.max_value()),
            // No one is there to hear it, and it was not a fault of ours.
            Err(_) if upload.client_is_gone() => return reply::status(StatusCode::BAD_REQUEST),
            Err(error) => match self.explain(Verb::Write, headers, &error) {
                // Who is told that all is well must be able to send all of it.
                (response, Answer::Dropped) => (response, self.max_value().max(REFUSED_MAX)),
                (response, _) => (response, REFUSED_MAX),
            },
        };
        let drained = upload.drain(most).await;
        self.cache.counters().bytes_in(self.cache.name(), upload.received());
        if drained { response } else { reply::closing(response) }
    }

    pub(crate) fn count_sent(&self, bytes: u64) {
        self.cache.counters().bytes_out(self.cache.name(), bytes);
    }

    fn explain(&self, verb: Verb, headers: &HeaderMap, error: &Error) -> (Response, Answer) {
        let kind = error.kind();
        let answer = soft::answer(self.client, verb, kind);
        let client = self.client.as_str();
        match kind {
            ErrorKind::Corrupt | ErrorKind::Failed => warn!(client, ?verb, ?error, "{error}"),
            _ => debug!(client, ?verb, ?error, "{error}"),
        }
        let response = match answer {
            Answer::Honest(status) => honest(status, headers, error),
            Answer::Miss => reply::miss(),
            Answer::Dropped => reply::done(),
        };
        if !matches!(answer, Answer::Honest(_)) {
            self.cache.counters().soft_answer(self.cache.name(), client, kind);
        }
        (response, answer)
    }
}

fn honest(status: StatusCode, headers: &HeaderMap, error: &Error) -> Response {
    let status = match status {
        StatusCode::FORBIDDEN if !headers.contains_key(AUTHORIZATION) => StatusCode::UNAUTHORIZED,
        status => status,
    };
    let reason = match error.kind() {
        // What broke inside is for the operator's log.
        ErrorKind::Corrupt | ErrorKind::Failed => "the cache failed; its log says why\n".to_owned(),
        _ => match error.hint() {
            Some(hint) => format!("{error}\n{hint}\n"),
            None => format!("{error}\n"),
        },
    };
    reply::explained(status, reason)
}
