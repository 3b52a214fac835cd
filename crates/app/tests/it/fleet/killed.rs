//! kill -9 of every member of a fleet in the middle of what it does: every restore afterwards has the right bytes or is a
//! miss, what was acknowledged is a hit, and one sweep leaves no orphan in the bucket.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use larder_testkit::content::noise;
use serde_json::Value;

use super::site::{Bucket, Fleet, Node, files, is_noise, make_noise};
use super::with_versitygw;
use crate::server::PATIENCE;

/// Files of a tree, of a megabyte each: three parts, or pushes.
const FILES: u64 = 40;

/// The tree that is whole in the bucket before anything is killed.
const BEFORE: &str = "before";

#[test]
fn whoever_is_killed_in_the_middle_of_a_save_leaves_no_orphan_and_no_wrong_bytes() {
    killed_saves(Bucket::fake());
}

#[test]
fn killed_saves_leave_no_orphan_in_versitygw() {
    with_versitygw(killed_saves);
}

#[test]
fn whoever_is_killed_in_the_middle_of_a_restore_leaves_no_orphan_and_no_wrong_bytes() {
    killed_restores(Bucket::fake());
}

#[test]
fn killed_restores_leave_no_orphan_in_versitygw() {
    with_versitygw(killed_restores);
}

/// Waits for a moment that is short, and so without a pause.
fn await_moment(what: &str, is_now: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_now() {
        assert!(start.elapsed() < PATIENCE, "this moment did not come: {what}");
        std::thread::yield_now();
    }
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a command with `--json` told, which fails no job whatever happens.
fn told(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "a fault of the cache fails no job: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn killed_saves(bucket: Bucket) {
    let mut fleet = Fleet::new(bucket, "");
    let mut node = fleet.node("a");
    let tree = |node: &mut Node, seed: u64| {
        node.wipe();
        make_noise(node.work(), seed, FILES);
    };

    // A job's client, while the node receives.
    tree(&mut node, 1);
    let client = start(&mut node.command(&["save", "client", "tree"]));
    await_moment("the node received a part", || node.has_received());
    kill(client);

    // The node, likewise.
    tree(&mut node, 2);
    let client = start(&mut node.command(&["--json", "save", "node", "tree"]));
    await_moment("the node received a part", || node.has_received());
    node.kill();
    let saved = told(client);
    assert_ne!(saved["result"], "saved", "{saved}");
    node.restart();

    // The node again, once it has acknowledged, while it sends; and then the server, between a segment that was put into the
    // bucket and its adoption.
    tree(&mut node, 3);
    let before = fleet.bucket.objects().len();
    let saved = told(start(&mut node.command(&["--json", "save", "spooled", "tree"])));
    assert_eq!(saved["result"], "saved", "{saved}");
    let puts_one = |before: usize| await_moment("a segment is in the bucket", || fleet.bucket.objects().len() > before);
    puts_one(before);
    let before = fleet.bucket.objects().len();
    node.kill();
    node.restart();
    puts_one(before);
    fleet.kill_server();
    fleet.start_server();
    node.wait_until_sent();

    // Clients without a node, whose parts go to the bucket by themselves: the client, and then the server.
    tree(&mut node, 4);
    let before = fleet.bucket.objects().len();
    let client = start(&mut fleet.command(node.work(), &["save", "direct", "tree"]));
    await_moment("a part is in the bucket", || fleet.bucket.objects().len() > before);
    // On a real store this may have been a file that it makes while a part arrives, and that goes with the client.
    kill(client);
    tree(&mut node, 5);
    let before = fleet.bucket.objects().len();
    let client = start(&mut fleet.command(node.work(), &["--json", "save", "server", "tree"]));
    await_moment("a part is in the bucket", || fleet.bucket.objects().len() > before);
    fleet.kill_server();
    let saved = told(client);
    assert_ne!(saved["result"], "saved", "{saved}");
    fleet.start_server();

    node.wait_until_sent();
    sweeps_clean(&fleet);
    let mut fresh = fleet.node("fresh");
    for (seed, key) in [(1, "client"), (2, "node"), (3, "spooled"), (4, "direct"), (5, "server")] {
        for node in [&mut fresh, &mut node] {
            node.wipe();
            let restored = node.restore(key);
            match restored["result"].as_str() {
                Some("hit") => assert!(is_noise(node.work(), seed, FILES), "{key} has wrong bytes"),
                Some("miss") => assert!(key != "spooled", "what was acknowledged is there: {restored}"),
                _ => panic!("{key}: {restored}"),
            }
        }
    }
    // Nothing is in the way of the next ones.
    for (seed, key) in [(1, "client"), (2, "node"), (4, "direct"), (5, "server")] {
        tree(&mut node, seed);
        let saved = told(start(&mut node.command(&["--json", "save", key, "tree"])));
        assert!(saved["result"] == "saved" || saved["result"] == "unchanged", "{saved}");
        node.wait_until_sent();
        fresh.wipe();
        assert_eq!(fresh.restore(key)["result"], "hit");
        assert!(is_noise(fresh.work(), seed, FILES), "{key} has wrong bytes");
    }
    sweeps_clean(&fleet);
}

fn killed_restores(bucket: Bucket) {
    let mut fleet = Fleet::new(bucket, "");
    let mut first = fleet.node("a");
    make_noise(first.work(), 1, FILES);
    assert_eq!(told(start(&mut first.command(&["--json", "save", BEFORE, "tree"])))["result"], "saved");
    first.wait_until_sent();
    fleet.leave_all_to_the_bucket();

    // The client of a fresh worker.
    let mut node = fleet.node("client");
    let client = begin_restore(&node);
    kill(client);
    comes_back(&mut node);
    // Its node.
    let mut node = fleet.node("node");
    let client = begin_restore(&node);
    node.kill();
    told(client);
    node.restart();
    comes_back(&mut node);
    // The server.
    let mut node = fleet.node("server");
    let client = begin_restore(&node);
    fleet.kill_server();
    told(client);
    fleet.start_server();
    crate::server::wait_until("the server is back", || node.status()["reachable"] == true);
    comes_back(&mut node);
    sweeps_clean(&fleet);
    first.kill();
    comes_back(&mut fleet.node("last"));
}

/// A restore of which some files are there.
fn begin_restore(node: &Node) -> Child {
    let client = start(&mut node.command(&["--json", "restore", BEFORE]));
    await_moment("a file is restored", || !files(node.work()).iter().all(|name| name.starts_with("home")));
    client
}

/// What is there of a restore that was broken off has the right bytes, and the next one has them all.
fn comes_back(node: &mut Node) {
    let there = |root: &Path| -> Vec<u64> { files(root).iter().filter_map(|name| name.parse().ok()).collect() };
    for number in there(&node.work().join("tree")) {
        let bytes = fs::read(node.work().join(format!("tree/{number}"))).unwrap();
        assert!(bytes == noise(1000 + number, 1_000_000), "{number} has wrong bytes");
    }
    // Once over what is there, and once afresh.
    for _ in 0..2 {
        let restored = node.restore(BEFORE);
        assert_eq!(restored["result"], "hit", "{restored}");
        assert!(is_noise(node.work(), 1, FILES));
        node.wipe();
    }
}

/// After one sweep, all that is in the bucket is spoken of, and nothing is unfinished.
fn sweeps_clean(fleet: &Fleet) {
    fleet.ship_all();
    fleet.ask(&["gc"]);
    let status = fleet.bucket_status();
    let objects = fleet.bucket.objects();
    assert_eq!((&status["objects"], &status["doomed_objects"]), (&objects.len().into(), &0.into()), "{objects:?}");
    assert_eq!(fleet.ask(&["gc"])["deleted_objects"], 0);
    assert_eq!(fleet.bucket.trials(), [""; 0]);
}
