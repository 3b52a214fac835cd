//! How uploads end.

use bytes::Bytes;
use http::StatusCode;
use larder_base::HashFunction;
use larder_door::ByteCount;
use larder_testkit::content::noise;
use larder_testkit::faulty::{Fault, Gate, Verb};
use larder_testkit::segment::{self, Flaw};
use serde_json::json;

use super::sample::Sample;
use super::server::{WAIT, World};

#[tokio::test(start_paused = true)]
async fn what_was_saved_is_found_under_its_key_and_by_the_start_of_it() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two", ""]);
    let end = client.save("linux-abc", &sample).await;
    assert_eq!((&end["state"], &end["received"]["chunks"]), (&json!("published"), &json!(3)), "{end}");

    let hit = client.lookup("linux-abc", &[]).await;
    assert_eq!(hit["result"], "hit");
    assert_eq!((&hit["files"], &hit["bytes"]), (&json!(3), &json!(6)));
    assert_eq!(hit["content"], sample.summary.content.to_hex());
    assert_eq!(hit["manifest"], sample.finish(&[], 0)["manifest"]);
    let near = client.lookup("linux-xyz", &["mac-", "linux-"]).await;
    assert_eq!((&near["result"], &near["key"]), (&json!("hit"), &json!("linux-abc")));
    assert_eq!(client.lookup("linux-xyz", &["mac-"]).await["result"], "miss");
}

