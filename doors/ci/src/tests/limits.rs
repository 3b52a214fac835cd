//! How much a caller may send, and how much a namespace may hold.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use larder_cache::{Limits, Usage};
use larder_door::ByteCount;
use larder_testkit::segment;
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{Client, Server, WAIT, World};

/// Text that is not much shorter once compressed.
fn text(seed: u64, len: usize) -> String {
    let noise = larder_testkit::content::noise(seed, len);
    noise.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

fn set_quota(server: &Server, namespace: Option<u64>, owner: Option<u64>) {
    server.ci.cache().quotas().set_limits(Limits { namespace, owner }, BTreeMap::new());
}

async fn begin(client: Client<'_>) -> (StatusCode, Value) {
    client.post("uploads", Sample::of(&["one"]).begin("k")).await
}

fn few_uploads() -> World {
    let mut world = World::with_tokens();
    world.settings.open_uploads = 2;
    world
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_too_many_uploads_comes_back_when_one_has_ended_and_others_are_not_in_its_way() {
    let world = few_uploads();
    let server = world.start();
    let (trusted, sample) = (server.with_token("trusted"), Sample::of(&["one"]));
    let first = trusted.upload("first", &sample).await;
    let second = trusted.upload("second", &sample).await;
    let (status, answer) = begin(trusted).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("trusted has as many uploads open as one may: 2"),
        "{answer}"
    );
    assert_eq!(begin(server.with_token("other")).await.0, StatusCode::OK);

    trusted.delete(&format!("uploads/{first}")).await;
    let third = begin(trusted).await.1["upload"].as_str().unwrap().to_owned();
    assert_eq!(begin(trusted).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(trusted.finish(&second, sample.finish(&[1], WAIT)).await["state"], "published");
    assert_eq!(begin(trusted).await.0, StatusCode::OK);
    assert_eq!(begin(trusted).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(trusted.get(&format!("uploads/{third}")).await.1["state"], "open");
}

#[tokio::test(start_paused = true)]
async fn uploads_that_another_process_left_open_count_until_they_are_given_up() {
    let world = few_uploads();
    let first = world.start_idle();
    for _ in 0..2 {
        assert_eq!(begin(first.with_token("trusted")).await.0, StatusCode::OK);
    }
    first.kill().await;
    let second = world.start_idle();
    second.sweep().await;
    second.sweep().await;
    assert_eq!(begin(second.with_token("trusted")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.clock.advance(Duration::from_secs(world.settings.upload_idle_seconds + 1));
    second.sweep().await;
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] {
        assert_eq!(begin(second.with_token("trusted")).await.0, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_could_not_be_registered_takes_no_room() {
    use larder_testkit::faulty::{Fault, Verb};
    let world = few_uploads();
    let server = world.start_idle();
    let now = world.faults.calls(Verb::PutEntry) + 1;
    world.faults.add(Verb::PutEntry, now..=now + 4, Fault::Fail(larder_base::ErrorKind::Full));
    for _ in 0..5 {
        assert_eq!(begin(server.with_token("trusted")).await.0, StatusCode::INSUFFICIENT_STORAGE);
    }
    assert_eq!(begin(server.with_token("trusted")).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_an_upload_have_a_limit_together() {
    let mut world = World::new();
    world.settings.max_upload_bytes = Some(ByteCount(1000));
    let server = world.start_idle();
    let client = server.as_anyone();
    let (_, begun) = client.post("uploads", json!({ "key": "k", "bytes": 100_000, "files": 1 })).await;
    assert_eq!(begun["parts_max_bytes"], 1000);
    let upload = begun["upload"].as_str().unwrap();
    client.part_url(upload, 1, 900).await;
    let part = |number: u32, length: u64| json!({ "number": number, "length": length });
    let (status, answer) = client.post(&format!("uploads/{upload}/parts"), part(2, 101)).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too-large")));
    let said = answer["error"].to_string();
    assert!(said.contains("1001 bytes together") && said.contains("max_upload_bytes"), "{said}");
    client.part_url(upload, 2, 100).await;
}

#[tokio::test(start_paused = true)]
async fn what_no_quota_has_room_for_is_refused_before_it_is_sent() {
    let server = World::with_tokens().start();
    for (namespace, owner) in [(Some(5000), None), (None, Some(5000)), (Some(9000), Some(5000))] {
        set_quota(&server, namespace, owner);
        let client = server.with_token("trusted");
        let sample = Sample::of(&[&text(1, 8000)]);
        let upload = client.begin(sample.begin("k")).await;
        let ask = |length: u64| json!({ "number": 1, "length": length });
        let path = format!("uploads/{upload}/parts");
        let (status, answer) = client.post(&path, ask(5001)).await;
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too-large")));
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("5001 bytes") && message.contains("namespace acme"), "{message}");
        assert_eq!(client.post(&path, ask(5000)).await.0, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_counts_too_and_the_end_says_why_it_is_refused() {
    let server = World::with_tokens().start();
    let client = server.with_token("trusted");
    let (one, two) = (text(1, 4000), text(2, 4000));
    assert_eq!(client.save("one", &Sample::of(&[&one])).await["state"], "published");
    // Either half fits, and so does what is sent; the whole does not.
    set_quota(&server, Some(5000), None);
    let both = Sample::of(&[&one, &two]);
    let upload = client.begin(both.begin("both")).await;
    let chunks = both.chunks();
    client.send(&upload, 1, segment::body(&chunks[1..])).await;
    let end = client.finish(&upload, both.finish(&[1], WAIT)).await;
    assert_eq!(end["state"], "failed", "{end}");
    assert!(end["reason"].as_str().unwrap().contains("all that namespace acme may hold"), "{end}");
    assert_eq!(client.lookup("both", &[]).await["result"], "miss");
    assert_eq!(client.save("two", &Sample::of(&[&two])).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn the_usage_of_a_namespace_is_told_to_all_in_it_and_that_of_a_writer_to_itself() {
    let server = World::with_tokens().start();
    set_quota(&server, Some(1000), Some(500));
    let (_, nothing) = server.with_token("trusted").get("usage").await;
    assert_eq!(
        (&nothing["entries"], &nothing["quota"], &nothing["measured_ms"]),
        (&json!(0), &json!(1000), &Value::Null)
    );
    let of =
        |entries, stored_bytes| Usage { entries, stored_bytes, logical_bytes: 2 * stored_bytes, ..Usage::default() };
    let owners = BTreeMap::from([("trusted".to_owned(), of(1, 100)), ("pr".to_owned(), of(2, 150))]);
    let quotas = server.ci.cache().quotas();
    quotas.record(&"acme".parse().unwrap(), Usage { owners, ..of(3, 200) });
    let writers = async |token: &str| {
        let (status, usage) = server.with_token(token).get("usage").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&usage["entries"], &usage["logical_bytes"], &usage["stored_bytes"]),
            (&json!(3), &json!(400), &json!(200))
        );
        let writers = usage["writers"].as_array().unwrap().iter();
        writers.map(|writer| writer["writer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(writers("pr").await, ["pr"]);
    assert_eq!(writers("reader").await, [""; 0]);
    assert_eq!(writers("admin").await, ["pr", "trusted"]);
    assert_eq!(server.as_anyone().get("usage").await.0, StatusCode::UNAUTHORIZED);
}
