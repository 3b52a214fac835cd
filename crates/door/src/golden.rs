//! Golden tests of a door: requests go in, a transcript comes out that is reviewed as a diff.

use std::fmt::Write;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Sends one request through a router, without a socket, and gives the whole answer.
///
/// # Panics
/// When the answer's body breaks off: a transcript of half an answer would hide it.
pub async fn exchange(router: &Router, request: Request<Body>) -> Response<Bytes> {
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the answer has all of its body").to_bytes();
    Response::from_parts(head, body)
}

/// A transcript of exchanges, in the order they were made.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
}

impl Transcript {
    /// An empty transcript.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an exchange and writes it down: method, path, status, headers in order of name, and the body as text (or its
    /// length, when it is not printable text or long).
    ///
    /// # Panics
    /// As [`exchange`].
    pub async fn exchange(&mut self, router: &Router, request: Request<Body>) -> Response<Bytes> {
        let line = format!("> {} {}", request.method(), request.uri());
        let response = exchange(router, request).await;
        let text = &mut self.text;
        let _ = writeln!(text, "{line}\n< {}", response.status());
        let mut headers: Vec<_> = response.headers().iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            let _ = writeln!(text, "< {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        match std::str::from_utf8(response.body()) {
            Ok("") => {}
            Ok(body) if body.len() <= 2000 && !body.contains(|c: char| c.is_control() && c != '\n') => {
                let _ = writeln!(text, "{body}");
            }
            _ => {
                let _ = writeln!(text, "({} bytes)", response.body().len());
            }
        }
        text.push('\n');
        response
    }

    /// The transcript so far.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