#[tokio::test(start_paused = true)]
async fn a_second_save_of_equal_content_is_unchanged_and_of_other_content_is_refused_with_who_and_when() {
    let world = World::with_tokens();
    let server = world.start();
    let first = Sample::at(&["one"], 1);
    server.with_token("trusted").save("k", &first).await;
    let created = server.with_token("other").lookup("k", &[]).await["created_ms"].clone();
    let other = server.with_token("other");

    let end = other.save("k", &Sample::at(&["one"], 2)).await;
    assert_eq!((&end["state"], &end["existing"]["writer"]), (&json!("unchanged"), &json!("trusted")), "{end}");
    let end = other.save("k", &Sample::of(&["two"])).await;
    assert_eq!(end["state"], "refused", "{end}");
    assert_eq!(end["existing"]["writer"], "trusted");
    assert_eq!(end["existing"]["created_ms"], created);
    assert_eq!(end["existing"]["content"], first.summary.content.to_hex());
    assert!(end["reason"].as_str().unwrap().contains("not to be replaced"), "{end}");
    assert_eq!(other.lookup("k", &[]).await["content"], first.summary.content.to_hex());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_it_replaces_and_gets_new_times_too() {
    let server = World::new().start();
    let client = server.as_anyone();
    client.save("k", &Sample::at(&["one"], 1)).await;
    let replace = async |sample: &Sample| {
        let mut begin = sample.begin("k");
        begin["replace"] = json!(true);
        let upload = client.begin(begin).await;
        client.send(&upload, 1, sample.part()).await;
        client.finish(&upload, sample.finish(&[1], WAIT)).await["state"].clone()
    };
    assert_eq!(replace(&Sample::at(&["one"], 1)).await, "unchanged");
    let later = Sample::at(&["one"], 2);
    assert_eq!(replace(&later).await, "published");
    assert_eq!(client.lookup("k", &[]).await["manifest"], later.finish(&[], 0)["manifest"]);
    assert_eq!(replace(&Sample::of(&["two"])).await, "published");
}

#[tokio::test(start_paused = true)]
async fn only_what_is_missing_need_be_sent() {
    let server = World::new().start();
    let client = server.as_anyone();
    client.save("first", &Sample::of(&["one", "two"])).await;
    let sample = Sample::of(&["one", "two", "three"]);
    let chunks = sample.chunks();
    let asked: Vec<u8> = chunks.iter().flat_map(|chunk| *HashFunction::TREE.hash(chunk).as_bytes()).collect();
    let (status, missing) = client.raw(http::Method::POST, "missing", asked).await;
    assert_eq!(status, StatusCode::OK);
    let new: Vec<Bytes> = chunks[2..].to_vec();
    assert_eq!(missing, new.iter().flat_map(|chunk| *HashFunction::TREE.hash(chunk).as_bytes()).collect::<Vec<_>>());

    let upload = client.begin(sample.begin("second")).await;
    client.send(&upload, 1, segment::body(&new)).await;
    assert_eq!(client.finish(&upload, sample.finish(&[1], WAIT)).await["state"], "published");
    // A save that has nothing new to send has no part at all.
    let again = Sample::of(&["one", "two", "three"]);
    let upload = client.begin(again.begin("third")).await;
    assert_eq!(client.finish(&upload, again.finish(&[], WAIT)).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_several_chunks_is_put_together_and_checked() {
    let server = World::new().start();
    let client = server.as_anyone();
    let contents: Vec<String> = (0..30_000).map(|number| format!("{number}")).collect();
    let sample = Sample::of(&contents.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(sample.manifest_chunks.len() > 1);
    assert_eq!(client.save("large", &sample).await["state"], "published");
    let hit = client.lookup("large", &[]).await;
    assert_eq!(hit["manifest"], sample.finish(&[], 0)["manifest"]);

    let upload = client.upload("swapped", &sample).await;
    let mut swapped = sample.finish(&[1], WAIT);
    swapped["manifest"]["chunks"].as_array_mut().unwrap().swap(0, 1);
    let end = client.finish(&upload, swapped).await;
    assert_eq!(end["state"], "failed");
    assert!(end["reason"].as_str().unwrap().contains("do not hash to its name"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn two_uploads_of_one_key_do_not_mix_and_the_first_to_finish_wins() {
    let server = World::new().start();
    let client = server.as_anyone();
    let (one, two) = (Sample::of(&["one"]), Sample::of(&["two"]));
    let (first, second) = (client.upload("k", &one).await, client.upload("k", &two).await);
    assert_ne!(first, second);
    let (first, second) =
        tokio::join!(client.finish(&first, one.finish(&[1], WAIT)), client.finish(&second, two.finish(&[1], WAIT)),);
    assert_eq!((&first["state"], &second["state"]), (&json!("published"), &json!("refused")));
    assert_eq!(client.lookup("k", &[]).await["content"], one.summary.content.to_hex());
}

#[tokio::test(start_paused = true)]
async fn commits_of_one_key_go_one_after_the_other_and_of_two_keys_side_by_side() {
    let world = World::new();
    let gate = Gate::closed();
    world.faults.add(Verb::AdoptPart, .., Fault::Hold(gate.clone()));
    let server = world.start();
    let client = server.as_anyone();
    let samples: Vec<_> = ["one", "two", "three"].iter().map(|content| Sample::of(&[content])).collect();
    let mut uploads = Vec::new();
    for (key, sample) in ["same", "same", "another"].iter().zip(&samples) {
        uploads.push(client.upload(key, sample).await);
    }
    for (upload, sample) in uploads.iter().zip(&samples) {
        assert_eq!(client.finish(upload, sample.finish(&[1], 0)).await["state"], "queued");
    }
    gate.arrivals(2).await;
    assert_eq!(server.ci.queue().lengths(), (1, 2));
    gate.open();
    for (upload, state) in uploads.iter().zip(["published", "refused", "published"]) {
        let (_, end) = client.get(&format!("uploads/{upload}?wait_ms={WAIT}")).await;
        assert_eq!(end["state"], state, "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn finish_may_be_repeated_and_gives_the_same_answer() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let upload = client.upload("k", &sample).await;
    let end = client.finish(&upload, sample.finish(&[1], WAIT)).await;
    assert_eq!(end["state"], "published");
    assert_eq!(client.finish(&upload, sample.finish(&[1], WAIT)).await, end);
    assert_eq!(client.get(&format!("uploads/{upload}")).await.1, end);
}

#[tokio::test(start_paused = true)]
async fn finish_repeated_while_the_commit_is_under_way_waits_for_the_same_end_and_may_not_say_otherwise() {
    let world = World::new();
    let gate = Gate::closed();
    world.faults.add(Verb::AdoptPart, .., Fault::Hold(gate.clone()));
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let upload = client.upload("k", &sample).await;
    client.finish(&upload, sample.finish(&[1], 0)).await;
    gate.arrivals(1).await;
    let (status, answer) = client.post(&format!("uploads/{upload}/finish"), Sample::of(&["two"]).finish(&[1], 0)).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::CONFLICT, &json!("conflict")));
    // A waiter with a deadline gets an answer at the deadline.
    assert_eq!(client.finish(&upload, sample.finish(&[1], 50)).await["state"], "queued");
    gate.open();
    assert_eq!(client.finish(&upload, sample.finish(&[1], WAIT)).await["state"], "published");
    // Once as it arrived and once by the one commit.
    assert_eq!(world.faults.calls(Verb::AdoptPart), 2);
}

#[tokio::test(start_paused = true)]
async fn a_part_may_be_sent_twice_and_in_another_length_the_second_time() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two"]);
    let upload = client.begin(sample.begin("k")).await;
    client.send(&upload, 1, segment::body(&[noise(1, 100)])).await;
    client.send(&upload, 1, sample.part()).await;
    client.send(&upload, 1, sample.part()).await;
    assert_eq!(client.finish(&upload, sample.finish(&[1, 1], WAIT)).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_asked_for_at_once_do_not_forget_each_other() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two"]);
    let upload = client.begin(sample.begin("k")).await;
    let gate = Gate::closed();
    let next = world.faults.calls(Verb::PutEntry) + 1;
    world.faults.add(Verb::PutEntry, next..=next, Fault::Hold(gate.clone()));
    let (chunks, first) = (sample.chunks(), async |number| client.part_url(&upload, number, 1000).await);
    tokio::join!(first(1), async {
        gate.arrivals(1).await;
        client.send(&upload, 2, segment::body(&chunks[1..])).await;
        gate.open();
    });
    client.send(&upload, 1, segment::body(&chunks[..1])).await;
    let end = client.finish(&upload, sample.finish(&[1, 2], WAIT)).await;
    assert_eq!(end["state"], "published", "{end}");
}

#[tokio::test(start_paused = true)]
async fn any_flaw_of_a_part_fails_the_upload_and_leaves_nothing_of_it_to_see() {
    for flaw in Flaw::ALL {
        // Without a sweep, which would clear away what the commit should have.
        let server = World::new().start_idle();
        server.run_commits();
        let client = server.as_anyone();
        let sample = Sample::of(&["one", "two"]);
        let upload = client.begin(sample.begin("k")).await;
        client.send(&upload, 1, segment::damaged(&sample.chunks(), 1, flaw)).await;
        let end = client.finish(&upload, sample.finish(&[1], WAIT)).await;
        assert_eq!(end["state"], "failed", "{flaw:?}: {end}");
        assert!(end["reason"].as_str().unwrap().contains(&format!("{upload}.1")), "{flaw:?}: {end}");
        assert_eq!(client.lookup("k", &[]).await["result"], "miss", "{flaw:?}");
        assert!(server.ci.cache().waiting_parts(None).await.unwrap().is_empty(), "{flaw:?}");
        // The key is not spoilt: a good save follows.
        assert_eq!(client.save("k", &sample).await["state"], "published", "{flaw:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_not_sent_or_never_asked_for_is_named() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two"]);
    let chunks = sample.chunks();
    let upload = client.begin(sample.begin("k")).await;
    client.send(&upload, 1, segment::body(&chunks[1..])).await;
    client.part_url(&upload, 2, 100).await;
    let (status, answer) = client.post(&format!("uploads/{upload}/finish"), sample.finish(&[1, 2, 3], 0)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["error"]["message"].as_str().unwrap().contains("part 3"), "{answer}");

    let end = client.finish(&upload, sample.finish(&[1, 2], WAIT)).await;
    assert_eq!(end["state"], "failed");
    let reason = end["reason"].as_str().unwrap();
    assert!(reason.contains("1 chunks that it needs were not sent"), "{reason}");
    assert!(reason.contains(&HashFunction::TREE.hash(b"one").to_hex()), "{reason}");
    assert!(reason.contains("1 of its parts were not there, number 2 first"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_chunk_of_another_namespace_does_not_count() {
    let server = World::new().start();
    let client = server.as_anyone();
    let mut neighbour = client;
    neighbour.namespace = "neighbour";
    let sample = Sample::of(&["secret"]);
    neighbour.save("k", &sample).await;
    let upload = client.begin(sample.begin("k")).await;
    client.send(&upload, 1, segment::body(&sample.manifest_chunks)).await;
    let end = client.finish(&upload, sample.finish(&[1], WAIT)).await;
    assert_eq!(end["state"], "failed", "{end}");
    assert_eq!(client.lookup("k", &[]).await["result"], "miss");
}

#[tokio::test(start_paused = true)]
async fn lies_about_the_manifest_fail() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let mut content = sample.finish(&[1], WAIT);
    content["content"] = json!(HashFunction::TREE.hash(b"other").to_hex());
    let mut size = sample.finish(&[1], WAIT);
    let true_size = size["manifest"]["size"].as_u64().unwrap();
    size["manifest"]["size"] = json!(true_size - 1);
    size["manifest"]["chunks"][0]["size"] = json!(true_size - 1);
    let mut garbage = sample.finish(&[1], WAIT);
    let one = HashFunction::TREE.hash(b"one").to_hex();
    garbage["manifest"] = json!({ "hash": one, "size": 3, "chunks": [{ "hash": one, "size": 3 }] });
    let mut absent = sample.finish(&[1], WAIT);
    let hash = HashFunction::TREE.hash(b"absent").to_hex();
    absent["manifest"] = json!({ "hash": hash, "size": 3, "chunks": [{ "hash": hash, "size": 3 }] });
    for (finish, why) in [
        (content, "the manifest's content is"),
        (size, "not "),
        (garbage, "cannot be decoded"),
        (absent, "was not sent"),
    ] {
        let upload = client.upload("k", &sample).await;
        let end = client.finish(&upload, finish).await;
        assert_eq!(end["state"], "failed", "{why}: {end}");
        assert!(end["reason"].as_str().unwrap().contains(why), "{why}: {end}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_contradict_themselves_are_refused_at_once() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let upload = client.upload("k", &sample).await;
    let with = |path: &str, value: serde_json::Value| {
        let mut finish = sample.finish(&[1], 0);
        *finish.pointer_mut(path).unwrap() = value;
        finish
    };
    for wrong in [
        with("/manifest/hash", json!("zz")),
        with("/manifest/hash", json!(HashFunction::TREE.hash(b"x").to_hex())),
        with("/manifest/size", json!(1)),
        with("/manifest/chunks", json!([])),
        with("/manifest/chunks/0/size", json!(0)),
        with("/content", json!("short")),
    ] {
        let (status, answer) = client.post(&format!("uploads/{upload}/finish"), wrong.clone()).await;
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::BAD_REQUEST, &json!("invalid")), "{wrong}");
    }
    assert_eq!(client.finish(&upload, sample.finish(&[1], WAIT)).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_taken_than_was_announced_and_no_more_may_be_announced_than_the_cap() {
    let mut world = World::new();
    world.settings.max_entry_bytes = ByteCount(1000);
    world.settings.max_manifest_bytes = ByteCount(64 * 1024);
    let server = world.start();
    let client = server.as_anyone();
    for begin in [json!({ "key": "k", "bytes": 1001, "files": 1 }), json!({ "key": "k", "bytes": 1, "files": 2000 })] {
        let (status, answer) = client.post("uploads", begin).await;
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too-large")));
    }
    let sample = Sample::of(&["0123456789"]);
    let small = json!({ "key": "k", "bytes": 9, "files": 1 });

    // More in the claim than was announced.
    let upload = client.begin(small.clone()).await;
    client.send(&upload, 1, sample.part()).await;
    let (status, _) = client.post(&format!("uploads/{upload}/finish"), sample.finish(&[1], 0)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // A claim that lies about it.
    let mut lie = sample.finish(&[1], WAIT);
    lie["bytes"] = json!(9);
    let end = client.finish(&upload, lie).await;
    assert_eq!(end["state"], "failed");
    assert!(end["reason"].as_str().unwrap().contains("10 bytes, and 9 were announced"), "{end}");
    // More in the parts than the files and their overhead can be.
    let upload = client.begin(small).await;
    let (_, begun) = client.post("uploads", sample.begin("other")).await;
    let most = begun["parts_max_bytes"].as_u64().unwrap();
    client.part_url(&upload, 1, usize::try_from(most - 100).unwrap()).await;
    let (status, _) = client.post(&format!("uploads/{upload}/parts"), json!({ "number": 2, "length": 200 })).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // Asked again with another length, the last one counts.
    client.part_url(&upload, 1, 100).await;
    client.part_url(&upload, 2, 200).await;
    for wrong in [json!({ "number": 0, "length": 100 }), json!({ "number": 100_000, "length": 100 })] {
        assert_eq!(client.post(&format!("uploads/{upload}/parts"), wrong).await.0, StatusCode::BAD_REQUEST);
    }
    for wrong in [json!({ "number": 3, "length": 15 }), json!({ "number": 3, "length": (64 << 20) + 1 })] {
        assert_eq!(client.post(&format!("uploads/{upload}/parts"), wrong).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_says_when_to_come_back_and_forgets_nothing() {
    let mut world = World::new();
    world.settings.commit_queue = 1;
    let server = world.start_idle();
    let client = server.as_anyone();
    let (one, two) = (Sample::of(&["one"]), Sample::of(&["two"]));
    let (first, second) = (client.upload("first", &one).await, client.upload("second", &two).await);
    assert_eq!(client.finish(&first, one.finish(&[1], 0)).await["state"], "queued");
    let request =
        client.request(http::Method::POST, &format!("uploads/{second}/finish"), two.finish(&[1], 0).to_string());
    let response = larder_door::golden::exchange(&server.router, request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(http::header::RETRY_AFTER));
    // One that is in the queue may be finished again all the same.
    assert_eq!(client.finish(&first, one.finish(&[1], 0)).await["state"], "queued");
    server.run_jobs();
    assert_eq!(client.finish(&first, one.finish(&[1], WAIT)).await["state"], "published");
    assert_eq!(client.finish(&second, two.finish(&[1], WAIT)).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn an_aborted_upload_takes_nothing_more_and_one_that_has_ended_stays_as_it_is() {
    let server = World::new().start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let upload = client.upload("k", &sample).await;
    let url = client.part_url(&upload, 2, 100).await;
    let (status, end) = client.delete(&format!("uploads/{upload}")).await;
    assert_eq!((status, &end["state"]), (StatusCode::OK, &json!("aborted")));
    assert!(server.ci.cache().waiting_parts(None).await.unwrap().is_empty());
    assert_eq!(client.put(&url, vec![0; 100].into()).await.0, StatusCode::CONFLICT);
    let ask = json!({ "number": 3, "length": 100 });
    assert_eq!(client.post(&format!("uploads/{upload}/parts"), ask).await.0, StatusCode::CONFLICT);
    assert_eq!(client.finish(&upload, sample.finish(&[1], 0)).await["state"], "aborted");

    let upload = client.upload("k", &sample).await;
    client.finish(&upload, sample.finish(&[1], WAIT)).await;
    assert_eq!(client.delete(&format!("uploads/{upload}")).await.1["state"], "published");
    assert_eq!(client.lookup("k", &[]).await["result"], "hit");
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_chunks_are_gone_is_a_miss_and_may_be_saved_again() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two"]);
    client.save("k", &sample).await;
    assert!(world.memory.forget(&"acme".parse().unwrap(), &HashFunction::TREE.hash(b"two")));
    assert_eq!(client.lookup("k", &[]).await["result"], "miss");
    assert_eq!(client.save("k", &sample).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn a_part_is_verified_as_it_arrives_and_not_sent_again_after_a_save_that_broke_off() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one", "two"]);
    client.upload("k", &sample).await;
    // The upload is never finished; its chunks are there all the same, and the entry is not.
    let hashes: Vec<u8> = sample.chunks().iter().flat_map(|chunk| *HashFunction::TREE.hash(chunk).as_bytes()).collect();
    loop {
        let (status, missing) = client.raw(http::Method::POST, "missing", hashes.clone()).await;
        assert!(status.is_success());
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(client.lookup("k", &[]).await["result"], "miss");
}
