//! Tokens, quotas, purges and jobs, as an operator of a real server meets them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Machine, Server, command};

/// A server whose configuration knows one operator, and whoever talks to it.
struct World {
    folder: TempDir,
    server: Option<Server>,
}

const OPERATOR: &str = "the operator's";

impl World {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hash = larder_base::ContentHash::of(OPERATOR.as_bytes()).to_hex();
        let operator =
            format!("[[credentials]]\nname = 'operator'\ntoken_sha256 = '{hash}'\nwrite = 'trusted'\nadmin = true\n");
        fs::write(folder.path().join("larder.toml"), format!("{config}\n{operator}")).unwrap();
        let mut world = Self { folder, server: None };
        world.restart();
        world
    }

    /// Has the server end by itself, and starts it again.
    fn restart_in_order(&mut self) {
        assert!(self.server.take().unwrap().stop());
        self.restart();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn restart(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
        let config = self.folder.path().join("larder.toml");
        self.server = Some(Server::start(&self.data(), &["--config", config.to_str().unwrap()]));
    }

    fn machine(&self) -> Machine {
        Machine::of(self.server.as_ref().unwrap())
    }

    fn run(&self, token: &str, arguments: &[&str]) -> Output {
        let mut command = self.machine().command(self.folder.path(), &["--strict"]);
        command.args(arguments).env("LARDER_TOKEN", token).output().unwrap()
    }

    /// The answer of a command that ended well.
    fn ask(&self, token: &str, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let output = self.run(token, &all);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command that is refused says.
    fn refused(&self, token: &str, arguments: &[&str]) -> String {
        let output = self.run(token, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Gives out a token.
    fn token(&self, arguments: &[&str]) -> String {
        let mut all = vec!["token", "create"];
        all.extend(arguments);
        self.ask(OPERATOR, &all)["token"].as_str().unwrap().to_owned()
    }

    /// Saves a file of noise under a key; gives what came of it.
    fn save(&self, token: &str, key: &str, seed: u64, len: usize) -> Value {
        fs::write(self.folder.path().join("file"), larder_testkit::content::noise(seed, len)).unwrap();
        self.ask(token, &["save", key, "file", "--replace"])["result"].clone()
    }

    fn restore(&self, token: &str, key: &str) -> Value {
        self.ask(token, &["restore", key])["result"].clone()
    }

    fn run_job(&self, name: &str) -> Value {
        let job = self.ask(OPERATOR, &["jobs", "--run", name]);
        assert_eq!((&job["name"], &job["last_error"]), (&Value::from(name), &Value::Null), "{job}");
        job
    }

    /// The keys that there are, the newest first.
    fn keys(&self, arguments: &[&str]) -> Vec<String> {
        let mut all = vec!["list"];
        all.extend(arguments);
        keys(&self.ask(OPERATOR, &all))
    }

    /// One request by hand: its status and its body.
    fn http(&self, head: &str, body: &[u8]) -> (u16, String) {
        let authority = self.server.as_ref().unwrap().authority().to_owned();
        let mut socket = TcpStream::connect(&authority).unwrap();
        let head = format!(
            "{head} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {OPERATOR}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        // A refusal may come before all of it is sent.
        let _ = socket.write_all(body);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{head}: {answer:?}")), answer)
    }
}

fn keys(answer: &Value) -> Vec<String> {
    let entries = answer["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["key"].as_str().unwrap().to_owned()).collect()
}

/// The command on the data directory itself, without a server.
fn offline(data: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    command.args(["--json", "--namespace", "*", "token"]).args(arguments).args(["--data", data.to_str().unwrap()]);
    command.env("HOME", "/nonexistent").output().unwrap()
}

#[test]
fn a_token_is_good_from_when_it_is_given_out_until_it_is_taken_back() {
    let mut world = World::new("");
    let new = world.ask(OPERATOR, &["token", "create", "--name", "ci", "--write", "trusted"]);
    let (token, id) = (new["token"].as_str().unwrap().to_owned(), new["id"].as_str().unwrap().to_owned());
    assert_eq!(world.save(&token, "key", 1, 100), "saved");
    assert_eq!(world.ask(OPERATOR, &["list"])["entries"][0]["writer"], "ci");

    world.restart();
    assert_eq!(world.restore(&token, "key"), "hit", "it outlives the process");
    let listed = world.run(OPERATOR, &["token", "list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&format!("{id}  ci in test: reads trusted, writes trusted")), "{listed}");
    for file in fs::read_dir(world.data()).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
        let text = fs::read(&file).unwrap();
        let secret = token.strip_prefix("larder_").unwrap().as_bytes();
        assert!(!text.windows(secret.len()).any(|window| window == secret), "{} shows it", file.display());
    }
    assert!(!listed.contains(&token));

    assert_eq!(world.ask(OPERATOR, &["token", "revoke", &id])["name"], "ci");
    world.refused(&token, &["restore", "key"]);
    assert!(world.refused(OPERATOR, &["token", "revoke", &id]).contains("there is no token"));
    world.restart();
    world.refused(&token, &["restore", "key"]);
    assert_eq!(world.ask(OPERATOR, &["token", "list"])["tokens"], Value::Array(vec![]));
}

#[test]
fn a_token_past_its_time_is_good_for_nothing() {
    let world = World::new("");
    let long = world.token(&["--write", "trusted", "--expires", "90d"]);
    let short = world.token(&["--write", "trusted", "--expires", "1ms"]);
    // Whatever came before took longer than that.
    assert!(world.refused(&short, &["restore", "key"]).contains("no rights"));
    assert_eq!(world.restore(&long, "key"), "miss");
}

#[test]
fn only_an_administrator_gives_out_tokens_and_for_its_own_namespaces_alone() {
    let world = World::new("");
    let plain = world.token(&["--write", "trusted"]);
    let admin = world.token(&["--admin", "--name", "team"]);
    for (token, arguments) in [
        (plain.as_str(), &["token", "create", "--write", "trusted"][..]),
        (&plain, &["token", "list"]),
        ("guess", &["token", "list"]),
        (&admin, &["--namespace", "*", "token", "create"]),
        (&admin, &["--namespace", "other", "token", "create"]),
        // A pull request's entries would reach what others trust.
        (OPERATOR, &["token", "create", "--read", "pr/7", "--write", "trusted"]),
        (OPERATOR, &["token", "create", "--name", "team"]),
        (OPERATOR, &["token", "create", "--write", "nonsense"]),
    ] {
        world.refused(token, arguments);
    }
    let own = world.ask(&admin, &["token", "create", "--write", "pr/7"]);
    assert_eq!(own["read"], serde_json::json!(["pr/7", "trusted"]));
    // It sees those of its namespace, and the whole server's pages are not its own.
    world.token(&["--namespace", "*", "--name", "wide"]);
    let names = |token: &str| world.ask(token, &["token", "list"])["tokens"].as_array().unwrap().len();
    assert_eq!((names(&admin), names(OPERATOR)), (3, 4));
    world.refused(&admin, &["stats"]);
}

#[test]
fn what_a_pull_request_saves_stays_with_it() {
    let world = World::new("");
    let trusted = world.token(&["--name", "ci", "--write", "trusted"]);
    let [seven, eight] = ["pr/7", "pr/8"].map(|scope| world.token(&["--write", scope]));
    assert_eq!(world.save(&trusted, "base", 1, 100), "saved");
    assert_eq!(world.restore(&seven, "base"), "hit", "it reads what is trusted");
    assert_eq!(world.save(&seven, "base", 2, 100), "saved", "in its own scope");
    assert_eq!(world.save(&seven, "own", 3, 100), "saved");
    for other in [&trusted, &eight] {
        assert_eq!(world.restore(other, "base"), "hit");
        let restored = fs::read(world.folder.path().join("file")).unwrap();
        assert_eq!(restored, larder_testkit::content::noise(1, 100), "what others see is as it was");
        assert_eq!(world.restore(other, "own"), "miss");
    }
    world.refused(&seven, &["purge", "base", "--scope", "trusted"]);
    assert_eq!(world.ask(OPERATOR, &["show", "own", "--scope", "pr/7"])["scope"], "pr/7");
    assert_eq!(world.ask(&eight, &["show", "own", "--scope", "pr/7"]), Value::Null);
    let purged = world.ask(OPERATOR, &["purge", "--scope", "pr/7", "--dry-run"]);
    assert_eq!(keys(&purged), ["own", "base"]);
    assert_eq!(world.keys(&[]).len(), 3);
    assert_eq!(keys(&world.ask(OPERATOR, &["purge", "--scope", "pr/7"])), ["own", "base"]);
    assert_eq!(world.keys(&[]), ["base"]);
    assert_eq!(world.restore(&seven, "own"), "miss");
}

#[test]
fn the_first_token_is_made_before_the_server_starts_and_closes_it_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = offline(&data, &["create", "--admin", "--write", "trusted"]);
    assert!(output.status.success(), "{output:?}");
    let new: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (token, id) = (new["token"].as_str().unwrap(), new["id"].as_str().unwrap());

    let server = Server::start(&data, &[]);
    assert_eq!(offline(&data, &["list"]).status.code(), Some(1), "the server has the directory");
    let machine = Machine::of(&server);
    let stats = |token: &str| {
        let mut command = machine.command(folder.path(), &["--strict", "stats"]);
        command.env("LARDER_TOKEN", token).output().unwrap().status.code()
    };
    assert_eq!((stats(token), stats("")), (Some(0), Some(1)));
    assert!(server.stop());

    assert!(offline(&data, &["revoke", id]).status.success());
    let server = Server::start(&data, &[]);
    let machine = Machine::of(&server);
    let output = machine.larder(folder.path(), &["--strict", "stats"]);
    assert_eq!(output.status.code(), Some(1), "nobody has a token, and still not everyone may");
}

#[test]
fn a_server_that_asks_for_no_token_gives_out_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let output = Machine::of(&server).larder(folder.path(), &["token", "create"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--data"), "the way out: {said}");
}

#[test]
fn a_quota_takes_what_was_restored_least_recently_and_is_shown_beside_what_is_held() {
    const LEN: usize = 300_000;
    let world = World::new("[limits]\nnamespace_quota = '1 GiB'\n[namespaces.test]\nquota = '1 MB'");
    for (seed, key) in [(1, "restored"), (2, "looked-at"), (3, "never")] {
        assert_eq!(world.save(OPERATOR, key, seed, LEN), "saved");
    }
    assert_eq!(world.restore(OPERATOR, "restored"), "hit");
    world.ask(OPERATOR, &["show", "looked-at"]);
    world.run_job("quota");
    assert_eq!(world.keys(&[]).len(), 3, "they fit");
    // The same content under another key takes next to nothing.
    assert_eq!(world.save(OPERATOR, "twice", 1, LEN), "saved");
    world.run_job("quota");
    let quota = world.ask(OPERATOR, &["quota"]);
    assert_eq!((&quota["entries"], &quota["quota"]), (&Value::from(4), &Value::from(1_000_000)), "{quota}");
    let (held, stored) = (quota["logical_bytes"].as_u64().unwrap(), quota["stored_bytes"].as_u64().unwrap());
    assert!(held > 4 * LEN as u64 && (3 * LEN as u64..1_000_000).contains(&stored), "{quota}");
    assert_eq!(quota["writers"][0]["writer"], "operator", "{quota}");
    let status = world.ask(OPERATOR, &["stats"]);
    assert_eq!(status["namespaces"][0]["stored_bytes"], stored, "{status}");
    assert_eq!(status["namespaces"][0]["logical_bytes"], held, "{status}");

    assert_eq!(world.save(OPERATOR, "new", 5, LEN), "saved");
    world.run_job("quota");
    assert_eq!(world.keys(&[]), ["new", "twice", "never", "restored"]);
    assert_eq!(world.save(OPERATOR, "newer", 6, LEN), "saved");
    world.run_job("quota");
    assert_eq!(world.keys(&[]), ["newer", "new", "twice", "restored"], "idle ones go by the time of their save");
    world.run_job("quota");
    assert_eq!(world.keys(&[]).len(), 4, "doing it again does nothing");
}

#[test]
fn what_no_quota_has_room_for_is_refused_with_the_reason_and_takes_nothing_away() {
    let world = World::new("[limits]\nnamespace_quota = '500 kB'");
    assert_eq!(world.save(OPERATOR, "fits", 1, 300_000), "saved");
    fs::write(world.folder.path().join("file"), larder_testkit::content::noise(2, 900_000)).unwrap();
    let said = world.refused(OPERATOR, &["save", "large", "file"]);
    assert!(said.contains("all that namespace test may hold"), "{said}");
    let (status, said) = world.http("PUT /http/kv/test/large", &larder_testkit::content::noise(3, 900_000));
    assert_eq!(status, 413, "{said}");
    assert_eq!(world.http("PUT /http/kv/test/small", b"value").0 / 100, 2);
    world.run_job("quota");
    assert_eq!(world.keys(&[]), ["fits"]);
    // Without --strict a build goes on.
    let output =
        world.machine().command(world.folder.path(), &["save", "large", "file"]).env("LARDER_TOKEN", OPERATOR).output();
    assert!(output.unwrap().status.success());
}

#[test]
fn a_writer_beyond_its_share_loses_its_own() {
    let world = World::new("[limits]\nowner_quota = '700 kB'");
    let fork = world.token(&["--name", "fork", "--write", "pr/7"]);
    assert_eq!(world.save(OPERATOR, "ours", 1, 300_000), "saved");
    for (seed, key) in [(2, "flood-1"), (3, "flood-2"), (4, "flood-3")] {
        assert_eq!(world.save(&fork, key, seed, 300_000), "saved");
    }
    world.run_job("quota");
    assert_eq!(world.keys(&[]), ["flood-3", "flood-2", "ours"]);
}

#[test]
fn entries_are_listed_in_pages_and_purged_by_writer_and_age() {
    let world = World::new("");
    let ci = world.token(&["--name", "ci", "--write", "trusted"]);
    for (seed, key) in [(1, "a"), (2, "b"), (3, "c")] {
        world.save(&ci, key, seed, 50);
    }
    world.save(OPERATOR, "mine", 4, 50);
    assert_eq!(world.keys(&["--writer", "ci"]), ["c", "b", "a"]);
    assert_eq!(world.keys(&["--older-than", "1h"]), [""; 0]);
    assert_eq!(world.keys(&["--older-than", "0s", "--scope", "trusted"]).len(), 4);
    let first = world.ask(OPERATOR, &["list", "--writer", "ci", "--limit", "2"]);
    assert_eq!(keys(&first), ["c", "b"]);
    let next = first["next"].as_str().unwrap();
    let second = world.ask(OPERATOR, &["list", "--writer", "ci", "--limit", "2", "--after", next]);
    assert_eq!((keys(&second), &second["next"]), (vec!["a".to_owned()], &Value::Null));
    assert_eq!(world.run(OPERATOR, &["purge"]).status.code(), Some(2), "everything is not what nobody named");
    let said = String::from_utf8(world.run(OPERATOR, &["list", "mine"]).stdout).unwrap();
    assert!(said.contains("by operator, never restored"), "{said}");
    world.restore(OPERATOR, "mine");
    let said = String::from_utf8(world.run(OPERATOR, &["list", "mine"]).stdout).unwrap();
    assert!(said.contains("by operator, restored "), "{said}");
    let said = String::from_utf8(world.run(OPERATOR, &["show", "mine"]).stdout).unwrap();
    assert!(said.contains("by operator, restored "), "{said}");

    assert_eq!(keys(&world.ask(OPERATOR, &["purge", "--writer", "ci", "--older-than", "1h"])), [""; 0]);
    assert_eq!(keys(&world.ask(OPERATOR, &["purge", "--writer", "ci", "--dry-run"])).len(), 3);
    assert_eq!(keys(&world.ask(OPERATOR, &["purge", "--writer", "ci", "--older-than", "0s"])), ["c", "b", "a"]);
    assert_eq!(world.keys(&[]), ["mine"]);
}

#[test]
fn jobs_tell_how_they_went_and_can_be_run() {
    let world = World::new("[limits]\nunused_scopes = '1ms'");
    let fork = world.token(&["--name", "fork", "--write", "pr/7"]);
    world.save(OPERATOR, "ours", 1, 50);
    world.save(&fork, "theirs", 2, 50);
    let steps = world.run_job("scope-expiry")["steps"].as_u64().unwrap();
    assert_eq!(world.keys(&[]), ["ours"], "a scope that nobody used, and the trusted one stays");
    let again = world.run_job("scope-expiry");
    assert!(again["steps"].as_u64().unwrap() > steps, "{again}");
    assert!(again["status"].as_str().unwrap().starts_with("1 scope with 1 entry"), "{again}");
    world.run_job("ci-sweep");

    let jobs = world.ask(OPERATOR, &["jobs"]);
    let names: Vec<_> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    for name in ["eviction", "pruning", "quota", "scope-expiry", "ci-sweep", "ci-commits"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let said = String::from_utf8(world.run(OPERATOR, &["jobs", "--run", "quota"]).stdout).unwrap();
    assert!(said.starts_with("quota") && said.contains("0 failed"), "{said}");
    assert!(world.refused(OPERATOR, &["jobs", "--run", "nonsense"]).contains("there is no job"));
    world.refused(&fork, &["jobs"]);
    let (status, metrics) = world.http("GET /metrics", b"");
    assert_eq!(status, 200);
    for line in [
        "larder_job_steps{job=\"scope-expiry\"} ",
        "larder_job_failing{job=\"quota\"} 0",
        "larder_namespace_stored_bytes{namespace=\"test\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn how_a_job_went_is_told_after_a_kill() {
    let mut world = World::new("");
    let before = world.run_job("scope-expiry");
    assert_eq!(before["last_run"]["outcome"], "succeeded", "{before}");
    world.restart();
    let jobs = world.ask(OPERATOR, &["jobs"]);
    let job = jobs["jobs"].as_array().unwrap().iter().find(|job| job["name"] == "scope-expiry").unwrap();
    assert_eq!(
        (&job["last_run"], &job["last_success_ms"], &job["steps"], &job["state"]),
        (&before["last_run"], &before["last_success_ms"], &Value::from(0), &Value::from("waiting")),
        "a restart is no reason to run it"
    );
    let said = String::from_utf8(world.run(OPERATOR, &["jobs"]).stdout).unwrap();
    let line = said.lines().find(|line| line.starts_with("scope-expiry")).unwrap();
    assert!(line.contains("succeeded just now") && line.contains("0 scopes with 0 entries removed"), "{line}");
    let (_, metrics) = world.http("GET /metrics", b"");
    let seconds = before["last_success_ms"].as_u64().unwrap() as f64 / 1000.0;
    assert!(
        metrics.contains(&format!("larder_job_last_success_seconds{{job=\"scope-expiry\"}} {seconds}")),
        "{metrics}"
    );
    assert_eq!(world.run_job("scope-expiry")["steps"], 1);
}

#[test]
fn who_restored_an_entry_is_told_to_those_who_may_know_also_after_a_restart() {
    let mut world = World::new("");
    let ci = world.token(&["--name", "ci", "--write", "trusted"]);
    let fork = world.token(&["--name", "fork", "--write", "pr/7"]);
    assert_eq!(world.save(&ci, "k", 1, 5000), "saved");
    let readers = |world: &World, token: &str| -> Vec<(String, u64)> {
        let shown = world.ask(token, &["show", "k"]);
        let readers = shown["readers"].as_array().unwrap().iter();
        readers.map(|one| (one["reader"].as_str().unwrap().to_owned(), one["restores"].as_u64().unwrap())).collect()
    };
    assert_eq!(readers(&world, OPERATOR), []);
    for token in [&ci, &fork, &ci] {
        assert_eq!(world.restore(token, "k"), "hit");
    }
    let expected = [("ci".to_owned(), 2), ("fork".to_owned(), 1)];
    assert_eq!(readers(&world, OPERATOR), expected);
    world.restart_in_order();
    assert_eq!(readers(&world, OPERATOR), expected);
    assert_eq!(readers(&world, &ci), expected);
    assert_eq!(readers(&world, &fork), []);
    assert_eq!(world.keys(&["--reader", "fork"]), ["k"]);
    assert_eq!(world.keys(&["--reader", "operator"]), [""; 0]);
    assert_eq!(keys(&world.ask(&fork, &["list", "--reader", "fork"])), [""; 0]);
    let said = String::from_utf8(world.run(OPERATOR, &["show", "k"]).stdout).unwrap();
    assert!(said.contains("read by  ci, 2 times, last just now\nread by  fork, once, last just now\n"), "{said}");
    world.ask(OPERATOR, &["purge", "k"]);
    assert_eq!(world.save(&ci, "k", 1, 5000), "saved");
    assert_eq!(readers(&world, OPERATOR), []);
}
