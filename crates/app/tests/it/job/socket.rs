//! The socket of a job: who may ask, and what becomes of those who ask badly.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use larder_testkit::clients::skip;
use serde_json::{Value, json};

use super::{Place, kill_server, said};
use crate::server::{PATIENCE, command};

/// A user and a group that are nobody's.
const NOBODY: u32 = 65534;

/// Sends bytes and gives the answer.
fn exchange(state: &Path, bytes: &[u8]) -> Value {
    let mut stream = UnixStream::connect(state.join("socket")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let mut head = [0; 8];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[..4], 1u32.to_le_bytes());
    let mut body = vec![0; u32::from_le_bytes(head[4..].try_into().unwrap()) as usize];
    stream.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn frame(version: u32, body: &[u8]) -> Vec<u8> {
    [&version.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), body].concat()
}

fn refused(answer: &Value) -> (&str, bool) {
    assert_eq!(answer["answer"], "refused", "{answer}");
    (answer["kind"].as_str().unwrap(), answer["retry"].as_bool().unwrap())
}

#[test]
fn bad_requests_are_answered_by_their_kind_and_the_job_goes_on() {
    let place = Place::new();
    let state = place.begin();
    let post = json!({"request": "post", "name": "n", "when": "always", "uid": 0,
        "command": {"program": "p", "arguments": [], "environment": [], "directory": "/"}});
    for (bytes, kind) in [
        (frame(2, b"{\"request\":\"status\"}"), "invalid"),
        (frame(1, b"not json"), "invalid"),
        (frame(1, b"{\"request\":\"rule-the-world\"}"), "invalid"),
        (frame(1, post.to_string().as_bytes()), "invalid"),
        ([&1u32.to_le_bytes()[..], &u32::MAX.to_le_bytes()].concat(), "too-large"),
        ([&1u32.to_le_bytes()[..], &((8 << 20) + 1u32).to_le_bytes(), b"{}"].concat(), "too-large"),
    ] {
        let answer = exchange(&state, &bytes);
        assert_eq!(refused(&answer), (kind, false), "{answer}");
    }
    // One that stops in the middle, and one that says nothing, hold up nobody else.
    let mut half = UnixStream::connect(state.join("socket")).unwrap();
    half.write_all(&frame(1, b"{\"request\":\"status\"}")[..12]).unwrap();
    let mut silent = UnixStream::connect(state.join("socket")).unwrap();
    assert_eq!(exchange(&state, &frame(1, b"{\"request\":\"status\"}")), json!({"answer": "queued", "tasks": []}));
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).unwrap();
    let answer: Value = serde_json::from_slice(&answer[8..]).unwrap();
    assert_eq!(refused(&answer), ("unavailable", true));
    drop(half);
    assert!(place.step(&["--strict", "job", "end"]).status.success());
}

#[test]
fn more_askers_than_a_job_serves_at_once_are_told_to_come_again() {
    let place = Place::new();
    let state = place.begin();
    let idle: Vec<_> = (0..32).map(|_| UnixStream::connect(state.join("socket")).unwrap()).collect();
    let answer = exchange(&state, &frame(1, b"{\"request\":\"status\"}"));
    assert_eq!(refused(&answer), ("unavailable", true));
    drop(idle);
    place.post("always", "name", "echo ran >> log");
    assert!(place.step(&["--strict", "job", "end"]).status.success());
    assert_eq!(place.log(), "ran\n");
}

/// Runs `larder` as another user.
fn as_nobody(place: &Place, arguments: &[&str]) -> Output {
    let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()];
    let mut setpriv = Command::new("setpriv");
    setpriv.args(ids).arg(env!("CARGO_BIN_EXE_larder")).args(arguments).current_dir(place.path(""));
    setpriv.env("LARDER_JOB", place.path("state")).env("HOME", "/nonexistent").output().unwrap()
}

/// Whether this process can become another user; says so if not.
fn can_change_user() -> bool {
    let can = rustix::process::geteuid().is_root() && Command::new("setpriv").arg("--version").output().is_ok();
    if !can {
        skip("a job of several users: needs root and setpriv");
    }
    can
}

#[test]
fn a_job_of_root_runs_each_users_commands_as_that_user_and_shows_nobody_those_of_others() {
    if !can_change_user() {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    place.begin();
    place.post("always", "roots", "id -u >> log; chmod 666 log");
    let posted =
        as_nobody(&place, &["--strict", "post", "always", "theirs", "--", "sh", "-c", "id -u > own; id -G >> own"]);
    assert!(posted.status.success(), "{}", said(&posted));
    let taken = as_nobody(&place, &["--strict", "post", "always", "roots", "--", "true"]);
    assert!(!taken.status.success() && said(&taken).contains("another user"), "{}", said(&taken));
    let shown = as_nobody(&place, &["--json", "job", "status"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["commands"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!((&shown["commands"][0]["name"], &shown["commands"][0]["uid"]), (&json!("theirs"), &json!(NOBODY)));
    let ended = as_nobody(&place, &["--strict", "job", "end"]);
    assert!(!ended.status.success() && said(&ended).contains("may not end it"), "{}", said(&ended));
    assert!(place.step(&["--strict", "job", "end"]).status.success());
    assert_eq!(place.log(), "0\n");
    assert_eq!(fs::read_to_string(place.path("own")).unwrap(), format!("{NOBODY}\n{NOBODY}\n"));
}

#[test]
fn a_job_of_a_user_refuses_commands_of_others_clearly() {
    if !can_change_user() {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let state = place.path("state");
    let begun = as_nobody(&place, &["--strict", "job", "begin", "--state", state.to_str().unwrap()]);
    assert!(begun.status.success(), "{}", said(&begun));
    let posted = place.step(&["--strict", "post", "always", "name", "--", "true"]);
    assert!(
        !posted.status.success() && said(&posted).contains("only root can run commands as others"),
        "{}",
        said(&posted)
    );
    let mut other = command();
    other.args(["--strict", "post", "always", "name", "--", "true"]).env("LARDER_JOB", "/nonexistent");
    assert_eq!(other.output().unwrap().status.code(), Some(1));
    // What is in the folder is another's to write, so it says nothing of what root wants to run.
    let ended = place.step(&["--strict", "job", "end"]);
    assert!(!ended.status.success() && said(&ended).contains("may not end it"), "{}", said(&ended));
    kill_server(&state);
    let ended = place.step(&["--strict", "job", "end"]);
    assert!(!ended.status.success() && said(&ended).contains("is of uid"), "{}", said(&ended));
    assert!(as_nobody(&place, &["--strict", "job", "end"]).status.success());
    assert!(!state.exists());
}
