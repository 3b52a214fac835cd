//! URLs of several parts at once.

use std::time::Duration;

use http::StatusCode;
use larder_door::ByteCount;
use larder_proto::ci::PARTS_BATCH_MAX;
use larder_testkit::faulty::Verb;
use larder_testkit::segment;
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{Client, WAIT, World};

fn parts(lengths: &[(u32, u64)]) -> Value {
    let part = |(number, length): &(u32, u64)| json!({ "number": number, "length": length });
    json!({ "parts": lengths.iter().map(part).collect::<Vec<_>>() })
}

async fn ask(client: Client<'_>, upload: &str, body: Value) -> (StatusCode, Value) {
    client.post(&format!("uploads/{upload}/parts/batch"), body).await
}

fn url(answer: &Value, at: usize) -> &str {
    answer["parts"][at]["url"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn several_urls_come_in_the_order_asked_for_one_write_and_carry_a_save() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two", "three"]);
    let upload = client.begin(sample.begin("k")).await;
    let bodies: Vec<_> = sample.chunks().into_iter().map(|chunk| segment::body(&[chunk])).collect();
    let numbers = [3, 1, 4, 2];
    let lengths: Vec<_> = numbers.iter().zip(&bodies).map(|(number, body)| (*number, body.len() as u64)).collect();
    let writes = world.faults.calls(Verb::PutEntry);
    let (status, answer) = ask(client, &upload, parts(&lengths)).await;
    assert_eq!((status, answer["parts"].as_array().unwrap().len()), (StatusCode::OK, 4), "{answer}");
    assert_eq!(world.faults.calls(Verb::PutEntry), writes + 1);
    for (at, (number, body)) in numbers.iter().zip(bodies).enumerate() {
        assert!(url(&answer, at).starts_with(&format!("uploads/{upload}/parts/{number}/{}?", body.len())), "{answer}");
        assert_eq!(client.put(url(&answer, at), body).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(client.finish(&upload, sample.finish(&numbers, WAIT)).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn urls_of_several_parts_are_renewed_and_their_lengths_changed() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let upload = client.begin(Sample::of(&["one"]).begin("k")).await;
    let (_, first) = ask(client, &upload, parts(&[(1, 100), (2, 200)])).await;
    world.clock.advance(Duration::from_secs(world.settings.url_seconds) + Duration::from_millis(1));
    let (status, answer) = client.put(url(&first, 0), vec![0; 100].into()).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::FORBIDDEN, &json!("expired")));
    let writes = world.faults.calls(Verb::PutEntry);
    let (_, renewed) = ask(client, &upload, parts(&[(1, 100), (2, 200)])).await;
    assert_eq!(client.put(url(&renewed, 0), vec![0; 100].into()).await.0, StatusCode::NO_CONTENT);
    assert!(world.faults.calls(Verb::PutEntry) <= writes + 1);
    let (_, other) = ask(client, &upload, parts(&[(2, 50)])).await;
    assert_eq!(client.put(url(&other, 0), vec![0; 50].into()).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_let_in_as_a_whole_or_not_at_all() {
    let mut world = World::new();
    world.settings.max_upload_bytes = Some(ByteCount(1000));
    let server = world.start();
    let client = server.as_anyone();
    let (_, begun) = client.post("uploads", json!({ "key": "k", "bytes": 100_000, "files": 1 })).await;
    let upload = begun["upload"].as_str().unwrap();
    let parts_max = u32::try_from(begun["parts_max"].as_u64().unwrap()).unwrap();
    let (invalid, large) = (StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE);
    let many: Vec<_> = (1..=PARTS_BATCH_MAX as u32 + 1).map(|number| (number, 16)).collect();
    let cases: [(&[(u32, u64)], _, &str); 8] = [
        (&[], invalid, "at least one"),
        (&[(1, 100), (2, 100), (1, 100)], invalid, "part 1 is asked for twice"),
        (&[(1, 100), (0, 100)], invalid, "part 0 is not one of"),
        (&[(1, 100), (parts_max + 1, 100)], invalid, "is not one of 1 to"),
        (&[(1, 100), (2, 15)], large, "part 2 has 15 bytes"),
        (&[(1, 100), (2, u64::MAX)], large, "part 2 has"),
        (&[(1, 500), (2, 501)], large, "1001 bytes together"),
        (&many, large, "at most 100"),
    ];
    for (wrong, expected, said) in cases {
        let (status, answer) = ask(client, upload, parts(wrong)).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{answer}");
        let nothing = client.post(&format!("uploads/{upload}/finish"), Sample::of(&["one"]).finish(&[1], 0)).await;
        assert!(nothing.1["error"]["message"].as_str().unwrap().contains("no URL was ever asked for part 1"));
    }
    // Of what is let in already the new length counts, and the old one no more.
    assert_eq!(ask(client, upload, parts(&[(1, 500), (2, 500)])).await.0, StatusCode::OK);
    assert_eq!(ask(client, upload, parts(&[(1, 400), (3, 100)])).await.0, StatusCode::OK);
    assert_eq!(ask(client, upload, parts(&[(2, 501)])).await.0, large);
}

#[tokio::test(start_paused = true)]
async fn the_quota_of_a_namespace_counts_for_a_batch_and_so_do_rights_and_the_end() {
    let server = World::with_tokens().start();
    let client = server.with_token("trusted");
    let sample = Sample::of(&["one"]);
    let upload = client.begin(sample.begin("k")).await;
    for stranger in ["other", "pr", "reader", "admin"] {
        assert_eq!(ask(server.with_token(stranger), &upload, parts(&[(1, 100)])).await.0, StatusCode::NOT_FOUND);
    }
    let limits = larder_cache::Limits { namespace: Some(300), owner: None };
    server.ci.cache().quotas().set_limits(limits, Default::default());
    let (status, answer) = ask(client, &upload, parts(&[(1, 200), (2, 101)])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"]["message"].as_str().unwrap().contains("301 bytes"), "{answer}");
    assert_eq!(ask(client, &upload, parts(&[(1, 200), (2, 100)])).await.0, StatusCode::OK);
    client.delete(&format!("uploads/{upload}")).await;
    assert_eq!(ask(client, &upload, parts(&[(1, 200)])).await.0, StatusCode::CONFLICT);
}
