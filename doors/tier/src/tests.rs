use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use larder_cache::{Cache, Jobs, Rights, Signer, Tiers};
use larder_door::Section;
use larder_door::golden::{Transcript, exchange};
use larder_proto::tier::{Address, EntryAnswer, Frame, Place, PutHead, When};
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;
use larder_testkit::segment;

pub(crate) mod world;

use super::DOOR;

/// The door over a memory tier.
fn door(settings: &str) -> larder_base::Result<Router> {
    let clock = Arc::new(FakeClock::default());
    let memory = Arc::new(Memory::new(clock.clone()));
    let tiers = Tiers { blobs: memory.clone(), entries: memory.clone(), segments: memory };
    let cache = Cache::new(tiers, Rights::Open, Signer::new(&[7; 32]), Jobs::new(clock.clone()), clock);
    let section = Section::new(DOOR.name, settings.parse().unwrap());
    (DOOR.open)(section, cache.door(DOOR.door_name()))
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.into()).unwrap()
}

fn sized(method: &str, path: &str, body: Bytes) -> Request<Body> {
    Request::builder().method(method).uri(path).header("content-length", body.len()).body(body.into()).unwrap()
}

const BLOB: &str = "\
> PUT /tier/v1/acme/blobs
< 200 OK
< content-length: 86
< content-type: application/json
{\"hash\":\"01cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619\",\"size\":5}

> GET /tier/v1/acme/blobs/01cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619
< 200 OK
< content-length: 5
< larder-size: 5
value

> GET /tier/v1/other/blobs/01cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619
< 404 Not Found
< content-length: 73
< content-type: application/json
{\"error\":{\"kind\":\"not-found\",\"message\":\"the namespace has no such blob\"}}

";

#[tokio::test]
async fn a_blob_that_was_put_is_got_again_in_its_own_namespace() {
    let door = door("").unwrap();
    let name = "01cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619";
    let mut transcript = Transcript::new();
    transcript.exchange(&door, request("PUT", "/tier/v1/acme/blobs", "value")).await;
    transcript.exchange(&door, request("GET", &format!("/tier/v1/acme/blobs/{name}"), "")).await;
    transcript.exchange(&door, request("GET", &format!("/tier/v1/other/blobs/{name}"), "")).await;
    assert_eq!(transcript.as_str(), BLOB);
}

#[tokio::test]
async fn the_records_that_are_located_are_those_that_are_sent() {
    let door = door("").unwrap();
    let contents: Vec<Bytes> = (1..4_u8).map(|n| Bytes::from(vec![n; 100 * usize::from(n)])).collect();
    let sent = exchange(&door, sized("PUT", "/tier/v1/acme/segment", segment::body(&contents))).await;
    assert_eq!(sent.status(), StatusCode::OK, "{:?}", sent.body());
    let absent = segment::record(&Bytes::from_static(b"absent")).header.hash;
    let mut asked: Vec<_> = contents.iter().map(|content| segment::record(content).header.hash).collect();
    asked.push(absent);
    let asked: Vec<u8> = asked.iter().flat_map(larder_base::ContentHash::to_key).collect();
    let missing = exchange(&door, request("POST", "/tier/v1/acme/missing", asked.clone())).await;
    assert_eq!(missing.body()[..], absent.to_key());
    let located = exchange(&door, request("POST", "/tier/v1/acme/locate", asked.clone())).await;
    let places: Vec<Place> = Place::split(located.body()).unwrap().collect();
    assert_eq!(places.iter().map(|place| place.size).collect::<Vec<_>>(), [100, 200, 300]);
    let records = exchange(&door, request("POST", "/tier/v1/acme/records", asked)).await;
    assert_eq!(records.body().len() as u64, 16 + places.iter().map(|place| place.length).sum::<u64>());
}

#[tokio::test]
async fn an_entry_is_seen_only_once_all_it_links_to_is_there() {
    let door = door("").unwrap();
    let content = Bytes::from_static(b"linked");
    let link = segment::record(&content).header.hash.to_key();
    let address = || Address { scope: "trusted".into(), door: "ci".into(), key: "key".into() };
    let head = PutHead {
        address: address(),
        stored: None,
        attributes: Default::default(),
        writer: "node".into(),
        when: When::Absent,
    };
    let body = Frame::write(&head, [link].iter(), b"value");
    let get = || request("POST", "/tier/v1/acme/entries/get", r#"{"scope":"trusted","door":"ci","key":"key"}"#);
    let answer = exchange(&door, request("POST", "/tier/v1/acme/entries/put", body.clone())).await;
    let frame = Frame::read(answer.body()).unwrap();
    assert_eq!(frame.head(), Some(EntryAnswer::Incomplete));
    assert!(frame.hashes().eq([link].iter()));
    assert_eq!(Frame::read(exchange(&door, get()).await.body()).unwrap().head(), Some(EntryAnswer::Absent));
    exchange(&door, sized("PUT", "/tier/v1/acme/segment", segment::body(&[content]))).await;
    exchange(&door, request("POST", "/tier/v1/acme/entries/put", body)).await;
    let answer = exchange(&door, get()).await;
    let frame = Frame::read(answer.body()).unwrap();
    assert!(matches!(frame.head(), Some(EntryAnswer::Found(head)) if head.writer == "node"));
    assert!(frame.hashes().eq([link].iter()));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let door = door("").unwrap();
    let refusals = [
        ("GET", "/tier/v1/bad%20name/blobs/01", "", 400, "bad name"),
        ("POST", "/tier/v1/~node/missing", "", 400, "belongs to one Larder alone"),
        ("GET", "/tier/v1/acme/blobs/01zz", "", 400, ""),
        ("POST", "/tier/v1/acme/missing", "short", 400, "33 bytes"),
        ("POST", "/tier/v1/acme/entries/put", "short", 400, "frame"),
        ("POST", "/tier/v1/acme/entries/get", "{}", 400, "JSON"),
        ("PUT", "/tier/v1/acme/segment", "short", 400, "length"),
        ("GET", "/tier/v1/acme/nothing", "", 404, "none of the tier door's"),
        ("DELETE", "/tier/v1/acme/missing", "", 405, "method"),
    ];
    for (method, path, body, status, words) in refusals {
        let answer = exchange(&door, request(method, path, body)).await;
        let said = String::from_utf8_lossy(answer.body());
        assert_eq!(answer.status(), status, "{method} {path}: {said}");
        assert!(said.contains(words), "{method} {path}: {said}");
    }
}

#[test]
fn a_setting_that_it_does_not_have_is_refused() {
    assert!(door("max_bytes = 4").is_err());
}
