//! A server with a bucket: the same clients, whose bytes go straight to the bucket and come straight from it.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use larder_base::{Clock, Timestamp};
use larder_remote::{HttpClient, Policy, ServerClient};
use larder_testkit::s3::{
    ACCESS_KEY_ID, BUCKET, DIRECTORY_BUCKET, FakeS3, Fault, Operation, REGION, SECRET_ACCESS_KEY,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::crash;
use crate::save_restore::{self, describe, make_tree};
use crate::server::{Machine, Server, with_environment};

mod checks;
mod cuts;
mod faults;

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as u64)
    }
}

/// An object store, and the runtime that it lives on.
struct Place {
    store: FakeS3,
    bucket: &'static str,
    _runtime: Runtime,
}

impl Place {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let store = runtime.block_on(FakeS3::start(Arc::new(WallClock)));
        Self { store, bucket: BUCKET, _runtime: runtime }
    }

    /// One with a directory bucket.
    fn directory() -> Self {
        let runtime = Runtime::new().unwrap();
        let store = runtime.block_on(FakeS3::start_directory(Arc::new(WallClock)));
        Self { store, bucket: DIRECTORY_BUCKET, _runtime: runtime }
    }

    /// Runs a test whose servers have this bucket.
    fn behind(&self, further: &[(&str, &str)], test: impl FnOnce()) {
        let own = self.variables();
        let mut variables: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend(further);
        with_environment(&variables, test);
    }

    /// What tells a process that this is its bucket.
    fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("LARDER_BUCKET_URL", format!("s3://{}/larder", self.bucket)),
            ("LARDER_BUCKET_ENDPOINT", self.store.url().to_owned()),
            ("LARDER_BUCKET_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    fn count(&self, operation: Operation) -> usize {
        self.store.seen().into_iter().filter(|seen| *seen == operation).count()
    }

    fn objects(&self) -> Vec<String> {
        self.store.keys()
    }
}

/// A command that is under way.
struct Running(Child);

impl Running {
    fn start(machine: &Machine, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = machine.command(folder, &["--json"]);
        Self(command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Ends it as a runner that is taken away does.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// The word for what it came to; it is no failure of the build.
    fn result(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        assert!(output.status.success(), "a cache that fails is no failure of the build");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["result"].as_str().unwrap().to_owned()
    }
}

/// Saves something of its own, so that the server has tried by now what the bucket can do.
fn try_bucket(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "for the trial").unwrap();
    assert_eq!(Machine::of(server).json(folder.path(), &["save", "trial", "file"])["result"], "saved");
}

/// What `/status` tells of the bucket.
fn bucket_of(server: &Server) -> Value {
    Machine::of(server).json(Path::new("/"), &["stats"])["store"]["bucket"].clone()
}

#[test]
fn the_client_suite_passes_against_a_bucket() {
    let place = Place::new();
    let tests: [(&str, fn()); 6] = [
        ("whole", save_restore::a_tree_comes_back_as_it_was_on_another_machine),
        ("unchanged", save_restore::an_unchanged_tree_is_not_sent_and_one_that_differs_is_refused_unless_replaced),
        ("fallback", save_restore::a_fallback_restores_the_newest_that_begins_so_and_says_which),
        ("dirty", save_restore::a_dirty_tree_gets_only_what_differs),
        ("list", save_restore::a_list_of_files_comes_from_standard_input),
        ("refused", save_restore::what_would_leave_the_folder_is_refused_by_name),
    ];
    for (name, test) in tests {
        let before = place.count(Operation::Put);
        place.behind(&[], test);
        assert!(place.count(Operation::Put) > before || name == "refused", "{name} put nothing into the bucket");
    }
}

#[test]
fn a_directory_bucket_is_as_good_as_any_other() {
    let place = Place::directory();
    place.store.limit_pages(2);
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        save_restore::a_tree_comes_back_as_it_was_on_another_machine();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = Server::start(&data, &[]);
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        make_tree(&one);
        fs::create_dir(&other).unwrap();
        let before = place.objects();
        assert_eq!(Machine::of(&server).json(&one, &["save", "key", "tree"])["result"], "saved");
        assert!(bucket_of(&server)["adopted"].as_u64() >= Some(1), "{}", bucket_of(&server));
        // Sessions end whenever the store likes.
        place.store.end_sessions();
        let kept: Vec<_> = place.objects().into_iter().filter(|name| !before.contains(name)).collect();
        let (start, _) = kept[0].split_once("/uploads/").unwrap();
        for number in 0..5 {
            place.store.put(&format!("{start}/uploads/{}.{number}", "ab".repeat(16)), vec![1; 1000]);
        }
        server.kill();
        let server = Server::start(&data, &[]);
        Machine::of(&server).json(Path::new("/"), &["gc"]);
        let after: Vec<_> = place.objects().into_iter().filter(|name| !before.contains(name)).collect();
        assert_eq!(after, kept);
        assert_eq!(Machine::of(&server).json(&other, &["restore", "key"])["result"], "hit");
        assert_eq!(describe(&one), describe(&other));
    });
}

