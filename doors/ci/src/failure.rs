//! The one place where failures become answers.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use larder_base::{Error, ErrorKind, InvalidName};
use larder_proto::ci::{ErrorAnswer, ErrorBody, ErrorWord};

/// What a client is told when it does not get what it asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    kind: ErrorWord,
    message: String,
    hint: Option<String>,
}

/// When to come back, in seconds, after "not now".
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

impl Failure {
    fn new(status: StatusCode, kind: ErrorWord, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), hint: None }
    }

    /// 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorWord::Invalid, message)
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorWord::NotFound, message)
    }

    /// 405.
    pub(crate) fn bad_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorWord::Invalid, "this path has no such method")
    }

    /// 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, ErrorWord::Conflict, message)
    }

    /// 413.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorWord::TooLarge, message)
    }

    /// 401: a token is needed.
    pub(crate) fn unauthenticated(error: &Error) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::from_error(error) }
    }

    /// 403: the signed URL is past its time.
    pub(crate) fn expired() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorWord::Expired, "the URL has expired").with_hint("ask for a new one")
    }

    /// 503: the queue is full.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorWord::Unavailable, message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn from_error(error: &Error) -> Self {
        let (status, kind) = match error.kind() {
            ErrorKind::Invalid => (StatusCode::BAD_REQUEST, ErrorWord::Invalid),
            ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorWord::TooLarge),
            ErrorKind::Denied => (StatusCode::FORBIDDEN, ErrorWord::Denied),
            ErrorKind::Full => (StatusCode::INSUFFICIENT_STORAGE, ErrorWord::Full),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ErrorWord::Unavailable),
            ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, ErrorWord::Corrupt),
            ErrorKind::Failed => (StatusCode::INTERNAL_SERVER_ERROR, ErrorWord::Failed),
        };
        let message = if status.is_server_error() { error.to_string() } else { describe(error) };
        Self { status, kind, message, hint: error.hint().map(str::to_owned) }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn describe(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        line.push_str(": ");
        line.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    line
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::from_error(&error);
        // The client gets what it can act on; causes that lie inside this machine go to the log.
        if failure.status.is_server_error() {
            tracing::warn!(kind = error.kind().as_str(), error = describe(&error), "request failed");
        }
        failure
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::invalid(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, kind, message, hint } = self;
        let mut response = (status, Json(ErrorAnswer { error: ErrorBody { kind, message, hint } })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
