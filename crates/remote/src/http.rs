//! The one HTTP client: kept connections, bounded patience.

mod body;
mod pause;
pub(crate) mod unix;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use larder_base::{BlobStream, BoxFuture, Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

pub(crate) use body::Payload;
use body::{Progress, Sending};
pub(crate) use pause::Pauses;

/// How patient the client is.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How often a request is tried in all.
    pub tries: u32,
    /// How long after the first try a further one may begin.
    pub total: Duration,
    /// How long nothing may move: no byte sent, no byte received.
    pub idle: Duration,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// About how long the first pause between two tries is; each further one is twice as long.
    pub first_pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tries: 5,
            total: Duration::from_secs(60),
            idle: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            first_pause: Duration::from_millis(200),
        }
    }
}

/// Sends requests over kept HTTP/1.1 connections, again when that can help. Cheap to clone; clones share connections.
///
/// A request is tried again after a broken or stalled connection and after 429, 502, 503 and 504, with growing, jittered
/// pauses; `Retry-After` is honoured while it fits. So every request must be one that may arrive twice.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    pauses: Pauses,
    plain: Client<HttpConnector, Sending>,
    local: Client<unix::UnixConnector, Sending>,
    // Reading the system's certificates takes milliseconds that a client of a local server never pays.
    secure: OnceLock<Client<HttpsConnector<HttpConnector>, Sending>>,
}

/// A request that may be sent several times.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How long, beyond the usual, the server may be silent because it was asked to wait.
    pub(crate) wait: Duration,
    /// What the reader can do where nobody takes the connection, as far as whoever calls knows.
    pub(crate) advice: Option<&'static str>,
}

impl HttpClient {
    /// A client. `seed` is some random number: it spreads the pauses of clients that failed together.
    pub fn new(policy: Policy, seed: u64) -> Self {
        let plain = builder().build(connector(&policy));
        let local = builder().build(unix::UnixConnector { patience: policy.connect });
        Self { inner: Arc::new(Inner { policy, pauses: Pauses::new(seed), plain, local, secure: OnceLock::new() }) }
    }