#[test]
fn a_save_whose_server_is_killed_after_a_part_reached_the_bucket_can_be_repeated() {
    let place = Place::new();
    // The first part is that of an earlier save.
    place.behind(&[], || {
        crash::kill_in_the_middle_of_a_save(|_| {
            place.objects().iter().filter(|name| name.contains("/uploads/")).count() > 1
        });
    });
}

#[test]
fn large_bytes_go_straight_to_the_bucket_and_come_straight_from_it() {
    let place = Place::new();
    place.behind(&[], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        make_tree(&one);
        fs::create_dir(&other).unwrap();
        let saved = Machine::of(&server).json(&one, &["save", "key", "tree"]);
        assert_eq!(saved["result"], "saved", "{saved}");
        let bucket = bucket_of(&server);
        assert!(bucket["adopted"].as_u64() >= Some(1) && bucket["bytes"].as_u64() > Some(1_000_000), "{bucket}");
        let read_by_server = bucket["reads"].as_u64();
        assert_eq!(place.store.overwriting_puts("/uploads/"), 0, "a client could replace what was verified");
        let gets = place.count(Operation::Get);
        assert_eq!(Machine::of(&server).json(&other, &["restore", "key"])["result"], "hit");
        assert_eq!(describe(&one), describe(&other));
        assert!(place.count(Operation::Get) > gets, "nothing was read from the bucket");
        assert_eq!(bucket_of(&server)["reads"].as_u64(), read_by_server, "the server read what its client restores");
    });
}

#[test]
fn urls_of_several_parts_lead_each_to_the_bucket() {
    let place = Place::new();
    place.behind(&[], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        try_bucket(&server);
        let runtime = Runtime::new().unwrap();
        let client =
            ServerClient::new(HttpClient::new(Policy::default(), 1), server.url().parse().unwrap(), None).unwrap();
        let exchange = |request: Request<Bytes>| runtime.block_on(client.exchange(request, Duration::ZERO)).unwrap();
        let ask = |path: &str, body: Value| -> Value {
            let request = Request::post(format!("/ci/v1/test/uploads{path}")).body(body.to_string().into()).unwrap();
            serde_json::from_slice(exchange(request).body()).unwrap()
        };
        let begun = ask("", json!({ "key": "k", "bytes": 1000, "files": 1 }));
        let upload = begun["upload"].as_str().unwrap();
        let parts = json!({ "parts": [{ "number": 2, "length": 100 }, { "number": 1, "length": 50 }] });
        let answer = ask(&format!("/{upload}/parts/batch"), parts.clone());
        for (place_of, length) in answer["parts"].as_array().unwrap().iter().zip([100, 50]) {
            let url = place_of["url"].as_str().unwrap();
            assert!(url.starts_with(place.store.url()), "{url}");
            let mut put = Request::put(url);
            for (name, value) in place_of["headers"].as_object().into_iter().flatten() {
                put = put.header(name, value.as_str().unwrap());
            }
            assert!(exchange(put.body(vec![1; length].into()).unwrap()).status().is_success());
        }
        for number in [1, 2] {
            let name = format!("/uploads/{upload}.{number}");
            assert!(place.objects().iter().any(|object| object.ends_with(&name)), "{:?}", place.objects());
        }
        // For a client that does not get there.
        let answer = ask(&format!("/{upload}/parts/batch"), json!({ "parts": parts["parts"], "through_server": true }));
        let urls: Vec<_> =
            answer["parts"].as_array().unwrap().iter().map(|part| part["url"].as_str().unwrap()).collect();
        assert!(urls[0].starts_with(&format!("uploads/{upload}/parts/2/100?")), "{urls:?}");
        assert!(urls[1].starts_with(&format!("uploads/{upload}/parts/1/50?")), "{urls:?}");
    });
}

