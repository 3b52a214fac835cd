use bytes::Bytes;
use http::Method;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{ContentHash, Digest, Located, PartName, Segments, UploadId, stream_of};
use larder_proto::tier::{Run, RunsAnswer};
use larder_testkit::content::noise;
use larder_testkit::segment;

use super::{RUN_BYTES, runs};
use crate::blobs::text_of;
use crate::tests::world::{Server, World};

fn located(name: &str, segment: u64, offset: u64, length: u64) -> Located {
    Located { digest: Digest::of(name.as_bytes()), segment, offset, length }
}

/// What each run covers: segment, first byte, bytes, records.
fn covered(hashes: &[ContentHash], located: &[Located]) -> Vec<(u64, u64, u64, usize)> {
    let runs = runs(hashes, located);
    runs.iter().map(|run| (run.range.segment, run.range.offset, run.range.length, run.count)).collect()
}

#[test]
fn a_run_covers_what_was_asked_for_and_no_byte_between() {
    let places = [
        located("a", 1, 16, 100),
        located("b", 1, 116, 50),
        // Another namespace's record may lie in between.
        located("c", 1, 167, 10),
        located("d", 2, 177, 10),
        located("e", 2, 187, RUN_BYTES - 10),
        located("f", 2, 177 + RUN_BYTES, 1),
    ];
    let hashes = places.map(|place| place.digest.hash);
    let whole = [(1, 16, 150, 2), (1, 167, 10, 1), (2, 177, RUN_BYTES, 2), (2, 177 + RUN_BYTES, 1, 1)];
    assert_eq!(covered(&hashes, &places), whole);
    let asked = [hashes[1], hashes[0], ContentHash::of(b"absent"), hashes[1], hashes[2]];
    assert_eq!(covered(&asked, &places), [(1, 116, 50, 1), (1, 16, 100, 1), (1, 167, 10, 1)]);
}

async fn ask(server: &Server, namespace: &str, path: &str, hashes: &[ContentHash]) -> Bytes {
    let body: Vec<u8> = hashes.iter().flat_map(ContentHash::to_key).collect();
    let (status, answer) = server.ask_in(namespace, "main", Method::POST, path, body).await;
    assert!(status.is_success(), "{status}: {answer:?}");
    answer
}

/// Chunks that were sent in one segment, and one that was sent by itself.
async fn sent(world: &World, server: &Server) -> Vec<ContentHash> {
    let contents: Vec<Bytes> = [100_000, 200_000, 1000].map(|length| noise(length as u64, length)).into();
    let (together, alone) = contents.split_at(2);
    for contents in [together, alone] {
        let name = PartName { upload: UploadId::from_random([7; 16]), number: 1 };
        let body = segment::body(contents);
        let length = body.len() as u64;
        world.memory.receive(&name, length, stream_of(body)).await.unwrap();
        world.memory.adopt(&"acme".parse().unwrap(), &name, length).await.unwrap();
    }
    let hashes: Vec<_> = contents.iter().map(|content| segment::record(content).header.hash).collect();
    let unasked = ask(server, "acme", "records", &hashes).await;
    assert!(unasked.starts_with(&SEGMENT_HEADER), "no URL comes to who knows of none");
    hashes
}

#[tokio::test]
async fn records_in_the_bucket_are_told_with_a_url_for_exactly_their_bytes() {
    let world = World::new();
    let server = world.start();
    let hashes = sent(&world, &server).await;
    let absent = ContentHash::of(b"absent");
    let asked = [hashes[0], absent, hashes[1], hashes[2], hashes[0], absent];
    let answer: RunsAnswer = serde_json::from_slice(&ask(&server, "acme", "records?urls=true", &asked).await).unwrap();
    let [Run { records: 2, length, url: Some(url), headers }, Run { records: 1, url: None, .. }] = &answer.runs[..]
    else {
        panic!("{answer:?}")
    };
    assert_eq!(*length, 300_000 + 2 * 64);
    assert!(url.starts_with("http://bucket/segments/"), "{url}");
    assert_eq!(headers["range"], format!("bytes=16-{}", 16 + length - 1));
    assert_eq!(answer.absent, [text_of(&absent)]);
}

#[tokio::test]
async fn where_no_url_is_of_use_the_records_themselves_come() {
    let mut world = World::new();
    let server = world.start();
    let hashes = sent(&world, &server).await;
    let small = ask(&server, "acme", "records?urls=true", &hashes[2..]).await;
    assert!(small.starts_with(&SEGMENT_HEADER) && small.len() > 1000, "what is small is no request of its own");
    assert_eq!(
        ask(&server, "other", "records?urls=true", &hashes).await,
        SEGMENT_HEADER[..],
        "it is not the namespace's"
    );
    world.has_bucket = false;
    let server = world.start();
    assert_eq!(ask(&server, "acme", "records?urls=true", &hashes).await.len(), 16 + 3 * 64 + 301_000);
}
