use std::time::Duration;

use bytes::Bytes;
use larder_base::{BlobStream, ErrorKind, HashFunction, Scope, UploadId, collect};
use larder_proto::ci::{HASHES_MAX, Purpose, Run, UploadState};
use serde_json::{Value, json};

use super::{CiClient, EntryFilter, Lookup};
use crate::testing::{Script, Step, impatient, ok};

fn client(script: &Script) -> CiClient {
    let namespace = "acme".parse().unwrap();
    CiClient::new(impatient(), script.url.parse().unwrap(), &namespace, Some("token")).unwrap()
}

fn answer(value: &Value) -> Step {
    ok(value.to_string())
}

fn refusal(status: &'static str, kind: &str) -> Step {
    let body = json!({ "error": { "kind": kind, "message": "no", "hint": "do better" } });
    Step::Answer(status, body.to_string().into_bytes())
}

fn upload() -> UploadId {
    UploadId::from_random([1; 16])
}

fn run(length: u64) -> Run {
    Run { url: "runs/1?signature=x".into(), length, headers: [("range".to_owned(), "bytes=5-9".to_owned())].into() }
}

#[tokio::test]
async fn a_hit_is_parsed_to_types_and_a_miss_is_no_error() {
    let hash = HashFunction::TREE.hash(b"manifest");
    let hit = json!({
        "result": "hit", "key": "k", "scope": "pr/7", "content": hash.to_hex(), "files": 1, "bytes": 2,
        "created_ms": 3, "restored_ms": 4, "writer": "w",
        "manifest": { "hash": hash.to_hex(), "size": 8, "chunks": [{ "hash": hash.to_hex(), "size": 8 }] },
    });
    let mut bad = hit.clone();
    bad["manifest"]["hash"] = json!("zz");
    let script = Script::run(vec![answer(&hit), answer(&json!({ "result": "miss", "reason": "never" })), answer(&bad)]);
    let client = client(&script);
    let key = "k".parse().unwrap();
    let Lookup::Hit(found) = client.lookup(&key, &[], Purpose::Restore).await.unwrap() else { panic!("a hit") };
    assert_eq!((found.scope, found.manifest.chunks[0].hash), (Scope::Pr(7), hash));
    assert_eq!(client.lookup(&key, &[], Purpose::Check).await.unwrap(), Lookup::Miss("never".into()));
    assert_eq!(client.lookup(&key, &[], Purpose::Check).await.unwrap_err().kind(), ErrorKind::Failed);
    let seen = script.seen();
    assert_eq!(seen[0].line, "POST /ci/v1/acme/lookup");
    assert!(seen[0].has_header("authorization"));
    assert_eq!(serde_json::from_slice::<Value>(&seen[1].body).unwrap()["purpose"], "check");
}

#[tokio::test]
async fn failures_keep_their_kind_and_say_what_the_server_said() {
    for (status, word, kind) in [
        ("400 Bad", "invalid", ErrorKind::Invalid),
        ("401 No", "denied", ErrorKind::Denied),
        ("413 Large", "too-large", ErrorKind::TooLarge),
        ("507 Full", "full", ErrorKind::Full),
        ("500 Bad", "corrupt", ErrorKind::Corrupt),
        ("500 Bad", "failed", ErrorKind::Failed),
        ("409 New", "of-the-future", ErrorKind::Invalid),
    ] {
        let script = Script::run(vec![refusal(status, word)]);
        let error = client(&script).missing(&[HashFunction::TREE.hash(b"x")]).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, "no (do better)"), "{word}");
    }
    let script = Script::run(vec![Step::Answer("404 Not Found", b"<html>".to_vec())]);
    let error = client(&script).show(&"k".parse().unwrap(), None).await.unwrap_err();
    assert!(error.hint().unwrap().contains("LARDER_URL"), "{error}");
    let script = Script::run(vec![refusal("404 Not Found", "not-found")]);
    assert_eq!(client(&script).show(&"k".parse().unwrap(), None).await.unwrap(), None);
}

