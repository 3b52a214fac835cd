//! Nodes: real ones below real servers, which go away, come back, are slow, and lie.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::save_restore::{describe, make_tree};
use crate::server::{Machine, Server};

/// How long anything may take to come true.
const SOON: Duration = Duration::from_secs(60);

/// A place for a test: an upstream's address that stays the same over restarts, and folders.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An empty folder.
    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }

    fn upstream_url(&self) -> String {
        format!("unix:{}", self.path("up.sock").display())
    }

    /// The server above, which knows two tokens.
    fn upstream(&self) -> Server {
        let config = self.path("up.toml");
        let credential = |name: &str, read: &str, write: &str| {
            let hash = larder_base::ContentHash::of(name.as_bytes()).to_hex();
            format!("[[credentials]]\nname = '{name}'\ntoken_sha256 = '{hash}'\nread = [{read}]\nwrite = '{write}'\n")
        };
        let text = credential("main", "'trusted'", "trusted") + &credential("pull", "'pr/7', 'trusted'", "pr/7");
        fs::write(&config, text).unwrap();
        let (url, config) = (self.upstream_url(), config.display().to_string());
        Server::listening(&url, &self.path("up"), &["--config", &config])
    }

    /// A node with data of its own below the server, or below another.
    fn node_below(&self, name: &str, url: &str, more: &str) -> Server {
        let config = self.path(&format!("{name}.toml"));
        fs::write(&config, format!("[upstream]\nurl = '{url}'\n{more}\n")).unwrap();
        Server::start(&self.path(name), &["--config", &config.display().to_string()])
    }

    fn node(&self, name: &str) -> Server {
        self.node_below(name, &self.upstream_url(), "token = 'main'")
    }
}

/// What a node says of itself.
fn status(node: &Server) -> Value {
    serde_json::from_str::<Value>(&ask(node, "GET /status").1).unwrap()["node"].clone()
}

/// What a page answers whoever is on the machine: its status and body.
fn ask(node: &Server, head: &str) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(node.authority()).unwrap();
    let request = format!("{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn wait_until(node: &Server, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = status(node);
        if holds(&status) {
            return status;
        }
        assert!(start.elapsed() < SOON, "it never came to this: {what}; {status}");
        std::thread::yield_now();
    }
}

fn is_sent(status: &Value) -> bool {
    status["spool_entries"] == 0
}

#[test]
fn a_tree_saved_through_one_node_without_a_token_is_restored_through_another() {
    let place = Place::new();
    let upstream = place.upstream();
    let one = place.fresh("one");
    make_tree(&one);
    let node = place.node("a");
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    let sent = wait_until(&node, "everything is sent", is_sent);
    assert_eq!((&sent["pushed"], &sent["conflicts"], &sent["refused"]), (&1.into(), &0.into(), &0.into()), "{sent}");

    let other = place.node("b");
    let restored = Machine::of(&other).json(&place.fresh("two"), &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert_eq!(describe(&one), describe(&place.path("two")));
    // Above, the node is who restored it; the node itself remembers nobody.
    let readers = |server: &Server| {
        let mut show = Machine::of(server).command(&one, &["--json", "--strict", "show", "key"]);
        let output = show.env("LARDER_TOKEN", "main").output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let readers = shown["readers"].as_array().unwrap().iter();
        readers.map(|reader| (reader["reader"].clone(), reader["restores"].clone())).collect::<Vec<_>>()
    };
    assert_eq!((readers(&upstream), readers(&other)), (vec![("main".into(), 1.into())], vec![]));

    // Now it is there too, and needs nobody.
    wait_until(&other, "a copy is kept", |status| status["copies_waiting"] == 0);
    let before = status(&other);
    upstream.kill();
    let restored = Machine::of(&other).json(&place.fresh("three"), &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert_eq!(describe(&one), describe(&place.path("three")));
    assert_eq!(status(&other)["bytes_down"], before["bytes_down"]);
}

#[test]
fn what_a_node_acknowledged_is_sent_after_kill_9_once_the_upstream_is_there() {
    let place = Place::new();
    let one = place.fresh("one");
    make_tree(&one);
    let node = place.node("a");
    let start = Instant::now();
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    let restored = Machine::of(&node).json(&place.fresh("near"), &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "alone, a node is a cache of its own: {restored}");
    assert!(start.elapsed() < SOON / 2, "nobody waits for an upstream that is away");
    let waiting = status(&node);
    assert_eq!((&waiting["spool_entries"], &waiting["reachable"]), (&1.into(), &false.into()), "{waiting}");
    node.kill();

    let node = place.node("a");
    assert_eq!(status(&node)["spool_entries"], 1);
    let _upstream = place.upstream();
    wait_until(&node, "everything is sent", is_sent);
    let other = place.node("b");
    assert_eq!(Machine::of(&other).json(&place.fresh("far"), &["restore", "key"])["result"], "hit");
    assert_eq!(describe(&one), describe(&place.path("far")));
}

/// A tree that takes a while to be moved.
fn make_large_tree(root: &Path) {
    fs::create_dir_all(root.join("tree")).unwrap();
    for number in 0..12_u64 {
        let mut state = number + 1;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        });
        let bytes: Vec<u8> = noise.take(1_500_000).flat_map(u32::to_le_bytes).collect();
        fs::write(root.join(format!("tree/{number}")), bytes).unwrap();
    }
}

