//! The description for machines, and what is outside of it.

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::DoorName;
use larder_cache::{Cache, Jobs, Rights, Signer, Tiers};
use larder_door::Section;
use serde_json::{Value, json};
use std::sync::Arc;

use super::server::World;
use crate::DOOR;

#[test]
#[expect(clippy::disallowed_methods, reason = "the golden file lies in the source tree")]
fn the_checked_in_description_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let told = crate::openapi_json();
    if kept != told {
        // Left beside it to be looked at and, if it is meant, renamed.
        std::fs::write(format!("{path}.new"), &told).unwrap();
        panic!("doors/ci/openapi.json is not what the code says; see openapi.json.new beside it");
    }
}

#[test]
fn every_call_of_the_description_is_there() {
    let described: Value = serde_json::from_str(&crate::openapi_json()).unwrap();
    let paths = described["paths"].as_object().unwrap();
    let calls: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(calls, 15);
    for (path, _) in paths {
        assert!(path.starts_with("/ci/v1/{namespace}/"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_of_the_interface_is_answered_in_the_same_form() {
    let server = World::new().start();
    let client = server.as_anyone();
    let cases = [
        (Method::GET, "nonsense", StatusCode::NOT_FOUND, "not-found"),
        (Method::PUT, "lookup", StatusCode::METHOD_NOT_ALLOWED, "invalid"),
        (Method::PATCH, "nonsense", StatusCode::METHOD_NOT_ALLOWED, "invalid"),
        (Method::POST, "lookup", StatusCode::BAD_REQUEST, "invalid"),
        (Method::GET, "uploads/nonsense", StatusCode::NOT_FOUND, "not-found"),
        (Method::GET, "entry", StatusCode::BAD_REQUEST, "invalid"),
    ];
    for (method, path, expected, kind) in cases {
        let (status, body) = client.raw(method, path, Bytes::new()).await;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &answer["error"]["kind"]), (expected, &json!(kind)), "{path}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    let large = vec![b' '; larder_proto::ci::JSON_MAX_BYTES + 1];
    assert_eq!(client.raw(Method::POST, "lookup", large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let many = json!({ "key": "k", "fallbacks": vec!["x"; 17] });
    assert_eq!(client.post("lookup", many).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.post("lookup", json!({ "key": "" })).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(client.post("lookup", json!({ "key": "k", "fallbacks": ["\n"] })).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn the_section_refuses_what_it_does_not_know_and_what_cannot_work() {
    let world = World::new();
    let open = |text: &str| {
        let tier = Arc::new(world.memory.clone());
        let tiers = Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier };
        let clock = Arc::new(world.clock.clone());
        let jobs = Jobs::new(clock.clone());
        let cache = Cache::new(tiers, Rights::Open, Signer::new(&[7; 32]), jobs, clock);
        let section = Section::new("ci", text.parse().unwrap());
        (DOOR.open)(section, cache.door(DoorName::new("ci"))).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(open(""), Ok(()));
    assert!(open("max_entry_byte = 5").unwrap_err().contains("did you mean `max_entry_bytes`"));
    for wrong in
        ["part_max_bytes = 5", "open_uploads = 0", "commit_queue = 0", "commit_parallel = 0", "url_seconds = 0"]
    {
        assert!(open(wrong).unwrap_err().contains("at least"), "{wrong}");
    }
}
