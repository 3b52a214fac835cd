//! The client of a server's own pages, and the plain way to it for helpers of doors.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use larder_base::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::http::Call;
use crate::{HttpClient, ServerUrl};

/// The most bytes of an answer: the largest value that a helper of a door handles.
const ANSWER_MAX_BYTES: usize = 1 << 30;
/// How long a collection may take before an answer.
const COLLECTION: Duration = Duration::from_secs(600);

/// Talks to one server.
#[derive(Clone, Debug)]
pub struct ServerClient {
    http: HttpClient,
    server: ServerUrl,
    authorization: Option<HeaderValue>,
}

impl ServerClient {
    /// A client of `server`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a token that no header can hold.
    pub fn new(http: HttpClient, server: ServerUrl, token: Option<&str>) -> Result<Self> {
        let authorization = token.map(crate::ci::bearer).transpose()?;
        Ok(Self { http, server, authorization })
    }

    /// The server's address.
    pub fn url(&self) -> &ServerUrl {
        &self.server
    }

    /// What the server tells of itself.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it cannot be reached, [`ErrorKind::Denied`] when the token is not an operator's.
    pub async fn status(&self) -> Result<Value> {
        let request = Request::get("/status").body(Bytes::new());
        self.json(request.expect("the request is a constant"), Duration::ZERO).await
    }

    /// Has the server bring its data under the quota, changed first to `quota` bytes if given; tells what was done.
    ///
    /// # Errors
    /// As [`ServerClient::status`].
    pub async fn collect_garbage(&self, quota: Option<u64>) -> Result<Value> {
        let query = quota.map_or(String::new(), |quota| format!("?quota={quota}"));
        let request = Request::post(format!("/gc{query}")).body(Bytes::new());
        self.json(request.expect("a number is fit for a query"), COLLECTION).await
    }

    /// Sends one request and gives its answer, bodies whole. Its URI is a path on this server, or whole for another one,
    /// which never gets this server's token. An `Authorization` of its own is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the server cannot be reached; a status is no error.
    pub async fn exchange(&self, request: Request<Bytes>, wait: Duration) -> Result<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let mut headers: HeaderMap = head.headers;
        let url = if head.uri.scheme().is_some() {
            head.uri.to_string()
        } else {
            if let Some(authorization) = &self.authorization
                && !headers.contains_key(AUTHORIZATION)
            {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            self.server.with_path(&head.uri)
        };
        let call = Call { method: head.method, url, headers, body, wait };
        self.http.exchange(&call, ANSWER_MAX_BYTES).await
    }

    async fn json(&self, request: Request<Bytes>, wait: Duration) -> Result<Value> {
        let what = if request.method() == Method::GET { "read status" } else { "collect garbage" };
        let answer = self.exchange(request, wait).await?;
        let status = answer.status();
        if !status.is_success() {
            let kind = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
                status if status.is_server_error() => ErrorKind::Unavailable,
                _ => ErrorKind::Failed,
            };
            let said: String = String::from_utf8_lossy(answer.body()).trim().chars().take(300).collect();
            return Err(Error::new(kind, what, format!("{} answered {status}: {said}", self.server)));
        }
        serde_json::from_slice(answer.body()).map_err(|error| {
            Error::new(ErrorKind::Failed, what, format!("{} is no Larder server, it seems", self.server))
                .with_source(error)
        })
    }
}
