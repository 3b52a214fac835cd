//! From requests of ccache to requests of the server.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, IF_NONE_MATCH};
use http::uri::{Authority, Scheme};
use http::{Method, Response, StatusCode};
use larder_base::{ErrorKind, Namespace};
use larder_door::Exchange;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::codec::{Answer, Request};
use crate::ccache::key;

/// A request that takes longer is a miss. ccache itself gives up after ten seconds without a sign.
const DEADLINE: Duration = Duration::from_secs(5);
/// For how long nothing is asked of a server that was away: each compilation would wait for it anew.
const AWAY: Duration = Duration::from_secs(5);

/// Which server, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Where it is; `None` for the one that the application is set to.
    pub(super) origin: Option<(Scheme, Authority)>,
    /// Whose values.
    pub(super) namespace: Namespace,
    /// What goes into `Authorization`; `None` to leave that to the application.
    pub(super) token: Option<HeaderValue>,
}

/// Asks the server what ccache asks. A server that is away has nothing and keeps nothing; that is not an error.
pub(super) struct Forward {
    exchange: Exchange,
    server: Server,
    notes: Vec<String>,
    away_until: Mutex<Option<Instant>>,
}

impl Forward {
    pub(super) fn new(exchange: Exchange, server: Server, notes: Vec<String>) -> Self {
        Self { exchange, server, notes, away_until: Mutex::new(None) }
    }

    pub(super) async fn answer(&self, request: Request) -> Answer {
        let (method, key, only_new, value) = match request {
            Request::Get(key) => (Method::GET, key, false, Bytes::new()),
            Request::Put { key, overwrite, value } => (Method::PUT, key, !overwrite, value),
            Request::Remove(key) => (Method::DELETE, key, false, Bytes::new()),
            Request::Exists(key) => (Method::HEAD, key, false, Bytes::new()),
            Request::PutTooLarge => return Answer::Noop,
            Request::Info => return self.describe(),
            Request::Stop => return Answer::Done,
        };
        let key = match key::hex_of_digest(&key) {
            Ok(key) => key,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        let wants_value = method == Method::GET;
        let request = self.request(method, &key, only_new, value);
        match self.ask(request).await {
            None => Answer::Noop,
            Some(response) => answer_of(response, wants_value),
        }
    }

    fn describe(&self) -> Answer {
        let place = match &self.server.origin {
            Some((scheme, authority)) => format!("{scheme}://{authority}"),
            None => "the server that larder is set to".to_owned(),
        };
        let mut notes = vec![format!("forwards to namespace {} of {place}", self.server.namespace)];
        if self.is_away() {
            notes.push("the server is away; everything is a miss for the moment".to_owned());
        }
        notes.extend_from_slice(&self.notes);
        Answer::Info("larder crsh".to_owned(), notes)
    }

    fn request(&self, method: Method, key: &str, only_new: bool, value: Bytes) -> http::Request<Bytes> {
        let mut uri = http::Uri::builder().path_and_query(format!(
            "/http/ccache/{}/{}/{}",
            self.server.namespace,
            &key[..2],
            &key[2..]
        ));
        if let Some((scheme, authority)) = &self.server.origin {
            uri = uri.scheme(scheme.clone()).authority(authority.clone());
        }
        let mut request = http::Request::new(value);
        *request.method_mut() = method;
        *request.uri_mut() = uri.build().expect("a namespace and hexadecimal digits make a path");
        let headers = request.headers_mut();
        if let Some(token) = &self.server.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if only_new {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        request
    }

    /// The server's answer; `None` when it is away.
    async fn ask(&self, request: http::Request<Bytes>) -> Option<Response<Bytes>> {
        if self.is_away() {
            return None;
        }
        let error = match tokio::time::timeout(DEADLINE, (self.exchange)(request)).await {
            Ok(Ok(response)) => return Some(response),
            Ok(Err(error)) if error.kind() == ErrorKind::Unavailable => error.to_string(),
            // A fault of this one request says nothing of the next.
            Ok(Err(error)) => {
                debug!(?error, "{error}");
                return None;
            }
            Err(_) => format!("no answer within {} seconds", DEADLINE.as_secs()),
        };
        debug!(error, "the server is away");
        *self.away_until.lock() = Some(Instant::now() + AWAY);
        None
    }

    fn is_away(&self) -> bool {
        self.away_until.lock().is_some_and(|until| Instant::now() < until)
    }
}

fn answer_of(response: Response<Bytes>, wants_value: bool) -> Answer {
    match response.status() {
        StatusCode::OK if wants_value => Answer::Value(response.into_body()),
        status if status.is_success() => Answer::Done,
        // What is wrong with the settings should be in ccache's log; the compilation goes on.
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) => {
            let body = String::from_utf8_lossy(response.body());
            Answer::Failed(format!("{status}: {}", body.lines().next().unwrap_or_default()))
        }
        _ => Answer::Noop,
    }
}

#[cfg(test)]
pub(super) mod tests;
