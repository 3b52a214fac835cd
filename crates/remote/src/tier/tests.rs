//! The client of the tier door and an object store, each of which says what the test has it say.

use bytes::Bytes;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{Bulk, ContentHash, ErrorKind, HashFunction, Namespace, collect};
use larder_testkit::content::noise;
use larder_testkit::segment::{self, Flaw};
use serde_json::{Value, json};

use super::UpstreamTier;
use crate::testing::{Script, Step, impatient, ok};

fn client(server: &Script) -> UpstreamTier {
    UpstreamTier::new(impatient(), server.url.parse().unwrap(), Some("token")).unwrap()
}

fn acme() -> Namespace {
    "acme".parse().unwrap()
}

fn contents() -> Vec<Bytes> {
    (0..4).map(|seed| noise(seed, 100_000)).collect()
}

fn hashes() -> Vec<ContentHash> {
    contents().iter().map(|content| HashFunction::TREE.hash(content)).collect()
}

/// The records of some of the chunks.
fn run(which: std::ops::Range<usize>) -> Bytes {
    segment::body(&contents()[which]).slice(SEGMENT_HEADER.len()..)
}

/// An answer in JSON.
fn told(answer: &Value) -> Step {
    Step::Answer("200 OK\r\ncontent-type: application/json", answer.to_string().into_bytes())
}

fn refusal(status: &'static str, kind: &str) -> Step {
    let body = json!({ "error": { "kind": kind, "message": "no" } });
    Step::Answer(status, body.to_string().into_bytes())
}

fn by_url(store: &str, which: std::ops::Range<usize>) -> Value {
    let (records, length) = (which.len(), run(which).len());
    json!({ "records": records, "length": length, "url": format!("{store}/object?signature=x"), "headers": { "range": "bytes=16-" } })
}

fn served(which: std::ops::Range<usize>) -> Value {
    json!({ "records": which.len(), "length": run(which).len() })
}

async fn fetch(client: &UpstreamTier, hashes: &[ContentHash]) -> larder_base::Result<Bytes> {
    collect(client.fetch(&acme(), hashes).await?, 1 << 20).await
}

#[tokio::test]
async fn what_has_a_url_comes_by_it_without_the_token_and_the_rest_comes_through_the_server_all_in_order() {
    let stores = [Script::run(vec![ok(run(0..1))]), Script::run(vec![ok(run(2..4))])];
    let absent = ContentHash::of(b"absent");
    let runs = [by_url(&stores[0].url, 0..1), served(1..2), by_url(&stores[1].url, 2..4)];
    let server = Script::run(vec![
        told(&json!({ "runs": runs, "absent": [super::text_of(&absent)] })),
        ok(segment::body(&contents()[1..2])),
    ]);
    let client = client(&server);
    let [a, b, c, d] = hashes()[..] else { panic!("four chunks") };
    assert_eq!(fetch(&client, &[a, absent, b, a, c, d]).await.unwrap(), segment::body(&contents()));
    let status = client.direct_status();
    assert_eq!((status.bytes_down, status.failed), ((run(0..1).len() + run(2..4).len()) as u64, 0));
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /tier/v1/acme/records?urls=true");
    assert_eq!((&seen[1].line[..], &seen[1].body), ("POST /tier/v1/acme/records", &b.to_key().to_vec()));
    for store in stores {
        let seen = store.seen();
        assert_eq!(seen[0].line, "GET /object?signature=x");
        assert!(seen[0].has_header("range") && !seen[0].has_header("authorization"));
    }
}

#[tokio::test]
async fn a_server_that_knows_no_urls_sends_the_records_themselves() {
    let server = Script::run(vec![ok(segment::body(&contents()))]);
    let client = client(&server);
    assert_eq!(fetch(&client, &hashes()).await.unwrap(), segment::body(&contents()));
    assert!(client.direct_status().down);
}

/// Fetches all chunks, the first two by a URL that does not do, and then again.
async fn fetch_past(steps: Vec<Step>, wrong: u64) {
    let store = Script::run(steps);
    let server = Script::run(vec![
        told(&json!({ "runs": [by_url(&store.url, 0..2), by_url(&store.url, 2..4)] })),
        ok(segment::body(&contents()[..2])),
        ok(segment::body(&contents()[2..])),
        ok(segment::body(&contents())),
    ]);
    let client = client(&server);
    // So that the second run is not asked for before it is known how the first came.
    let _all = client.direct.ahead.acquire_many(32 << 20).await.unwrap();
    assert_eq!(fetch(&client, &hashes()).await.unwrap(), segment::body(&contents()));
    let status = client.direct_status();
    assert_eq!((status.bytes_down, status.failed, status.wrong, status.down), (0, 1, wrong, false));
    assert_eq!(fetch(&client, &hashes()).await.unwrap(), segment::body(&contents()));
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines[1..], ["POST /tier/v1/acme/records"; 3], "no URL is asked for any more");
    store.seen();
}

