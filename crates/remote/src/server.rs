//! The client of a server's own pages, and the plain way to it for helpers of doors.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use larder_base::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::ci::answer;
use crate::http::Call;
use crate::url::escape;
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

    /// What the server's jobs are doing.
    ///
    /// # Errors
    /// As [`ServerClient::status`].
    pub async fn jobs(&self) -> Result<Value> {
        let request = Request::get("/jobs").body(Bytes::new());
        self.json(request.expect("the request is a constant"), Duration::ZERO).await
    }

    /// Has a job take a step now, and tells how it went.
    ///
    /// # Errors
    /// As [`ServerClient::status`]; [`ErrorKind::Failed`] when there is no such job.
    pub async fn run_job(&self, name: &str) -> Result<Value> {
        let request = Request::post(format!("/jobs/{}", escape(name))).body(Bytes::new());
        self.json(request.expect("an escaped name is fit for a path"), COLLECTION).await
    }

    /// The tokens that were given out.
    ///
    /// # Errors
    /// As [`ServerClient::status`], an administrator's token being enough.
    pub async fn tokens(&self) -> Result<Value> {
        let request = Request::get("/tokens").body(Bytes::new());
        self.json(request.expect("the request is a constant"), Duration::ZERO).await
    }

    /// Has the server give out a token.
    ///
    /// # Errors
    /// As [`ServerClient::tokens`]; [`ErrorKind::Failed`] when the request makes no sense.
    pub async fn create_token(&self, request: &Value) -> Result<Value> {
        let request = Request::post("/tokens").body(request.to_string().into());
        self.json(request.expect("the request is a constant"), Duration::ZERO).await
    }

    /// Has the server take back the token of this id.
    ///
    /// # Errors
    /// As [`ServerClient::tokens`]; [`ErrorKind::Failed`] when there is no such token.
    pub async fn revoke_token(&self, id: &str) -> Result<Value> {
        let request = Request::delete(format!("/tokens/{}", escape(id))).body(Bytes::new());
        self.json(request.expect("an escaped id is fit for a path"), Duration::ZERO).await
    }

    /// Sends one request and gives its answer, bodies whole. Its URI is a path on this server, or whole for another one,
    /// which never gets this server's token. An `Authorization` of its own is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the server cannot be reached; a status is no error.
    pub async fn exchange(&self, request: Request<Bytes>, wait: Duration) -> Result<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let mut headers: HeaderMap = head.headers;
        let (url, advice) = if head.uri.scheme().is_some() {
            (head.uri.to_string(), None)
        } else {
            if let Some(authorization) = &self.authorization
                && !headers.contains_key(AUTHORIZATION)
            {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            (self.server.with_path(&head.uri), Some(answer::START_ONE))
        };
        let call = Call { method: head.method, url, headers, body, wait, advice };
        self.http.exchange(&call, ANSWER_MAX_BYTES).await
    }

    async fn json(&self, request: Request<Bytes>, wait: Duration) -> Result<Value> {
        let what = if request.method() == Method::GET { "ask server" } else { "have server act" };
        let response = self.exchange(request, wait).await?;
        if !response.status().is_success() {
            return Err(refusal(what, self.server.as_str(), &response));
        }
        serde_json::from_slice(response.body())
            .map_err(|_| answer::unreadable(format!("{} answered nothing that a Larder server says", self.server)))
    }
}

/// The failure that an answer of the server's own pages tells of: one line of plain text.
fn refusal(what: &'static str, server: &str, response: &Response<Bytes>) -> Error {
    let status = response.status();
    let said = std::str::from_utf8(response.body()).unwrap_or_default().trim();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_line = content_type.is_some_and(|value| value.starts_with("text/plain")) && said.lines().count() == 1;
    // A page that it does not have is none of its words: any server says that.
    if !is_line || status == StatusCode::NOT_FOUND {
        return answer::failure(server, response);
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Failed,
    };
    let said: String = said.chars().take(300).collect();
    Error::new(kind, what, format!("{server} answered {status}: {said}"))
}

#[cfg(test)]
mod tests;
