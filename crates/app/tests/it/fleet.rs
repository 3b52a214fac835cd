//! A fleet: workers with fresh disks, each with a node, below one server with a bucket; and what happens to them.

use std::path::Path;

use larder_testkit::clients::client;
use serde_json::Value;

use crate::job::said;
use crate::save_restore::{describe, make_tree};

mod direct;
mod killed;
mod site;

use site::{Bucket, Fleet};

/// Runs a test with a bucket of versitygw, where that is found.
fn with_versitygw(test: impl FnOnce(Bucket)) {
    if let Some(program) = client("versitygw") {
        test(Bucket::versitygw(&program));
    }
}

/// The line at the start of a job, and a build that is as fast as a copy.
fn build_of(tree: &Path) -> String {
    format!("larder restore --save-at-end key tree; test -e tree || cp -a {} tree", tree.display())
}

#[test]
fn what_one_worker_builds_another_restores_and_a_pull_request_changes_for_nobody_else() {
    workers_share(Bucket::fake());
}

#[test]
fn workers_share_by_versitygw() {
    with_versitygw(workers_share);
}

fn workers_share(bucket: Bucket) {
    let fleet = Fleet::new(bucket, "");
    let source = fleet.fresh("source");
    make_tree(&source);
    let one = fleet.node("a");
    let script = build_of(&source.join("tree"));
    let environment = said(&one.job("env"));
    assert!(!environment.contains("TOKEN") && !environment.contains("AWS"), "{environment}");
    let built = said(&one.job(&script));
    assert!(built.contains("nothing saved under key") && built.contains("saved key"), "{built}");
    let sent = one.wait_until_sent();
    assert_eq!((&sent["pushed"], &sent["refused"], &sent["conflicts"]), (&1.into(), &0.into(), &0.into()), "{sent}");
    assert!(sent["direct"]["bytes_up"].as_u64() > Some(1_000_000), "nothing went straight to the bucket: {sent}");
    let entry = fleet.ask(&["show", "key"]);
    assert_eq!((&entry["writer"], &entry["scope"]), (&"main".into(), &"trusted".into()), "{entry}");

    // What was sent up lies in the bucket, and from there the other worker gets it.
    fleet.leave_all_to_the_bucket();
    let bucket = fleet.bucket_status();
    assert!(bucket["bytes"].as_u64() >= sent["bytes_up"].as_u64(), "{bucket}, {sent}");
    assert!(bucket["offloaded_segments"].as_u64() >= Some(1), "{bucket}");
    let other = fleet.node("b");
    let restored = said(&other.job(&script));
    assert!(restored.contains("restored key") && restored.contains("unchanged: key"), "{restored}");
    assert_eq!(describe(&source), describe_job(&other));
    let direct = &other.status()["direct"];
    assert!(direct["bytes_down"].as_u64() > Some(1_000_000), "nothing was read from the bucket: {direct}");

    let mut pull = fleet.pull_node("p");
    let changed = said(&pull.job(&format!("{script}; cat tree/inner/same >/dev/null; echo evil > tree/evil")));
    assert!(changed.contains("restored key") && changed.contains("saved key"), "{changed}");
    let sent = pull.wait_until_sent();
    assert_eq!((&sent["pushed"], &sent["refused"]), (&1.into(), &0.into()), "{sent}");
    pull.wipe();
    assert!(said(&pull.job(&format!("{script}; cat tree/evil"))).contains("evil"), "it sees its own");
    assert_eq!(fleet.ask(&["show", "key", "--scope", "pr/7"])["writer"], "pull");
    for mut node in [one, other, fleet.node("c")] {
        node.wipe();
        let again = said(&node.job(&script));
        assert!(again.contains("restored key") && again.contains("unchanged: key"), "{again}");
        assert_eq!(describe(&source), describe_job(&node));
    }
}

#[test]
fn many_small_saves_through_a_node_do_not_cost_an_object_each() {
    let fleet = Fleet::new(Bucket::fake(), "");
    let mut node = fleet.node("a");
    let keys = ["one", "two", "three", "four"];
    for key in keys {
        node.wipe();
        let saved = said(&node.job(&format!("mkdir tree; echo {key} > tree/{key}; larder save {key} tree")));
        assert!(saved.contains(&format!("saved {key}")), "{saved}");
        node.wait_until_sent();
    }
    fleet.ship_all();
    assert_eq!(fleet.bucket.objects(), [""; 0], "they share a segment, which is not full yet");
    let other = fleet.node("b");
    for key in keys {
        assert_eq!(other.restore(key)["result"], "hit");
        let restored = std::fs::read_to_string(other.work().join("tree").join(key)).unwrap();
        assert_eq!(restored.trim(), key);
    }
}

