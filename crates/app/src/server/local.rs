//! A server without credentials trusts the programs of its machine, and not the web pages that a browser there shows.

use std::net::IpAddr;

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{HOST, ORIGIN};
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use tower::Service;
use tower::layer::layer_fn;

/// The routes, refused to web pages.
///
/// A browser lets any page send requests to the machine's own ports. It names the page in `Origin` with all but the
/// simplest reads, and in `Host` the name it was given: a page's own name that was made to point here (DNS rebinding) is
/// not one of the machine's.
pub fn only_local(routes: Router) -> Router {
    routes.layer(layer_fn(OnlyLocal))
}

/// A service that answers no request of a web page. It adds no allocation to a request.
#[derive(Clone)]
struct OnlyLocal<S>(S);

impl<S: Service<Request, Response = Response>> Service<Request> for OnlyLocal<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match refusal(&request) {
            None => Either::Left(self.0.call(request)),
            Some(refusal) => Either::Right(ready(Ok(refused(refusal)))),
        }
    }
}

/// Why a request is refused, if it is.
fn refusal(request: &Request) -> Option<&'static str> {
    if request.headers().contains_key(ORIGIN) {
        Some("this request comes from a web page")
    } else if !hosts(request).all(is_local) {
        Some("this request is for another host than localhost")
    } else {
        None
    }
}

fn refused(refusal: &str) -> Response {
    let text = format!(
        "{refusal}, and without credentials this server answers only programs on its own machine\n\
         hint: ask for http://localhost or http://127.0.0.1; for other names, add [[credentials]] to the configuration\n"
    );
    (StatusCode::FORBIDDEN, text).into_response()
}

/// All that a request says of the host it is for. A malformed one is that of no host.
fn hosts(request: &Request) -> impl Iterator<Item = &str> {
    let headers = request.headers().get_all(HOST).into_iter().map(|host| host.to_str().unwrap_or(""));
    // HTTP/2 has it there, as has HTTP/1 when it is sent as to a proxy.
    headers.chain(request.uri().authority().map(http::uri::Authority::as_str))
}

/// Whether a host, with or without a port, is one that only this machine can be.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    if !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return false;
    }
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = match name.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(Some(v6)) => v6.parse().map(IpAddr::V6),
        Some(None) => return false,
        None => name.parse().map(IpAddr::V4),
    };
    address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