#[test]
fn where_clients_are_kept_from_the_bucket_all_goes_through_the_server() {
    let place = Place::new();
    place.behind(&[("LARDER_BUCKET_DIRECT", "false")], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        make_tree(folder.path());
        let saved = Machine::of(&server).json(folder.path(), &["save", "key", "tree"]);
        assert_eq!((&saved["result"], place.count(Operation::Put)), (&"saved".into(), 0), "{saved}");
        let other = tempfile::tempdir().unwrap();
        assert_eq!(Machine::of(&server).json(other.path(), &["restore", "key"])["result"], "hit");
    });
}

#[test]
fn a_bucket_that_a_client_cannot_reach_costs_it_nothing_but_time() {
    let place = Place::new();
    place.behind(&[], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        make_tree(&folder.path().join("one"));
        try_bucket(&server);
        let objects = place.objects();
        // As often as the client tries; then the part goes through the server.
        place.store.inject(Operation::Put, Fault::Refuse(403, "AccessDenied"), 100);
        let saved = Machine::of(&server).json(&folder.path().join("one"), &["save", "key", "tree"]);
        assert_eq!(saved["result"], "saved", "{saved}");
        assert_eq!(place.objects(), objects);
        let other = tempfile::tempdir().unwrap();
        assert_eq!(Machine::of(&server).json(other.path(), &["restore", "key"])["result"], "hit");
        assert_eq!(describe(&folder.path().join("one")), describe(other.path()));
    });
}

#[test]
fn objects_that_the_bucket_forgot_are_a_miss_and_are_saved_again() {
    let place = Place::new();
    place.behind(&[], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        let one = folder.path().join("one");
        make_tree(&one);
        assert_eq!(Machine::of(&server).json(&one, &["save", "key", "tree"])["result"], "saved");
        for object in place.objects() {
            place.store.forget(&object);
        }
        let other = tempfile::tempdir().unwrap();
        let lost = Machine::of(&server).json(other.path(), &["restore", "key"]);
        assert!(lost["result"] != "hit", "{lost}");
        // What is gone is known by now: it is a miss like any other, and the key is free.
        let missed = Machine::of(&server).json(other.path(), &["restore", "key"]);
        assert_eq!(missed["result"], "miss", "{missed}");
        assert_eq!(Machine::of(&server).json(&one, &["save", "key", "tree"])["result"], "saved");
        assert_eq!(Machine::of(&server).json(other.path(), &["restore", "key"])["result"], "hit");
        assert_eq!(describe(&one), describe(other.path()));
    });
}

#[test]
fn one_sweep_leaves_no_orphan_of_a_killed_save() {
    let place = Place::new();
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = Server::start(&data, &[]);
        make_tree(&folder.path().join("one"));
        assert_eq!(Machine::of(&server).json(&folder.path().join("one"), &["save", "key", "tree"])["result"], "saved");
        let kept = place.objects();
        // What a client had put when it was killed, and what came after its upload was given up.
        let (start, _) = kept[0].split_once("/uploads/").unwrap();
        let orphan = format!("{start}/uploads/{}.1", "ab".repeat(16));
        place.store.put(&orphan, vec![1; 1000]);
        server.kill();
        let server = Server::start(&data, &[]);
        Machine::of(&server).json(Path::new("/"), &["gc"]);
        assert_eq!(place.objects(), kept);
        let other = tempfile::tempdir().unwrap();
        assert_eq!(Machine::of(&server).json(other.path(), &["restore", "key"])["result"], "hit");
    });
}
