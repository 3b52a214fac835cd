//! The server dies, or loses an answer, at every single call that it makes to its tiers.

use std::time::Duration;

use http::{Method, StatusCode};
use larder_base::ErrorKind;
use larder_testkit::faulty::{Fault, Faults, Gate, Verb};
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{Client, Server, WAIT, World};

/// Every call that a save makes.
const VERBS: [Verb; 9] = [
    Verb::PutEntry,
    Verb::GetEntry,
    Verb::ListEntries,
    Verb::GetBlob,
    Verb::ReceivePart,
    Verb::AdoptPart,
    Verb::WaitingParts,
    Verb::DiscardParts,
    Verb::MissingBlobs,
];

/// A save by a client that carries on after a failure with what it knows.
struct Save<'a> {
    sample: &'a Sample,
    upload: Option<String>,
}

impl Save<'_> {
    /// Goes on until the end, or until something fails.
    async fn carry_on(&mut self, client: Client<'_>) -> Option<Value> {
        let good = |(status, answer): (StatusCode, Value)| status.is_success().then_some(answer);
        let chunk = larder_base::HashFunction::TREE.hash(&self.sample.manifest);
        let (status, _) = client.raw(Method::POST, "missing", chunk.as_bytes().to_vec()).await;
        if !status.is_success() {
            return None;
        }
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                let answer = good(client.post("uploads", self.sample.begin("k")).await)?;
                let upload = answer["upload"].as_str()?.to_owned();
                self.upload.insert(upload).clone()
            }
        };
        let path = format!("uploads/{upload}");
        if good(client.get(&path).await)?["state"] == "open" {
            let ask = json!({ "number": 1, "length": self.sample.part().len() });
            let place = good(client.post(&format!("{path}/parts"), ask).await)?;
            good(client.put(place["url"].as_str()?, self.sample.part()).await)?;
        }
        let end = good(client.post(&format!("{path}/finish"), self.sample.finish(&[1], WAIT)).await)?;
        (end["state"] != "queued").then_some(end)
    }
}

/// What must hold once the server is up again and the client has carried on.
async fn check(world: &World, server: &Server, save: &mut Save<'_>, case: &str) {
    let client = server.as_anyone();
    let mut end = None;
    for _ in 0..3 {
        end = end.or(save.carry_on(client).await);
    }
    let end = end.unwrap_or_else(|| panic!("{case}: the save never came to its end"));
    assert_eq!(end["state"], "published", "{case}: {end}");
    let hit = client.lookup("k", &[]).await;
    assert_eq!(hit["content"], save.sample.summary.content.to_hex(), "{case}");

    world.faults.clear();
    // Whatever an earlier life left is gone after its time.
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(3 * 3600));
        server.sweep().await;
    }
    assert!(server.ci.cache().waiting_parts(None).await.unwrap().is_empty(), "{case}");
    assert!(server.ci.uploads().page(None, 10).await.unwrap().0.is_empty(), "{case}");
    assert_eq!(client.lookup("k", &[]).await["result"], "hit", "{case}");
}

#[tokio::test(start_paused = true)]
async fn a_server_killed_at_any_call_is_followed_by_one_that_ends_the_save_and_leaves_nothing() {
    let sample = Sample::of(&["one", "two"]);
    let mut kills = 0;
    for verb in VERBS {
        for call in 1.. {
            let world = World::new();
            let gate = Gate::closed();
            world.faults.add(verb, call.., Fault::Hold(gate.clone()));
            let server = world.start();
            let mut save = Save { sample: &sample, upload: None };
            let killed = tokio::select! {
                biased;
                () = gate.arrivals(1) => true,
                end = save.carry_on(server.as_anyone()) => {
                    assert_eq!(end.unwrap()["state"], "published");
                    false
                }
            };
            server.kill().await;
            if !killed {
                break;
            }
            kills += 1;
            let world = World { faults: Faults::none(), ..world };
            let next = world.start();
            check(&world, &next, &mut save, &format!("killed at call {call} of {verb:?}")).await;
        }
    }
    // A save that makes fewer calls than this was not watched at all.
    assert!(kills >= 15, "{kills} kills");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_or_whose_answer_is_lost_is_made_up_for() {
    let sample = Sample::of(&["one", "two"]);
    for verb in VERBS {
        for call in 1..12 {
            let kind = ErrorKind::Unavailable;
            for fault in [Fault::Fail(kind), Fault::LoseAnswer(kind)] {
                let case = format!("call {call} of {verb:?}: {fault:?}");
                let world = World::new();
                world.faults.add(verb, call..=call, fault);
                let server = world.start();
                let mut save = Save { sample: &sample, upload: None };
                check(&world, &server, &mut save, &case).await;
                server.kill().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_commit_for_long_fails_the_upload_with_its_reason() {
    let world = World::new();
    world.faults.add(Verb::AdoptPart, .., Fault::Fail(ErrorKind::Full));
    let server = world.start();
    let end = server.as_anyone().save("k", &Sample::of(&["one"])).await;
    assert_eq!(end["state"], "failed");
    assert!(end["reason"].as_str().unwrap().contains("AdoptPart failed"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn two_servers_that_commit_one_key_at_once_do_not_overwrite_each_other() {
    let slow = World::new();
    let quick = World { faults: Faults::none(), ..slow.clone() };
    let gate = Gate::closed();
    slow.faults.add(Verb::AdoptPart, .., Fault::Hold(gate.clone()));
    let (slow, quick) = (slow.start_idle(), quick.start_idle());
    slow.run_commits();
    quick.run_commits();
    let (late, early) = (Sample::of(&["late"]), Sample::of(&["early"]));
    let upload = slow.as_anyone().upload("k", &late).await;
    assert_eq!(slow.as_anyone().finish(&upload, late.finish(&[1], 0)).await["state"], "queued");
    gate.arrivals(1).await;
    assert_eq!(quick.as_anyone().save("k", &early).await["state"], "published");
    gate.open();
    let (_, end) = slow.as_anyone().get(&format!("uploads/{upload}?wait_ms={WAIT}")).await;
    assert_eq!(end["state"], "refused", "{end}");
    assert_eq!(end["existing"]["content"], early.summary.content.to_hex());
    assert_eq!(slow.as_anyone().lookup("k", &[]).await["content"], early.summary.content.to_hex());
}

#[tokio::test(start_paused = true)]
async fn two_servers_on_one_tier_commit_an_upload_once() {
    let world = World::new();
    let (one, two) = (world.start_idle(), world.start_idle());
    let sample = Sample::of(&["one"]);
    let upload = one.as_anyone().upload("k", &sample).await;
    assert_eq!(one.as_anyone().finish(&upload, sample.finish(&[1], 0)).await["state"], "queued");
    // The second finds it in its sweep, and both begin.
    one.run_jobs();
    two.run_jobs();
    let path = format!("uploads/{upload}?wait_ms={WAIT}");
    assert_eq!(one.as_anyone().get(&path).await.1["state"], "published");
    assert_eq!(two.as_anyone().get(&path).await.1["state"], "published");
    assert_eq!(two.as_anyone().lookup("k", &[]).await["result"], "hit");
}
