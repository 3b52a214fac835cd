//! What a fault looks like to the client: the one place where kinds of errors become answers.

use axum::body::Body;
use http::{Response, StatusCode};
use larder_base::{Error, ErrorKind};

/// To a read. A fault is a miss, so that no build fails.
pub(crate) fn to_read(error: &Error) -> Response<Body> {
    match error.kind() {
        ErrorKind::Invalid => refusal(StatusCode::BAD_REQUEST, error),
        _ => empty(StatusCode::NOT_FOUND),
    }
}

/// To a write. What the client cannot mend is not told to it; the server's log and counters have it.
pub(crate) fn to_write(error: &Error) -> Response<Body> {
    match error.kind() {
        ErrorKind::Invalid => refusal(StatusCode::BAD_REQUEST, error),
        ErrorKind::TooLarge => refusal(StatusCode::PAYLOAD_TOO_LARGE, error),
        _ => empty(StatusCode::NO_CONTENT),
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn refusal(status: StatusCode, error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{error}\n")));
    *response.status_mut() = status;
    response
}