#[test]
fn a_bucket_s_quota_takes_the_oldest_objects_and_what_was_in_them_is_a_miss() {
    let fleet = Fleet::new(Bucket::fake(), "[store]\nretention = '0s'\n[bucket]\nquota = '10 MB'\n");
    let mut node = fleet.node("a");
    for seed in 1..=5 {
        node.wipe();
        site::make_noise(node.work(), seed, 3);
        node.job(&format!("larder save key-{seed} tree"));
        node.wait_until_sent();
        fleet.ship_all();
    }
    fleet.ask(&["gc"]);
    let status = fleet.bucket_status();
    assert!(status["bytes"].as_u64().is_some_and(|bytes| bytes <= 10_000_000), "{status}");
    assert_eq!((&status["objects"], fleet.bucket.objects().len()), (&3.into(), 3), "{status}");
    let other = fleet.node("b");
    let results: Vec<_> = (1..=5).map(|seed| other.restore(&format!("key-{seed}"))["result"].clone()).collect();
    assert_eq!(results, ["miss", "miss", "hit", "hit", "hit"]);
    assert!(site::is_noise(other.work(), 5, 3));
}

/// The tree in a job's folder.
fn describe_job(node: &site::Node) -> Vec<String> {
    let home = |line: &String| line.starts_with("home");
    describe(node.work()).into_iter().filter(|line| !home(line)).collect()
}

#[test]
fn a_quota_purges_what_workers_restored_least_recently_also_when_the_bucket_alone_has_it() {
    quota_purges(Bucket::fake());
}

#[test]
fn a_quota_purges_in_order_by_versitygw() {
    with_versitygw(quota_purges);
}

fn quota_purges(bucket: Bucket) {
    let fleet = Fleet::new(bucket, "[limits]\nnamespace_quota = '10 MB'\n");
    let mut worker = fleet.node("a");
    let save = |worker: &mut site::Node, key: &str, seed: u64| {
        worker.wipe();
        site::make_noise(worker.work(), seed, 3);
        let saved = said(&worker.job(&format!("larder save {key} tree")));
        assert!(saved.contains(&format!("saved {key}")), "{saved}");
        worker.wait_until_sent();
    };
    for (seed, key) in [(1, "first"), (2, "second"), (3, "third")] {
        save(&mut worker, key, seed);
    }
    fleet.leave_all_to_the_bucket();
    assert!(fleet.bucket_status()["offloaded_segments"].as_u64() >= Some(3), "{}", fleet.bucket_status());
    fleet.run_job("quota");
    assert_eq!(fleet.keys(&[]), ["third", "second", "first"], "they fit");
    let before = fleet.ask(&["quota"]);
    assert!((9_000_000..10_000_000).contains(&before["stored_bytes"].as_u64().unwrap()), "{before}");
    // A look is no use; a restore on another worker is.
    fleet.ask(&["show", "second"]);
    let other = fleet.node("b");
    assert_eq!(other.restore("first")["result"], "hit");
    save(&mut worker, "fourth", 4);
    fleet.run_job("quota");
    assert_eq!(fleet.keys(&[]), ["fourth", "third", "first"], "the one never restored goes first, the oldest of them");
    save(&mut worker, "fifth", 5);
    fleet.run_job("quota");
    assert_eq!(fleet.keys(&[]), ["fifth", "fourth", "first"]);
    let quota = fleet.ask(&["quota"]);
    assert_eq!(quota["entries"], 3, "{quota}");
    let jobs = fleet.ask(&["jobs"]);
    let job = jobs["jobs"].as_array().unwrap().iter().find(|job| job["name"] == "quota").cloned().unwrap_or_default();
    assert_eq!(job["last_error"], Value::Null, "{jobs}");
    assert!(job["status"].as_str().is_some_and(|status| status.contains("2 entries removed")), "{job}");

    // What a quota took is a miss on every worker, and what it left is whole.
    for mut node in [worker, other] {
        for (key, seed) in [("first", Some(1)), ("second", None), ("third", None), ("fifth", Some(5))] {
            node.wipe();
            let restored = node.restore(key);
            match seed {
                None => assert_eq!(restored["result"], "miss", "{key}: {restored}"),
                Some(seed) => {
                    assert_eq!(restored["result"], "hit", "{key}: {restored}");
                    assert!(site::is_noise(node.work(), seed, 3), "{key}");
                }
            }
        }
    }
}
