use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::{DoorName, ErrorKind};
use larder_cache::Outcome;
use larder_door::golden::Transcript;
use larder_testkit::faulty::{Fault, Verb};

use crate::testing::{READER, WRITER, World, delete, get, head, namespace, put, with};

const PATH: &str = "/http/ccache/demo/fe/e3c00e7bb28c2c0c943a1e1bf010be4054e3b5";
/// The same key in the other layouts.
const FLAT: &str = "/http/ccache/demo/fee3c00e7bb28c2c0c943a1e1bf010be4054e3b5";
const BAZEL: &str = "/http/ccache/demo/ac/fee3c00e7bb28c2c0c943a1e1bf010be4054e3b5fee3c00e7bb28c2c0c943a1e";

/// A request with the headers that ccache 4.14.2 sends.
fn as_ccache(mut request: http::Request<axum::body::Body>) -> http::Request<axum::body::Body> {
    for (name, value) in [
        ("accept-encoding", ""),
        ("accept", "*/*"),
        ("host", "127.0.0.1:7979"),
        ("user-agent", "ccache/4.14.2"),
        ("content-type", "application/octet-stream"),
    ] {
        request = with(request, name, value);
    }
    request
}

#[tokio::test]
async fn the_life_of_a_value() {
    let world = World::new();
    let mut transcript = Transcript::new();
    for request in [
        get(PATH),
        put(PATH, "manifest 1"),
        get(PATH),
        head(PATH),
        put(PATH, "manifest 2"),
        get(FLAT),
        get(BAZEL),
        delete(PATH),
        delete(PATH),
        head(PATH),
    ] {
        transcript.exchange(&world.router, as_ccache(request)).await;
    }
    insta::assert_snapshot!(transcript.as_str());
}

#[tokio::test]
async fn what_is_refused_and_how() {
    let world = World::guarded();
    let mut transcript = Transcript::new();
    let bearer = |request, token| {
        with(request, "authorization", if token == WRITER { "Bearer writer-token" } else { "Bearer reader-token" })
    };
    for request in [
        get(PATH),
        with(get(PATH), "authorization", "Bearer wrong"),
        bearer(put(PATH, "value"), READER),
        bearer(delete(PATH), READER),
        bearer(put(PATH, "value"), WRITER),
        bearer(get(PATH), READER),
        bearer(get("/http/ccache/demo/not-a-key"), READER),
        bearer(get("/http/ccache/a%20b/fee3c00e7bb28c2c0c943a1e1bf010be4054e3b5"), READER),
    ] {
        transcript.exchange(&world.router, request).await;
    }
    insta::assert_snapshot!(transcript.as_str());
}