#[tokio::test]
async fn what_does_not_come_by_its_url_comes_through_the_server_and_so_does_what_follows() {
    let length = run(0..2).len();
    let torn = || Step::BreakOff { announced: length, sent: run(0..2)[..1000].to_vec() };
    for status in ["403 Forbidden", "404 Not Found", "400 Bad Request"] {
        fetch_past(vec![Step::Answer(status, b"<Error/>".to_vec())], 0).await;
    }
    fetch_past((0..5).map(|_| Step::Answer("503 Slow", vec![])).collect(), 0).await;
    fetch_past((0..5).map(|_| Step::Close).collect(), 0).await;
    fetch_past((0..5).map(|_| Step::Stall).collect(), 0).await;
    fetch_past((0..5).map(|_| torn()).collect(), 0).await;
    fetch_past(vec![ok([&run(0..2)[..], b"more"].concat())], 0).await;
}

#[tokio::test]
async fn bytes_that_are_not_those_asked_for_are_counted_and_come_through_the_server() {
    let mut flipped = run(0..2).to_vec();
    flipped[100_000] ^= 1;
    let flawed = segment::damaged(&contents()[..2], 1, Flaw::FlippedHeader).slice(16..);
    for wrong in [Bytes::from(flipped), flawed, run(2..4), Bytes::from(vec![b'<'; run(0..2).len()])] {
        fetch_past(vec![ok(wrong)], 1).await;
    }
}

#[tokio::test]
async fn an_object_store_that_cannot_be_reached_is_not_waited_for_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = format!("http://{port}");
    let server = Script::run(vec![
        told(&json!({ "runs": [by_url(&store, 0..4)] })),
        ok(segment::body(&contents())),
        ok(segment::body(&contents())),
    ]);
    let client = client(&server);
    for _ in 0..2 {
        assert_eq!(fetch(&client, &hashes()).await.unwrap(), segment::body(&contents()));
    }
    assert_eq!(client.direct_status().failed, 1);
}

#[tokio::test]
async fn a_list_of_runs_that_is_not_what_was_asked_for_is_an_error() {
    let few = json!({ "runs": [served(0..1)] });
    let many = json!({ "runs": [served(0..4), served(0..1)] });
    let header = json!({ "records": 4, "length": 5, "url": "http://h/", "headers": { "a b": "c" } });
    for answer in [few, many, json!({ "runs": [header] }), json!({ "runs": 1 }), json!({ "runs": [], "absent": ["x"] })]
    {
        let server = Script::run(vec![told(&answer)]);
        assert_eq!(fetch(&client(&server), &hashes()).await.unwrap_err().kind(), ErrorKind::Failed, "{answer}");
    }
}

/// A segment that is large enough for a place of its own.
fn large() -> Bytes {
    segment::body(&[noise(1, 700_000), noise(2, 700_000)])
}

fn place(store: &str) -> Step {
    let headers = json!({ "if-none-match": "*" });
    let url = format!("{store}/part?signature=x");
    told(&json!({ "place": { "upload": "u", "url": url, "headers": headers, "expires_ms": 1 } }))
}

fn adopted(records: u64) -> Step {
    told(&json!({ "records": records, "stored_bytes": 5, "raw_bytes": 6 }))
}

fn lines(server: Script) -> Vec<String> {
    server.seen().into_iter().map(|seen| seen.line.replace("/tier/v1/acme/", "")).collect()
}

#[tokio::test]
async fn a_segment_is_put_to_its_place_without_the_token_and_then_adopted() {
    // Put by a try whose answer was lost, it is there as well.
    for put in [vec![ok("")], vec![Step::Close, Step::Answer("412 Precondition Failed", vec![])]] {
        let tries = put.len();
        let store = Script::run(put);
        let server = Script::run(vec![place(&store.url), adopted(2)]);
        let client = client(&server);
        assert_eq!(client.send(&acme(), large()).await.unwrap().records, 2);
        let status = client.direct_status();
        assert_eq!((status.bytes_up, status.failed, status.up), (large().len() as u64, 0, true));
        let seen = server.seen();
        assert_eq!(seen[0].line, "POST /tier/v1/acme/uploads");
        assert_eq!(serde_json::from_slice::<Value>(&seen[0].body).unwrap(), json!({ "length": large().len() }));
        assert_eq!(seen[1].line, "POST /tier/v1/acme/uploads/u");
        let seen = store.seen();
        assert_eq!(seen[tries - 1].line, "PUT /part?signature=x");
        assert_eq!(seen[tries - 1].body, large());
        assert!(seen[0].has_header("if-none-match") && !seen[0].has_header("authorization"));
    }
}

