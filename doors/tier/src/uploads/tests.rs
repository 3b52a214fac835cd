use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::{Blobs, ContentHash, ErrorKind};
use larder_proto::tier::{SEGMENT_MAX_BYTES, SMALL_BYTES, SegmentAnswer, UploadAnswer, UploadPlace};
use larder_testkit::content::noise;
use larder_testkit::faulty::{Fault, Verb};
use larder_testkit::segment::{self, Flaw};

use super::OPEN_MAX_BYTES;
use crate::sweep::{KEPT_FOR, OPEN_FOR};
use crate::tests::world::{Server, World};

fn contents() -> Vec<Bytes> {
    (0..2).map(|seed| noise(seed, 700_000)).collect()
}

fn hashes() -> Vec<ContentHash> {
    contents().iter().map(|content| segment::record(content).header.hash).collect()
}

async fn begin(server: &Server, token: &str, length: u64) -> (StatusCode, Option<UploadPlace>) {
    let (status, body) = server.ask(token, Method::POST, "uploads", format!(r#"{{"length":{length}}}"#)).await;
    (status, serde_json::from_slice::<UploadAnswer>(&body).ok().and_then(|answer| answer.place))
}

async fn place(server: &Server, length: usize) -> UploadPlace {
    begin(server, "main", length as u64).await.1.unwrap()
}

async fn adopt(server: &Server, token: &str, upload: &str) -> Result<SegmentAnswer, StatusCode> {
    let (status, body) = server.ask(token, Method::POST, &format!("uploads/{upload}"), "").await;
    if status.is_success() { Ok(serde_json::from_slice(&body).unwrap()) } else { Err(status) }
}

/// Those of the chunks that the namespace has.
async fn there(world: &World) -> usize {
    let hashes = hashes();
    hashes.len() - world.memory.missing(&"acme".parse().unwrap(), &hashes).await.unwrap().len()
}

#[tokio::test]
async fn a_segment_that_was_put_by_its_url_is_there_once_it_is_adopted_and_not_before() {
    let world = World::new();
    let server = world.start();
    let segment = segment::body(&contents());
    let place = place(&server, segment.len()).await;
    assert_eq!(place.headers["content-length"], segment.len().to_string());
    world.put(&place.url, segment.clone()).await;
    assert_eq!(there(&world).await, 0);
    let adopted = adopt(&server, "main", &place.upload).await.unwrap();
    assert_eq!((adopted.records, adopted.stored_bytes, adopted.raw_bytes), (2, segment.len() as u64, 1_400_000));
    assert_eq!(there(&world).await, 2);
    // The answer was lost, and the server is another one by now.
    let server = world.start();
    assert_eq!(adopt(&server, "main", &place.upload).await, Ok(adopted));
    // It is too late to give it up.
    let given_up = server.ask("main", Method::DELETE, &format!("uploads/{}", place.upload), "").await;
    assert_eq!(given_up.0, StatusCode::NO_CONTENT);
    assert_eq!((adopt(&server, "main", &place.upload).await, there(&world).await), (Ok(adopted), 2));
}

#[tokio::test]
async fn what_was_put_and_not_adopted_is_known_to_the_next_server_and_swept_in_time() {
    let world = World::new();
    let server = world.start();
    let segment = segment::body(&contents());
    let (put, unused, late) =
        (place(&server, segment.len()).await, place(&server, segment.len()).await, place(&server, segment.len()).await);
    world.put(&put.url, segment.clone()).await;
    world.put(&late.url, segment.clone()).await;
    drop(server);
    let server = world.start();
    world.clock.advance(OPEN_FOR);
    assert!(server.sweep().await.starts_with("3 segments are on their way"), "{}", server.sweep().await);
    assert!(adopt(&server, "main", &late.upload).await.is_ok(), "it is not too late");
    assert_eq!(world.objects().await, 1);
    world.clock.advance(Duration::from_millis(1));
    assert!(server.sweep().await.ends_with("2 were given up"));
    assert_eq!((world.objects().await, there(&world).await), (0, 2), "what was adopted stays");
    for upload in [&put.upload, &unused.upload] {
        assert_eq!(adopt(&server, "main", upload).await, Err(StatusCode::NOT_FOUND));
    }
    world.clock.advance(KEPT_FOR + Duration::from_millis(1));
    server.sweep().await;
    assert_eq!(adopt(&server, "main", &late.upload).await, Err(StatusCode::NOT_FOUND), "it is forgotten");
    assert_eq!(there(&world).await, 2);
}

#[tokio::test]
async fn an_upload_is_written_down_before_its_url_leaves() {
    let world = World::new();
    let server = world.start();
    world.faults.add(Verb::PutEntry, 1..=1, Fault::Fail(ErrorKind::Unavailable));
    let (status, place) = begin(&server, "main", 2 << 20).await;
    assert_eq!((status, place), (StatusCode::SERVICE_UNAVAILABLE, None));
}

#[tokio::test]
async fn an_adoption_that_could_not_be_written_down_is_no_success_and_nothing_is_lost_by_it() {
    let world = World::new();
    let server = world.start();
    let segment = segment::body(&contents());
    let place = place(&server, segment.len()).await;
    world.put(&place.url, segment).await;
    world.faults.add(Verb::PutEntry, 2..=2, Fault::Fail(ErrorKind::Unavailable));
    assert_eq!(adopt(&server, "main", &place.upload).await, Err(StatusCode::SERVICE_UNAVAILABLE));
    // There is nothing to adopt any more: who hears that sends the segment itself.
    assert_eq!(adopt(&server, "main", &place.upload).await, Err(StatusCode::NOT_FOUND));
    world.clock.advance(OPEN_FOR + Duration::from_millis(1));
    server.sweep().await;
    assert_eq!(there(&world).await, 2);
}

#[tokio::test]
async fn while_the_bucket_cannot_be_read_an_upload_waits() {
    let world = World::new();
    let server = world.start();
    let segment = segment::body(&contents());
    let place = place(&server, segment.len()).await;
    assert_eq!(adopt(&server, "main", &place.upload).await, Err(StatusCode::NOT_FOUND), "nothing was put yet");
    world.put(&place.url, segment).await;
    world.faults.add(Verb::AdoptPart, 2..=2, Fault::Fail(ErrorKind::Unavailable));
    assert_eq!(adopt(&server, "main", &place.upload).await, Err(StatusCode::SERVICE_UNAVAILABLE));
    assert!(adopt(&server, "main", &place.upload).await.is_ok());
}

#[tokio::test]
async fn of_a_segment_with_a_flaw_or_another_length_nothing_is_there_and_nothing_stays() {
    let world = World::new();
    let server = world.start();
    let good = segment::body(&contents());
    let more = segment::body(&[contents(), vec![Bytes::from_static(b"more")]].concat());
    for bad in [segment::damaged(&contents(), 1, Flaw::WrongName), more] {
        let place = place(&server, good.len()).await;
        world.put(&place.url, bad).await;
        assert_eq!(adopt(&server, "main", &place.upload).await, Err(StatusCode::BAD_REQUEST));
        assert_eq!((world.objects().await, there(&world).await), (0, 0));
        assert_eq!(adopt(&server, "main", &place.upload).await, Err(StatusCode::NOT_FOUND));
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let world = World::new();
    let server = world.start();
    let segment = segment::body(&contents());
    let place = place(&server, segment.len()).await;
    world.put(&place.url, segment).await;
    let path = format!("uploads/{}", place.upload);
    assert_eq!(server.ask("main", Method::DELETE, &path, "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.objects().await, 0);
    assert_eq!(server.ask("main", Method::DELETE, &path, "").await.0, StatusCode::NOT_FOUND);
    assert!(server.sweep().await.starts_with("0 segments"));
}

#[tokio::test]
async fn a_url_is_for_who_may_write_and_an_upload_for_who_began_it() {
    let world = World::new();
    let server = world.start();
    let segment = segment::body(&contents());
    assert_eq!(begin(&server, "reader", segment.len() as u64).await, (StatusCode::FORBIDDEN, None));
    let own = server.ask_in("~tier", "main", Method::POST, "uploads", r#"{"length":2000000}"#).await;
    assert_eq!(own.0, StatusCode::BAD_REQUEST);
    let place = place(&server, segment.len()).await;
    world.put(&place.url, segment).await;
    assert_eq!(adopt(&server, "reader", &place.upload).await, Err(StatusCode::FORBIDDEN));
    assert_eq!(adopt(&server, "other", &place.upload).await, Err(StatusCode::NOT_FOUND));
    let path = format!("uploads/{}", place.upload);
    let elsewhere = server.ask_in("elsewhere", "main", Method::POST, &path, "").await;
    assert_eq!(elsewhere.0, StatusCode::NOT_FOUND);
    assert_eq!(server.ask("other", Method::DELETE, &path, "").await.0, StatusCode::NOT_FOUND);
    for nonsense in ["uploads/1", "uploads/..", "uploads/abababababababababababababababab"] {
        assert_eq!(server.ask("main", Method::POST, nonsense, "").await.0, StatusCode::NOT_FOUND, "{nonsense}");
    }
    assert_eq!(there(&world).await, 0);
    assert!(adopt(&server, "main", &place.upload).await.is_ok());
}

#[tokio::test]
async fn there_is_a_place_only_for_segments_of_a_fit_length_and_only_in_a_bucket() {
    let mut world = World::new();
    let server = world.start();
    assert_eq!(begin(&server, "main", SEGMENT_MAX_BYTES + 1).await, (StatusCode::PAYLOAD_TOO_LARGE, None));
    assert_eq!(begin(&server, "main", SMALL_BYTES - 1).await, (StatusCode::OK, None));
    assert!(begin(&server, "main", SMALL_BYTES).await.1.is_some());
    assert!(begin(&server, "main", SEGMENT_MAX_BYTES).await.1.is_some());
    world.has_bucket = false;
    let without = world.start();
    assert_eq!(begin(&without, "main", SMALL_BYTES).await, (StatusCode::OK, None));
    without.sweep().await;
    assert!(without.sweep().await.starts_with("2 segments"), "nothing is written down for what has no place");
}

#[tokio::test]
async fn who_has_many_uploads_open_sends_through_the_server_until_they_end() {
    let world = World::new();
    let server = world.start();
    let mut places = Vec::new();
    for _ in 0..OPEN_MAX_BYTES / SEGMENT_MAX_BYTES {
        places.push(begin(&server, "main", SEGMENT_MAX_BYTES).await.1.unwrap());
    }
    assert_eq!(begin(&server, "main", SMALL_BYTES).await, (StatusCode::OK, None));
    assert!(begin(&server, "other", SMALL_BYTES).await.1.is_some(), "another caller has room");
    let restarted = world.start();
    restarted.sweep().await;
    assert_eq!(begin(&restarted, "main", SMALL_BYTES).await, (StatusCode::OK, None));
    server.ask("main", Method::DELETE, &format!("uploads/{}", places[0].upload), "").await;
    assert!(begin(&server, "main", SMALL_BYTES).await.1.is_some());
}
