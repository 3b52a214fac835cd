//! Signed URLs: what they permit, and what they do not.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader};
use larder_base::{ContentHash, ErrorKind, HashFunction, SegmentRange};
use larder_testkit::faulty::{Fault, Verb};
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{Client, World};

async fn locate(client: Client<'_>, hashes: &[ContentHash]) -> Value {
    let body: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let (status, answer) = client.raw(Method::POST, "locate", body).await;
    assert_eq!(status, StatusCode::OK);
    serde_json::from_slice(&answer).unwrap()
}

/// The chunks of the records in a run.
fn open_run(mut run: Bytes) -> Vec<Bytes> {
    let mut contents = Vec::new();
    while !run.is_empty() {
        let header = RecordHeader::decode(run.split_to(RECORD_HEADER_LEN).first_chunk().unwrap()).unwrap();
        contents.push(header.open_chunk(&run.split_to(header.stored_len as usize)).unwrap());
    }
    contents
}

#[tokio::test(start_paused = true)]
async fn located_chunks_come_as_records_from_signed_urls_without_a_token() {
    let world = World::with_tokens();
    let server = world.start();
    let client = server.with_token("trusted");
    let sample = Sample::of(&["one", "two", "three"]);
    client.save("k", &sample).await;
    let wanted = [&b"three"[..], b"one", b"never", b"one", b"never"].map(|content| HashFunction::TREE.hash(content));
    let answer = locate(client, &wanted).await;
    assert_eq!(answer["absent"], json!([HashFunction::TREE.hash(b"never").to_hex()]));
    let mut contents = Vec::new();
    for run in answer["runs"].as_array().unwrap() {
        let (status, body) = server.as_anyone().raw(Method::GET, run["url"].as_str().unwrap(), Bytes::new()).await;
        assert_eq!((status, body.len() as u64), (StatusCode::OK, run["length"].as_u64().unwrap()));
        contents.extend(open_run(body));
    }
    contents.sort();
    assert_eq!(contents, ["one", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_url_is_good_for_what_it_says_and_until_it_says_and_for_nothing_else() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let upload = client.upload("k", &sample).await;
    let part_url = client.part_url(&upload, 2, 100).await;
    client.finish(&client.upload("k", &sample).await, sample.finish(&[1], super::server::WAIT)).await;
    let answer = locate(client, &[HashFunction::TREE.hash(b"one")]).await;
    let run_url = answer["runs"][0]["url"].as_str().unwrap().to_owned();
    let length = answer["runs"][0]["length"].to_string();

    let get = async |url: &str| client.raw(Method::GET, url, Bytes::new()).await;
    let put = async |url: &str| client.put(url, vec![0; 100].into()).await;
    let more = run_url.replacen(&format!("/{length}?"), "/100000?", 1);
    let other = run_url.replacen("runs/", "runs/9", 1);
    let longer = run_url.replacen("expires=1", "expires=2", 1);
    let forged = format!("{}0", &run_url[..run_url.len() - 1]);
    let forged = if forged == run_url { format!("{}1", &run_url[..run_url.len() - 1]) } else { forged };
    for tampered in [more, other, longer, forged, format!("{run_url}00")] {
        assert_ne!(tampered, run_url);
        let (status, body) = get(&tampered).await;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::FORBIDDEN, &json!("denied")), "{tampered}");
    }
    let mut neighbour = client;
    neighbour.namespace = "neighbour";
    assert_eq!(neighbour.raw(Method::GET, &run_url, Bytes::new()).await.0, StatusCode::FORBIDDEN);
    for tampered in [part_url.replacen("parts/2/", "parts/3/", 1), part_url.replacen("/100?", "/101?", 1)] {
        assert_eq!(put(&tampered).await.0, StatusCode::FORBIDDEN, "{tampered}");
    }
    for missing in ["runs/0/0/1", "runs/0/0/1?expires=5", "runs/a/0/1?expires=5&signature=0"] {
        assert_eq!(get(missing).await.0, StatusCode::BAD_REQUEST, "{missing}");
    }

    world.clock.advance(Duration::from_secs(world.settings.url_seconds));
    assert_eq!(get(&run_url).await.0, StatusCode::OK);
    world.clock.advance(Duration::from_millis(1));
    let (status, body) = get(&run_url).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::FORBIDDEN, &json!("expired")));
    let (status, answer) = put(&part_url).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::FORBIDDEN, &json!("expired")));
    // The upload itself is still open: a new URL is good.
    let renewed = client.part_url(&upload, 2, 100).await;
    assert_eq!(put(&renewed).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_part_has_exactly_the_announced_length() {
    let server = World::new().start();
    let client = server.as_anyone();
    let upload = client.begin(Sample::of(&["one"]).begin("k")).await;
    let url = client.part_url(&upload, 1, 100).await;
    for wrong in [99, 101] {
        let (status, answer) = client.put(&url, vec![0; wrong].into()).await;
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::BAD_REQUEST, &json!("invalid")), "{wrong}");
    }
    // Announced rightly and sent wrongly.
    let mut request = client.request(Method::PUT, &url, vec![0; 50]);
    request.headers_mut().insert(http::header::CONTENT_LENGTH, 100.into());
    let response = larder_door::golden::exchange(&server.router, request).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(server.ci.cache().waiting_parts(None).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_in_a_part_is_let_go() {
    let server = World::new().start();
    let client = server.as_anyone();
    let upload = client.begin(Sample::of(&["one"]).begin("k")).await;
    let url = client.part_url(&upload, 1, 100).await;
    let silent = axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let mut request = client.request(Method::PUT, &url, silent);
    request.headers_mut().insert(http::header::CONTENT_LENGTH, 100.into());
    let response = larder_door::golden::exchange(&server.router, request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_went_away_is_not_found_and_a_fault_has_a_body() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    client.save("k", &Sample::of(&["one"])).await;
    let url = locate(client, &[HashFunction::TREE.hash(b"one")]).await["runs"][0]["url"].as_str().unwrap().to_owned();
    world.faults.add(Verb::ReadSegment, 1..=1, Fault::Fail(ErrorKind::Corrupt));
    let (status, body) = client.raw(Method::GET, &url, Bytes::new()).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("corrupt")));
    // The memory tier drops no segment: one that never was is as gone as any.
    let permission = crate::permission::Permission::Read {
        namespace: "acme".parse().unwrap(),
        range: SegmentRange { segment: 999, offset: 0, length: 5 },
    };
    let (status, body) = client.raw(Method::GET, &permission.grant(&server.ci).url, Bytes::new()).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::NOT_FOUND, &json!("not-found")));
}

#[tokio::test(start_paused = true)]
async fn lists_of_hashes_are_bounded_and_whole() {
    let server = World::new().start();
    let client = server.as_anyone();
    for path in ["missing", "locate"] {
        assert_eq!(client.raw(Method::POST, path, vec![0; 33]).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(client.raw(Method::POST, path, Bytes::new()).await.0, StatusCode::OK);
        let most = larder_proto::ci::HASHES_MAX * 32;
        assert_eq!(client.raw(Method::POST, path, vec![0; most]).await.0, StatusCode::OK);
        assert_eq!(client.raw(Method::POST, path, vec![0; most + 32]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