#[tokio::test]
async fn a_small_segment_and_one_without_a_place_are_sent_to_the_server() {
    let server = Script::run(vec![adopted(1), told(&json!({})), adopted(2)]);
    let client = client(&server);
    client.send(&acme(), segment::body(&contents()[..1])).await.unwrap();
    assert_eq!(client.send(&acme(), large()).await.unwrap().records, 2);
    assert!(client.direct_status().up);
    assert_eq!(lines(server), ["PUT segment", "POST uploads", "PUT segment"]);
}

#[tokio::test]
async fn a_server_that_knows_no_uploads_is_not_asked_again() {
    let server = Script::run(vec![refusal("404 Not Found", "not-found"), adopted(2), adopted(2)]);
    let client = client(&server);
    for _ in 0..2 {
        assert_eq!(client.send(&acme(), large()).await.unwrap().records, 2);
    }
    assert_eq!(lines(server), ["POST uploads", "PUT segment", "PUT segment"]);
    assert_eq!(client.direct_status().failed, 0);
}

/// Sends a segment whose place does not do, and then another one.
async fn send_past(steps: Vec<Step>, adopt: Option<Step>) {
    let store = Script::run(steps);
    let mut said = vec![place(&store.url)];
    let mut expected = vec!["POST uploads"];
    if let Some(adopt) = adopt {
        said.push(adopt);
        expected.push("POST uploads/u");
    }
    said.extend([Step::Answer("204 No Content", vec![]), adopted(2), adopted(2)]);
    expected.extend(["DELETE uploads/u", "PUT segment", "PUT segment"]);
    let server = Script::run(said);
    let client = client(&server);
    for _ in 0..2 {
        assert_eq!(client.send(&acme(), large()).await.unwrap().records, 2);
    }
    let status = client.direct_status();
    assert_eq!((status.bytes_up, status.failed, status.up), (0, 1, false));
    assert_eq!(lines(server), expected);
    store.seen();
}

#[tokio::test]
async fn what_cannot_be_put_or_is_not_found_there_is_sent_to_the_server() {
    for status in ["403 Forbidden", "401 Unauthorized", "404 Not Found", "500 Internal"] {
        send_past(vec![Step::Answer(status, b"<Error/>".to_vec())], None).await;
    }
    send_past((0..5).map(|_| Step::Answer("503 Slow Down", vec![])).collect(), None).await;
    send_past((0..5).map(|_| Step::Close).collect(), None).await;
    send_past(vec![ok("")], Some(refusal("404 Not Found", "not-found"))).await;
    send_past(vec![ok("")], Some(refusal("400 Bad Request", "invalid"))).await;
    send_past(vec![ok("")], Some(refusal("500 Internal Server Error", "corrupt"))).await;
}

#[tokio::test]
async fn a_segment_that_is_bad_itself_is_refused_and_its_place_is_not_blamed() {
    let store = Script::run(vec![ok("")]);
    let bad = || refusal("400 Bad Request", "invalid");
    let server = Script::run(vec![place(&store.url), bad(), refusal("404 Not Found", "not-found"), bad()]);
    let client = client(&server);
    assert_eq!(client.send(&acme(), large()).await.unwrap_err().kind(), ErrorKind::Invalid);
    let status = client.direct_status();
    assert_eq!((status.failed, status.up), (0, true));
}

#[tokio::test]
async fn a_server_that_is_full_or_refuses_the_sender_is_not_sent_the_bytes_as_well() {
    for (status, word, kind) in [("507 Full", "full", ErrorKind::Full), ("403 Forbidden", "denied", ErrorKind::Denied)]
    {
        let server = Script::run(vec![refusal(status, word)]);
        assert_eq!(client(&server).send(&acme(), large()).await.unwrap_err().kind(), kind);
        let store = Script::run(vec![ok("")]);
        let server = Script::run(vec![place(&store.url), refusal(status, word)]);
        assert_eq!(client(&server).send(&acme(), large()).await.unwrap_err().kind(), kind);
    }
}