#[tokio::test]
async fn more_hashes_than_fit_are_asked_for_in_turns() {
    let hashes: Vec<_> =
        (0..HASHES_MAX as u32 + 1).map(|number| HashFunction::TREE.hash(&number.to_le_bytes())).collect();
    let last = hashes[HASHES_MAX];
    let script = Script::run(vec![ok(hashes[3].as_bytes().to_vec()), ok(last.as_bytes().to_vec()), ok("odd")]);
    let client = client(&script);
    assert_eq!(client.missing(&hashes).await.unwrap(), [hashes[3], last]);
    assert_eq!(client.missing(&hashes[..1]).await.unwrap_err().kind(), ErrorKind::Failed);
    let seen = script.seen();
    assert_eq!((seen[0].body.len(), seen[1].body.len()), (HASHES_MAX * 32, 32));
}

#[tokio::test]
async fn a_part_goes_to_its_url_without_the_token_and_again_to_a_fresh_one_when_that_has_expired() {
    let place = |url: &str| answer(&json!({ "url": url, "expires_ms": 1, "headers": { "x-part": "yes" } }));
    let script = Script::run(vec![
        place("uploads/u/parts/2/5?signature=old"),
        refusal("403 Forbidden", "expired"),
        place("/elsewhere?signature=new"),
        Step::Answer("204 No Content", vec![]),
    ]);
    client(&script).send_part(&upload(), 2, Bytes::from_static(b"bytes"), &[]).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].line, format!("POST /ci/v1/acme/uploads/{}/parts", upload()));
    assert_eq!(serde_json::from_slice::<Value>(&seen[0].body).unwrap(), json!({ "number": 2, "length": 5 }));
    assert_eq!(seen[1].line, "PUT /ci/v1/acme/uploads/u/parts/2/5?signature=old");
    assert_eq!(seen[3].line, "PUT /elsewhere?signature=new");
    assert_eq!(seen[3].body, b"bytes");
    assert!(seen[0].has_header("authorization") && !seen[1].has_header("authorization"));
    assert!(seen[1].has_header("x-part"));
}

#[tokio::test]
async fn a_part_goes_to_a_fresh_url_when_the_session_of_a_bucket_has_ended() {
    let bucket = Script::run(vec![refusal("400 Bad Request", "expired"), Step::Answer("200 OK", vec![])]);
    let place = |name: &str| answer(&json!({ "url": format!("{}/{name}", bucket.url), "expires_ms": 1 }));
    let script = Script::run(vec![place("old"), place("new")]);
    let client = client(&script);
    client.send_part(&upload(), 2, Bytes::from_static(b"bytes"), &[]).await.unwrap();
    assert!(!client.through_server(), "the bucket can be reached");
    let seen = bucket.seen();
    assert_eq!((seen[0].line.as_str(), seen[1].line.as_str()), ("PUT /old", "PUT /new"));
}

