//! Transfers by signed URLs, which lead to the server itself or to the object store that it uses.
//!
//! Such a URL is its own permission, so no token is sent with it. One that leads elsewhere may fail for this client alone: a
//! firewall, a rule that took an object away, a policy. The server has everything too, and learns what is gone elsewhere; so
//! what fails is asked for through it, and the [`DirectWay`] remembers that for a while.

mod fetch;
mod way;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use larder_base::Result;

use crate::ci::answer::unreadable;
use crate::http::Call;
use crate::{HttpClient, ServerUrl};

pub(crate) use way::DirectWay;

/// The most bytes of an answer to a put.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// The right to one transfer.
#[derive(Clone)]
pub(crate) struct SignedUrl {
    url: String,
    headers: HeaderMap,
    leads_elsewhere: bool,
}

/// What came of a put.
pub(crate) enum Put {
    /// It is there.
    Done,
    /// It was answered so.
    Refused(Response<Bytes>),
}

impl SignedUrl {
    /// What a reference means that was found in an answer of `server` to a request for something directly below `path`.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Failed`] for headers that are none.
    pub(crate) fn new(
        server: &ServerUrl,
        path: &str,
        reference: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let leads_elsewhere = reference.starts_with("http://") || reference.starts_with("https://");
        Ok(Self { url: server.resolve(path, reference), headers: headers_of(headers)?, leads_elsewhere })
    }

    /// Whether it leads elsewhere than to the server.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        self.leads_elsewhere
    }

    /// Puts all of `body`. It may be put again, by whatever URL for the same place, which may be silent for `wait` beyond the
    /// usual.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Unavailable`] when no answer came.
    pub(crate) async fn put(&self, http: &HttpClient, body: Bytes, wait: Duration) -> Result<Put> {
        let answer = http.exchange(&Call { wait, ..self.call(Method::PUT, body) }, ANSWER_MAX_BYTES).await?;
        let is_there = answer.status().is_success()
            // Put by a try whose answer was lost. What is there is verified before it counts.
            || answer.status() == StatusCode::PRECONDITION_FAILED;
        Ok(if is_there { Put::Done } else { Put::Refused(answer) })
    }

    /// Whether a refusal with this status may mean that a fresh URL would do. Expired at the server is 403; a bucket says 403 too, and
    /// some say 401. Of a session that has ended, and with it what was signed in it, a bucket says 400.
    pub(crate) fn may_be_too_old(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)
            || status == StatusCode::BAD_REQUEST && self.leads_elsewhere
    }

    fn call(&self, method: Method, body: Bytes) -> Call {
        Call { method, url: self.url.clone(), headers: self.headers.clone(), body, wait: Duration::ZERO, advice: None }
    }
}

/// The headers that a signed URL wants.
fn headers_of(named: &BTreeMap<String, String>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let bad = || unreadable(format!("the answer holds a bad header {name:?}"));
        let name: HeaderName = name.parse().map_err(|_| bad())?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(headers)
}