#[test]
fn a_push_that_the_upstream_s_death_breaks_off_is_done_when_it_is_back() {
    let place = Place::new();
    let upstream = place.upstream();
    let one = place.fresh("one");
    make_large_tree(&one);
    let node = place.node("a");
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    wait_until(&node, "something is sent", |status| status["bytes_up"].as_u64() > Some(0));
    upstream.kill();
    let _upstream = place.upstream();
    wait_until(&node, "everything is sent", is_sent);
    let other = place.node("b");
    let restored = Machine::of(&other).json(&place.fresh("two"), &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert_eq!(describe(&one), describe(&place.path("two")));
}

#[test]
fn a_restore_that_the_upstream_s_death_breaks_off_fails_no_job_and_goes_on_later() {
    let place = Place::new();
    let upstream = place.upstream();
    let one = place.fresh("one");
    make_large_tree(&one);
    let node = place.node("a");
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    wait_until(&node, "everything is sent", is_sent);
    let other = place.node("b");
    let machine = Machine::of(&other);
    let two = place.fresh("two");
    let mut restoring = machine.command(&two, &["--quiet", "restore", "key"]).spawn().unwrap();
    wait_until(&other, "something came", |status| status["bytes_down"].as_u64() > Some(1 << 20));
    upstream.kill();
    assert!(restoring.wait().unwrap().success(), "a fault of the cache fails no job");
    for name in fs::read_dir(two.join("tree")).into_iter().flatten() {
        let name = name.unwrap().file_name();
        if name.to_string_lossy().parse::<u64>().is_ok() {
            assert!(fs::read(two.join("tree").join(&name)).unwrap() == fs::read(one.join("tree").join(&name)).unwrap());
        }
    }
    let _upstream = place.upstream();
    wait_until(&other, "the upstream is back", |status| status["reachable"] == true);
    let restored = machine.json(&two, &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert_eq!(describe(&one), describe(&two));
}

#[test]
fn an_upstream_that_never_answers_holds_up_one_lookup_for_seconds_and_no_other() {
    let place = Place::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let node = place.node_below("a", &format!("http://{}", silent.local_addr().unwrap()), "");
    let machine = Machine::of(&node);
    let start = Instant::now();
    let missed = machine.json(&place.fresh("one"), &["restore", "key"]);
    assert_eq!(missed["result"], "miss", "{missed}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(status(&node)["reachable"], false);
    make_tree(&place.path("one"));
    let start = Instant::now();
    assert_eq!(machine.json(&place.path("one"), &["save", "key", "tree"])["result"], "saved");
    assert_eq!(machine.json(&place.fresh("two"), &["restore", "key"])["result"], "hit");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn the_first_write_wins_above_and_the_other_is_noted() {
    let place = Place::new();
    let one = place.fresh("one");
    make_tree(&one);
    let node = place.node("a");
    // While the upstream is away, both are first.
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    fs::write(one.join("tree/mine"), "the other's").unwrap();
    let other = place.node("b");
    assert_eq!(Machine::of(&other).json(&one, &["save", "key", "tree"])["result"], "saved");
    other.kill();
    let _upstream = place.upstream();
    wait_until(&node, "everything is sent", is_sent);
    let other = place.node("b");
    let sent = wait_until(&other, "everything is sent", is_sent);
    assert_eq!(sent["conflicts"], 1, "{sent}");
    assert_eq!(sent["notes"], serde_json::json!([]), "the notes name keys, and this node knows no operator");
    let restored = Machine::of(&other).json(&place.fresh("two"), &["restore", "key"]);
    assert_eq!(restored["result"], "hit", "{restored}");
    assert!(!place.path("two/tree/mine").exists(), "what counts is what is above");
}

#[test]
fn a_node_of_a_pull_request_reads_what_is_trusted_and_changes_none_of_it() {
    let place = Place::new();
    let _upstream = place.upstream();
    let one = place.fresh("one");
    make_tree(&one);
    let node = place.node("a");
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    wait_until(&node, "everything is sent", is_sent);
    let pull = place.node_below("p", &place.upstream_url(), "token = 'pull'\nscope = 'pr/7'");
    let machine = Machine::of(&pull);
    let two = place.fresh("two");
    assert_eq!(machine.json(&two, &["restore", "key"])["result"], "hit");
    fs::write(two.join("tree/evil"), "").unwrap();
    machine.json(&two, &["save", "--replace", "key", "tree"]);
    machine.json(&two, &["save", "evil", "tree"]);
    let sent = wait_until(&pull, "everything is sent", is_sent);
    assert_eq!((&sent["pushed"], &sent["refused"]), (&2.into(), &0.into()), "{sent}");
    let fresh = place.node("b");
    assert_eq!(Machine::of(&fresh).json(&place.fresh("three"), &["restore", "evil"])["result"], "miss");
    assert_eq!(Machine::of(&fresh).json(&place.path("three"), &["restore", "key"])["result"], "hit");
    assert_eq!(describe(&one), describe(&place.path("three")));
    // One that claims more than its token gives keeps it to itself.
    let claims = place.node_below("c", &place.upstream_url(), "token = 'pull'\nscope = 'trusted'");
    assert_eq!(Machine::of(&claims).json(&two, &["save", "claimed", "tree"])["result"], "saved");
    assert_eq!(wait_until(&claims, "everything is sent", is_sent)["refused"], 1);
    assert_eq!(Machine::of(&fresh).json(&place.path("three"), &["restore", "claimed"])["result"], "miss");
}

#[test]
fn no_job_looks_after_a_node_and_whoever_is_on_its_machine_sees_its_numbers() {
    let place = Place::new();
    let _upstream = place.upstream();
    let one = place.fresh("one");
    make_tree(&one);
    let node = place.node("a");
    assert_eq!(Machine::of(&node).json(&one, &["save", "key", "tree"])["result"], "saved");
    for head in ["POST /gc?quota=1", "POST /jobs/eviction", "POST /tokens", "DELETE /tokens/1", "GET /tokens"] {
        let (status, said) = ask(&node, head);
        assert_eq!(status, 403, "{head}: {said}");
        assert!(said.contains("admin = true"), "{head}: {said}");
    }
    for page in ["/healthz", "/status", "/metrics", "/jobs"] {
        assert_eq!(ask(&node, &format!("GET {page}")).0, 200, "{page}");
    }
    assert_eq!(Machine::of(&node).json(&place.fresh("two"), &["restore", "key"])["result"], "hit");
}

#[test]
fn a_server_listens_on_a_socket_for_those_whom_its_mode_lets_in() {
    let place = Place::new();
    let socket = place.path("larder.sock");
    let url = format!("unix:{}", socket.display());
    let listen = format!("127.0.0.1:0,{url}");
    let server = Server::listening(&listen, &place.path("data"), &[]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let one = place.fresh("one");
    make_tree(&one);
    let machine = Machine::with_url(&url);
    assert_eq!(machine.json(&one, &["save", "key", "tree"])["result"], "saved");
    assert_eq!(Machine::of(&server).json(&place.fresh("two"), &["restore", "key"])["result"], "hit");
    assert_eq!(describe(&one), describe(&place.path("two")));
    // A killed server leaves its name behind; the next takes it over, and one that runs keeps it.
    server.kill();
    assert!(UnixStream::connect(&socket).is_err());
    let server = Server::listening(&url, &place.path("data"), &[]);
    assert_eq!(server.url(), url);
    let second = crate::server::command().args(["serve", "--listen", &url, "--data"]).arg(place.path("else")).output();
    let second = second.unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("cannot listen on unix:"), "{second:?}");
    assert_eq!(machine.json(&place.fresh("three"), &["restore", "key"])["result"], "hit");
    assert!(server.stop());
    assert!(!socket.exists());
}