#[tokio::test]
async fn basic_authentication_carries_the_token_as_its_password() {
    let world = World::guarded();
    // ":writer-token", as http://:writer-token@host makes it.
    let request = with(put(PATH, "value"), "authorization", "Basic OndyaXRlci10b2tlbg==");
    assert_eq!(world.send(request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn values_of_any_size_come_back_as_they_were() {
    let world = World::new();
    for size in [0, 1, 1024, 1025, 4096, 2 << 20, (2 << 20) + 1, 5_000_000] {
        let value = Bytes::from_iter((0..size).map(|at| (at % 251) as u8));
        world.put(PATH, value.clone()).await;
        let response = world.get(PATH).await;
        assert_eq!(response.headers()["content-length"], size.to_string());
        assert!(*response.body() == value, "{size} bytes");
        assert_eq!(world.send(head(PATH)).await.headers()["content-length"], size.to_string());
    }
}

#[tokio::test]
async fn a_value_larger_than_allowed_is_refused_with_or_without_an_announcement() {
    let world = World::configured("max_value = 10");
    world.put(PATH, "0123456789").await;
    let mut unannounced = put(PATH, "0123456789a");
    assert_eq!(world.send(put(PATH, "0123456789a")).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    unannounced.headers_mut().remove("content-length");
    let response = world.send(unannounced).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(String::from_utf8_lossy(response.body()).contains("max_value"), "{response:?}");
    assert_eq!(world.get(PATH).await.body(), "0123456789");
}

#[tokio::test]
async fn put_if_none_match_keeps_what_is_there() {
    let world = World::new();
    let only_new = |value: &'static str| with(put(PATH, value), "if-none-match", "*");
    assert_eq!(world.send(only_new("one")).await.status(), StatusCode::OK);
    assert_eq!(world.send(only_new("two")).await.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(world.get(PATH).await.body(), "one");
}

#[tokio::test]
async fn a_small_write_is_one_commit_and_a_small_read_one_look() {
    let world = World::new();
    world.put(PATH, vec![7; 4096]).await;
    assert_eq!((world.faults.calls(Verb::PutEntry), world.faults.calls(Verb::PutBlob)), (1, 0));
    world.put(PATH, vec![7; 100]).await;
    world.get(PATH).await;
    assert_eq!((world.faults.calls(Verb::GetEntry), world.faults.calls(Verb::GetBlob)), (1, 0));
}

#[tokio::test]
async fn a_value_that_breaks_before_its_first_byte_is_a_miss() {
    let world = World::new();
    world.put(PATH, vec![7; 4096]).await;
    world.faults.add(Verb::GetBlob, .., Fault::Tear { after: 0, kind: ErrorKind::Corrupt });
    assert_eq!(world.get(PATH).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.cache.counters().soft_answers(&DoorName::new("http-ccache"), "ccache", ErrorKind::Corrupt), 1);
}

#[tokio::test]
async fn a_value_that_is_gone_since_its_entry_was_found_is_a_miss() {
    let world = World::new();
    let value = vec![7; 4096];
    world.put(PATH, value.clone()).await;
    let gate = larder_testkit::faulty::Gate::closed();
    world.faults.add(Verb::GetBlob, .., Fault::Hold(gate.clone()));
    let evict = async {
        gate.arrivals(1).await;
        assert!(world.memory.forget(&namespace(), &larder_base::ContentHash::of(&value)));
        gate.open();
    };
    let (response, ()) = tokio::join!(world.get(PATH), evict);
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dropped_write_takes_all_of_the_body_and_keeps_nothing() {
    let world = World::new();
    world.put(PATH, "old").await;
    world.fail(&[Verb::PutBlob, Verb::PutEntry], ErrorKind::Full);
    world.put(PATH, vec![1; 3 << 20]).await;
    world.faults.clear();
    assert_eq!(world.get(PATH).await.body(), "old");
    assert_eq!(world.cache.counters().soft_answers(&DoorName::new("http-ccache"), "ccache", ErrorKind::Full), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_sends_leaves_nothing_and_is_no_fault_of_ours() {
    let world = World::new();
    let pieces = [Ok(Bytes::from("half")), Err(std::io::Error::other("gone"))];
    let body = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
    world.send(http::Request::put(PATH).body(body).unwrap()).await;
    assert_eq!(world.get(PATH).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.cache.counters().soft_answers(&DoorName::new("http-ccache"), "ccache", ErrorKind::Unavailable), 0);
}

#[tokio::test]
async fn only_get_counts_as_a_lookup() {
    let world = World::new();
    world.get(PATH).await;
    world.send(head(PATH)).await;
    world.put(PATH, "value").await;
    world.get(PATH).await;
    let lookups = |outcome| world.cache.counters().lookups(&DoorName::new("http-ccache"), &namespace(), outcome);
    assert_eq!((lookups(Outcome::Miss), lookups(Outcome::Hit)), (1, 1));
}

#[tokio::test]
async fn a_read_only_door_serves_and_refuses_writes() {
    let world = World::configured("read_only = true");
    assert_eq!(world.get(PATH).await.status(), StatusCode::NOT_FOUND);
    for request in [put(PATH, "value"), delete(PATH)] {
        let request = with(request, "authorization", "Bearer any");
        assert_eq!(world.send(request).await.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn another_method_is_told_which_there_are() {
    let world = World::new();
    let request = crate::testing::request(&Method::POST, PATH);
    let response = world.send(request).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "HEAD,GET,PUT,DELETE");
}
