use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use larder_cache::{Cache, Jobs, Rights, Signer, Tiers};
use larder_door::Section;
use larder_door::golden::Transcript;
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;

use super::DOOR;

/// The door over a memory tier.
fn door(settings: &str) -> Router {
    let clock = Arc::new(FakeClock::default());
    let memory = Arc::new(Memory::new(clock.clone()));
    let tiers = Tiers { blobs: memory.clone(), entries: memory.clone(), segments: memory };
    let cache = Cache::new(tiers, Rights::Open, Signer::new(&[7; 32]), Jobs::new(clock.clone()), clock);
    let section = Section::new(DOOR.name, settings.parse().unwrap());
    (DOOR.open)(section, cache.door(DOOR.door_name())).unwrap()
}

fn request(method: &str, path: &str, body: &'static str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::from(body)).unwrap()
}

const PUT_AND_GOT: &str = "\
> GET /NAME/project/some/key
< 404 Not Found
< content-length: 0

> PUT /NAME/project/some/key
< 204 No Content
< content-length: 0

> GET /NAME/project/some/key
< 200 OK
< content-length: 5
value

";

#[tokio::test]
async fn a_value_that_was_put_is_got_again() {
    let door = door("");
    let mut transcript = Transcript::new();
    transcript.exchange(&door, request("GET", "/NAME/project/some/key", "")).await;
    transcript.exchange(&door, request("PUT", "/NAME/project/some/key", "value")).await;
    transcript.exchange(&door, request("GET", "/NAME/project/some/key", "")).await;
    assert_eq!(transcript.as_str(), PUT_AND_GOT);
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let door = door("");
    let mut transcript = Transcript::new();
    transcript.exchange(&door, request("PUT", "/NAME/one/key", "value")).await;
    let answer = transcript.exchange(&door, request("GET", "/NAME/another/key", "")).await;
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_with_the_reason() {
    let answer = Transcript::new().exchange(&door(""), request("GET", "/NAME/bad%20name/key", "")).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.body().starts_with(b"read name: namespace \"bad name\""), "{:?}", answer.body());
}

#[tokio::test]
async fn a_value_above_the_limit_is_refused() {
    let door = door("max_bytes = 4");
    let answer = Transcript::new().exchange(&door, request("PUT", "/NAME/project/key", "value")).await;
    assert_eq!(answer.status(), 413);
}
