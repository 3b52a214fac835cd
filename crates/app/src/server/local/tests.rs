use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use larder_door::golden::exchange;

use super::{is_local, only_local};

async fn status(uri: &str, headers: &[(&str, &str)]) -> StatusCode {
    let routes = only_local(Router::new().route("/healthz", get(async || "ok\n").post(async || "done\n")));
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    exchange(&routes, request.body(Body::empty()).unwrap()).await.status()
}

#[test]
fn only_names_and_addresses_of_the_machine_itself_are_local() {
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "127.3.2.1:80", "[::1]", "[::1]:9000"] {
        assert!(is_local(host), "{host}");
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "evil.example:127",
        "128.0.0.1",
        "0.0.0.0:80",
        "[::2]:80",
        "[::1",
        "::1",
        "localhost:80@evil.example",
        "localhost@evil.example",
        "user@localhost",
    ] {
        assert!(!is_local(host), "{host}");
    }
}

#[tokio::test]
async fn programs_of_the_machine_are_answered() {
    // As curl, Bazel and ccache ask; HTTP/1.0 needs no host; HTTP/2 has it in the URI.
    let curl = [("host", "127.0.0.1:4100"), ("user-agent", "curl/8.5.0"), ("accept", "*/*")];
    let bazel = [("host", "localhost:4100"), ("user-agent", "bazel/"), ("connection", "keep-alive")];
    let ccache = [("host", "[::1]:4100"), ("user-agent", "ccache/4.10"), ("connection", "Keep-Alive")];
    for headers in [&curl[..], &bazel, &ccache, &[]] {
        assert_eq!(status("/healthz", headers).await, StatusCode::OK, "{headers:?}");
    }
    assert_eq!(status("http://localhost:4100/healthz", &[]).await, StatusCode::OK);
}

#[tokio::test]
async fn a_request_that_a_web_page_made_is_refused() {
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        let headers = [("host", "localhost:4100"), ("origin", origin)];
        assert_eq!(status("/healthz", &headers).await, StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn a_name_that_was_made_to_point_here_is_refused_wherever_it_is_said() {
    assert_eq!(status("/healthz", &[("host", "evil.example:4100")]).await, StatusCode::FORBIDDEN);
    assert_eq!(status("http://evil.example/healthz", &[("host", "localhost")]).await, StatusCode::FORBIDDEN);
    let both = [("host", "localhost"), ("host", "evil.example")];
    assert_eq!(status("/healthz", &both).await, StatusCode::FORBIDDEN);
    assert_eq!(status("/no-such-path", &[("host", "evil.example")]).await, StatusCode::FORBIDDEN);
}
