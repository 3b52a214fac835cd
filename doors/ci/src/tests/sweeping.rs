//! What is swept, and what is not.

use std::time::Duration;

use larder_base::{Attributes, DoorName, Entries, EntryAddress, EntryBody, NewEntry, PartName, PutIf, Scope, UploadId};
use larder_testkit::faulty::{Fault, Gate, Verb};
use larder_testkit::segment;

use super::sample::Sample;
use super::server::{WAIT, World};

#[tokio::test(start_paused = true)]
async fn an_upload_left_alone_is_given_up_with_its_parts_and_one_with_signs_of_life_is_not() {
    let world = World::new();
    let server = world.start_idle();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let (left, alive) = (client.upload("left", &sample).await, client.upload("alive", &sample).await);
    let half = Duration::from_secs(world.settings.upload_idle_seconds / 2);
    for _ in 0..3 {
        world.clock.advance(half);
        // The same part again: nothing new but the sign of life.
        client.part_url(&alive, 1, sample.part().len()).await;
        server.sweep().await;
    }
    let (_, end) = client.get(&format!("uploads/{left}")).await;
    assert_eq!(end["state"], "aborted");
    assert!(end["reason"].as_str().unwrap().contains("left alone"), "{end}");
    let waiting = server.ci.cache().waiting_parts(None).await.unwrap();
    assert_eq!(waiting, [PartName { upload: alive.parse().unwrap(), number: 1 }]);
    server.run_jobs();
    assert_eq!(client.finish(&alive, sample.finish(&[1], WAIT)).await["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn parts_without_an_upload_are_taken_away_and_an_upload_that_ended_is_forgotten_in_time() {
    let world = World::new();
    let server = world.start();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let upload = client.upload("k", &sample).await;
    client.finish(&upload, sample.finish(&[1], WAIT)).await;
    // Bytes that come late for an upload that has ended, and for one that nobody knows.
    for id in [upload.parse().unwrap(), UploadId::from_random([9; 16])] {
        let body = segment::body(&[]);
        let length = body.len() as u64;
        let part = PartName { upload: id, number: 7 };
        server.ci.cache().receive_part(&part, length, larder_base::stream_of(body)).await.unwrap();
    }
    server.sweep().await;
    assert!(server.ci.cache().waiting_parts(None).await.unwrap().is_empty());
    assert_eq!(client.get(&format!("uploads/{upload}")).await.1["state"], "published");
    world.clock.advance(Duration::from_secs(world.settings.upload_kept_seconds + 1));
    server.sweep().await;
    assert_eq!(client.get(&format!("uploads/{upload}")).await.0, http::StatusCode::NOT_FOUND);
    assert_eq!(client.lookup("k", &[]).await["result"], "hit");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_moves_to_the_front_of_the_listing_during_a_sweep_keeps_its_parts() {
    let world = World::new();
    let server = world.start_idle();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    let oldest = client.upload("oldest", &sample).await;
    for number in 0..crate::sweep::PAGE {
        world.clock.advance(Duration::from_millis(1));
        client.begin(sample.begin(&format!("other {number}"))).await;
    }
    // Between the first page and the second, which it is no longer on.
    let gate = Gate::closed();
    let second = world.faults.calls(Verb::ListEntries) + 2;
    world.faults.add(Verb::ListEntries, second..=second, Fault::Hold(gate.clone()));
    tokio::join!(server.sweep(), async {
        gate.arrivals(1).await;
        world.clock.advance(Duration::from_millis(1));
        client.part_url(&oldest, 2, 100).await;
        gate.open();
    });
    let waiting = server.ci.cache().waiting_parts(None).await.unwrap();
    assert_eq!(waiting, [PartName { upload: oldest.parse().unwrap(), number: 1 }]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_carries_on_with_what_was_finished() {
    let world = World::new();
    let first = world.start_idle();
    let sample = Sample::of(&["one"]);
    let upload = first.as_anyone().upload("k", &sample).await;
    assert_eq!(first.as_anyone().finish(&upload, sample.finish(&[1], 0)).await["state"], "queued");
    first.kill().await;
    let second = world.start();
    let (_, end) = second.as_anyone().get(&format!("uploads/{upload}?wait_ms={WAIT}")).await;
    assert_eq!(end["state"], "published");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_an_older_server_wrote_is_forgotten_and_keeps_no_other_from_being_swept() {
    let world = World::new();
    let server = world.start_idle();
    let client = server.as_anyone();
    let sample = Sample::of(&["one"]);
    for old in [&br#"{"version":1,"stage":{"open":{"parts":{}}}}"#[..], b"not even JSON"] {
        let address = EntryAddress {
            namespace: "~ci".parse().unwrap(),
            scope: Scope::Trusted,
            door: DoorName::new("ci-upload"),
            key: "7".repeat(32).parse().unwrap(),
        };
        let entry = NewEntry {
            body: EntryBody::Value(old.into()),
            attributes: Attributes::from([("stage".to_owned(), "open".to_owned())]),
            links: [].into(),
            writer: "larder".to_owned(),
        };
        world.memory.put(&address, entry, PutIf::Always).await.unwrap();
        let left = client.upload("left", &sample).await;
        world.clock.advance(Duration::from_secs(world.settings.upload_idle_seconds + 1));
        server.sweep().await;
        assert_eq!(client.get(&format!("uploads/{left}")).await.1["state"], "aborted");
        assert!(world.memory.get(&address, larder_base::Access::Check).await.unwrap().is_none());
    }
}
