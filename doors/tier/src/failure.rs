//! The one place where failures become answers.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use larder_base::{Error, ErrorKind, InvalidName};
use larder_proto::ci::{ErrorAnswer, ErrorBody, ErrorWord};

/// What a node is told when it does not get what it asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    body: ErrorBody,
}

impl Failure {
    fn new(status: StatusCode, kind: ErrorWord, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { kind, message: message.into(), hint: None } }
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

    /// 401: a token is needed.
    pub(crate) fn unauthenticated(error: Error) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::from(error) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, kind) = match error.kind() {
            ErrorKind::Invalid => (StatusCode::BAD_REQUEST, ErrorWord::Invalid),
            ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorWord::TooLarge),
            ErrorKind::Denied => (StatusCode::FORBIDDEN, ErrorWord::Denied),
            ErrorKind::Full => (StatusCode::INSUFFICIENT_STORAGE, ErrorWord::Full),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, ErrorWord::Unavailable),
            ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, ErrorWord::Corrupt),
            ErrorKind::Failed => (StatusCode::INTERNAL_SERVER_ERROR, ErrorWord::Failed),
        };
        if status.is_server_error() {
            tracing::warn!(kind = error.kind().as_str(), %error, source = ?std::error::Error::source(&error), "request failed");
        }
        let mut failure = Self::new(status, kind, error.to_string());
        failure.body.hint = error.hint().map(str::to_owned);
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
        let mut response = (self.status, Json(ErrorAnswer { error: self.body })).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