#[tokio::test]
async fn a_part_that_is_refused_for_good_is_not_sent_for_ever() {
    let place = || answer(&json!({ "url": "p", "expires_ms": 1 }));
    let denied = || refusal("403 Forbidden", "denied");
    let steps = (0..4).flat_map(|_| [place(), denied()]).collect();
    let script = Script::run(steps);
    let error = client(&script).send_part(&upload(), 1, Bytes::from_static(b"bytes"), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(script.seen().len(), 8);
}

#[tokio::test]
async fn a_run_that_breaks_off_is_begun_again_and_nothing_comes_twice() {
    let script = Script::run(vec![
        Step::BreakOff { announced: 10, sent: b"0123".to_vec() },
        Step::BreakOff { announced: 10, sent: b"01".to_vec() },
        Step::Answer("206 Partial Content", b"0123456789".to_vec()),
    ]);
    let stream: BlobStream = client(&script).fetch_run(&run(10)).await.unwrap().unwrap();
    assert_eq!(collect(stream, 100).await.unwrap(), "0123456789");
    let seen = script.seen();
    assert!(seen.iter().all(|request| request.has_header("range") && !request.has_header("authorization")));
}

#[tokio::test]
async fn a_run_of_another_length_is_an_error() {
    let script = Script::run(vec![ok("01234567890")]);
    let stream = client(&script).fetch_run(&run(10)).await.unwrap().unwrap();
    assert_eq!(collect(stream, 100).await.unwrap_err().kind(), ErrorKind::Failed);
    let script = Script::run((0..5).map(|_| ok("short")).collect());
    let stream = client(&script).fetch_run(&run(10)).await.unwrap().unwrap();
    assert_eq!(collect(stream, 100).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_run_from_elsewhere_whose_range_is_ignored_is_to_be_located_again_through_the_server() {
    let script = Script::run(vec![ok("all of the object")]);
    let client = client(&script);
    let elsewhere = Run { url: format!("{}/object", script.url), ..run(10) };
    assert!(!client.through_server());
    assert!(client.fetch_run(&elsewhere).await.unwrap().is_none());
    assert!(client.through_server());
}

#[tokio::test]
async fn a_run_whose_url_is_no_longer_good_is_to_be_located_again() {
    for status in ["400 Bad Request", "403 Forbidden", "404 Not Found"] {
        let script = Script::run(vec![Step::Answer(status, b"<Error/>".to_vec())]);
        assert!(client(&script).fetch_run(&run(10)).await.unwrap().is_none());
    }
    let script = Script::run(vec![Step::Answer("500 Internal Server Error", vec![])]);
    assert_eq!(client(&script).fetch_run(&run(10)).await.err().unwrap().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_long_wait_for_the_end_is_asked_for_in_turns() {
    let status = |state: &str| answer(&json!({ "upload": upload().to_string(), "key": "k", "state": state }));
    let script = Script::run(vec![status("queued"), status("queued"), status("published")]);
    let finish = super::Finish {
        manifest: super::ManifestAddress { digest: larder_base::Digest::by(HashFunction::TREE, b""), chunks: vec![] },
        parts: vec![1],
        content: HashFunction::TREE.hash(b""),
        files: 0,
        bytes: 0,
    };
    let end = client(&script).finish(&upload(), &finish, Duration::from_secs(75)).await.unwrap();
    assert_eq!(end.state, UploadState::Published);
    let seen = script.seen();
    assert_eq!(serde_json::from_slice::<Value>(&seen[0].body).unwrap()["wait_ms"], 30_000);
    assert!(seen[1].line.ends_with("?wait_ms=30000") && seen[2].line.ends_with("?wait_ms=15000"), "{seen:?}");
}

#[tokio::test]
async fn names_are_escaped_in_queries() {
    let script =
        Script::run(vec![answer(&json!({ "entries": [] })), answer(&json!({ "entries": [], "dry_run": true }))]);
    let client = client(&script);
    let filter = EntryFilter { prefix: "a&b=c é".into(), scope: Some(Scope::Pr(7)), ..EntryFilter::default() };
    client.list(&filter, Some("1.2"), 10).await.unwrap();
    client.purge(&"k&dry_run=false".parse().unwrap(), None, true).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen[0].line, "GET /ci/v1/acme/entries?prefix=a%26b%3Dc%20%C3%A9&scope=pr%2F7&limit=10&after=1.2");
    assert_eq!(seen[1].line, "DELETE /ci/v1/acme/entry?key=k%26dry_run%3Dfalse&dry_run=true");
}

#[test]
fn a_token_that_no_header_can_hold_is_refused_without_being_shown() {
    let made = CiClient::new(impatient(), "http://h".parse().unwrap(), &"acme".parse().unwrap(), Some("a\nb"));
    let error = made.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!error.to_string().contains("a\nb"));
    let made = CiClient::new(impatient(), "http://h".parse().unwrap(), &"acme".parse().unwrap(), Some("s3cret"));
    assert!(!format!("{made:?}").contains("s3cret"));
}