    /// How patient it is.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    pub(crate) fn pauses(&self) -> &Pauses {
        &self.inner.pauses
    }

    /// The whole answer, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when no answer came; an answer of whatever status is none of this function's errors.
    pub(crate) async fn exchange(&self, call: &Call, limit: usize) -> Result<Response<Bytes>> {
        let idle = self.inner.policy.idle + call.wait;
        self.repeat(call, move |response| {
            Box::pin(async move {
                let (head, body) = response.into_parts();
                let body = larder_base::collect(body::receiving(body, idle), limit).await?;
                Ok(Response::from_parts(head, body))
            })
        })
        .await
    }

    /// The answer, its body as a stream that stalls for no longer than the policy allows. The stream itself is not
    /// repeated when it breaks.
    ///
    /// # Errors
    /// As [`HttpClient::exchange`].
    pub(crate) async fn open(&self, call: &Call) -> Result<Response<BlobStream>> {
        let idle = self.inner.policy.idle;
        self.repeat(call, move |response| Box::pin(async move { Ok(response.map(|body| body::receiving(body, idle))) }))
            .await
    }

    async fn repeat<T>(
        &self,
        call: &Call,
        receive: impl Fn(Response<Incoming>) -> BoxFuture<'static, Result<Response<T>>> + Send,
    ) -> Result<Response<T>> {
        let policy = &self.inner.policy;
        let last_start = Instant::now() + policy.total;
        let mut tried = 0;
        loop {
            tried += 1;
            let answer = match self.once(call).await {
                Ok(response) => receive(response).await,
                Err(error) => Err(error),
            };
            let asked = match &answer {
                Ok(response) if may_pass(response.status()) => retry_after(response.headers()),
                Err(error) if error.kind() == ErrorKind::Unavailable => None,
                _ => return answer,
            };
            let pause = self.inner.pauses.after(tried, policy.first_pause).max(asked.unwrap_or_default());
            if tried >= policy.tries || Instant::now() + pause > last_start {
                return answer;
            }
            let outcome = answer.as_ref().map_or_else(ToString::to_string, |response| response.status().to_string());
            tracing::debug!(method = %call.method, tried, ?pause, %outcome, "request will be tried again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, call: &Call) -> Result<Response<Incoming>> {
        let url = call
            .url
            .parse()
            .map_err(|error| Error::invalid("send request", "the URL is malformed").with_source(error))?;
        let mut request = Request::new(Payload::Whole(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = url;
        *request.headers_mut() = call.headers.clone();
        self.send(request, call.wait, call.advice).await
    }

    /// Sends a request once, for a caller that repeats by rules of its own. Its answer's body stalls for no longer than the
    /// policy allows.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when no answer came; what the source of the body failed with.
    pub(crate) async fn send_once(&self, request: Request<Payload>, wait: Duration) -> Result<Response<BlobStream>> {
        let idle = self.inner.policy.idle;
        Ok(self.send(request, wait, None).await?.map(|body| body::receiving(body, idle)))
    }

    async fn send(
        &self,
        request: Request<Payload>,
        wait: Duration,
        advice: Option<&'static str>,
    ) -> Result<Response<Incoming>> {
        let progress = Progress::now();
        let mut request = request.map(|payload| Sending::new(&payload, progress.clone()));
        if request.uri().scheme_str() == Some(unix::SCHEME) {
            // The host that stands for a path means nothing to the server.
            request.headers_mut().insert(http::header::HOST, HeaderValue::from_static("localhost"));
        }
        let origin = origin_of(request.uri());
        let response = match request.uri().scheme_str() {
            Some("https") => self.secure()?.request(request),
            Some(unix::SCHEME) => self.inner.local.request(request),
            _ => self.inner.plain.request(request),
        };
        tokio::pin!(response);
        let idle = self.inner.policy.idle + wait;
        loop {
            let deadline = progress.last() + idle;
            match timeout_at(deadline, &mut response).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    return Err(progress.failure().unwrap_or_else(|| unanswered(&origin, &error, advice)));
                }
                Err(_) if progress.last() + idle > deadline => {}
                Err(_) => {
                    let message = format!("the server at {origin} did not answer for {} s", idle.as_secs());
                    return Err(Error::new(ErrorKind::Unavailable, "send request", message));
                }
            }
        }
    }

    fn secure(&self) -> Result<&Client<HttpsConnector<HttpConnector>, Sending>> {
        if let Some(client) = self.inner.secure.get() {
            return Ok(client);
        }
        let mut http = connector(&self.inner.policy);
        http.enforce_http(false);
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| {
                Error::new(ErrorKind::Failed, "prepare TLS", "the system's certificates cannot be read")
                    .with_hint("install the package ca-certificates")
                    .with_source(error)
            })?
            .https_only()
            .enable_http1()
            .wrap_connector(http);
        Ok(self.inner.secure.get_or_init(|| builder().build(tls)))
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("policy", &self.inner.policy).finish_non_exhaustive()
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
    builder
}

fn connector(policy: &Policy) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(policy.connect));
    connector
}

fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `Retry-After` in seconds; the form with a date is for people and is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What may be shown of a URL: a signed one holds a permission in its query.
fn origin_of(uri: &http::Uri) -> String {
    if uri.scheme_str() == Some(unix::SCHEME) {
        let path = unix::path_of(uri.host().unwrap_or_default()).unwrap_or_default();
        return format!("unix:{}", path.display());
    }
    format!("{}://{}", uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", http::uri::Authority::as_str))
}

/// A request that got no answer. Its cause is told in the message, and only the innermost: what lies between is ours.
fn unanswered(origin: &str, error: &hyper_util::client::legacy::Error, advice: Option<&'static str>) -> Error {
    let failed = |message| Error::new(ErrorKind::Unavailable, "send request", message);
    if !error.is_connect() {
        return failed(format!("the server at {origin} broke the connection: {}", innermost(error)));
    }
    if is_no_tls(error) {
        return failed(format!("the server at {origin} does not speak TLS"))
            .with_hint("is it a server of plain HTTP? Then its address begins with http://");
    }
    let failure = failed(format!("the server at {origin} cannot be reached: {}", innermost(error)));
    match advice {
        Some(advice) => failure.with_hint(advice),
        None => failure,
    }
}

/// Whether the first bytes that came over a connection were no TLS.
fn is_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error leaves itself out of the chain and stands for what it wraps.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let deeper = match wrapped {
        Some(wrapped) => Some(wrapped as &(dyn std::error::Error + 'static)),
        None => error.source(),
    };
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
        || deeper.is_some_and(is_no_tls)
}

/// The cause at the end of the chain: "connection refused" says more than "client error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
