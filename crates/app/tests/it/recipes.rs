//! The recipes with real tools: what comes back after everything was wiped lets the tool work without the network.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use larder_testkit::clients::{client, skip};
use serde_json::Value;

use crate::server::{Machine, Server};

mod tools;

/// A project and a user's home on a machine with a server.
struct Job {
    folder: tempfile::TempDir,
    machine: Machine,
    _server: Server,
    /// What tools and Larder are told besides.
    environment: Vec<(String, String)>,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        let machine = Machine::of(&server);
        for name in ["project", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, machine, _server: server, environment: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Puts a program on the path, where Larder finds it too, wherever its client is.
    fn put_on_path(&mut self, name: &str, program: &Path) {
        let bin = self.path("bin");
        fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        self.set("PATH", &path);
    }

    /// Runs a program in the project, told nothing of this machine's own configuration.
    fn tool(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        self.surround(&mut command);
        command.args(arguments).current_dir(self.path("project")).output().unwrap()
    }

    fn surround(&self, command: &mut Command) {
        const OWN: [&str; 10] =
            ["XDG_", "PIP_FIND", "PIP_CACHE", "npm_", "NPM_", "GO", "CCACHE_", "UV_", "YARN_", "PNPM_"];
        for (name, _) in std::env::vars() {
            if OWN.iter().any(|start| name.starts_with(start)) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.path("home")).envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    fn larder(&self, arguments: &[&str]) -> Output {
        let mut command = self.machine.command(&self.path("project"), arguments);
        self.surround(&mut command);
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.larder(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", said(&output)))
    }

    /// Saves, takes away the whole home and these folders, and restores.
    fn save_wipe_restore(&self, recipe: &str, built: &[&str]) {
        let saved = self.json(&[recipe, "save"]);
        assert_eq!(saved["result"], "saved", "{saved}");
        assert_eq!(saved["warnings"], Value::Null, "{saved}");
        self.wipe(built);
        let restored = self.json(&[recipe, "restore"]);
        assert_eq!(restored["result"], "hit", "{restored}");
        assert_eq!(restored["files"], saved["files"]);
    }

    fn wipe(&self, built: &[&str]) {
        for folder in built.iter().map(|built| format!("project/{built}")).chain(["home".to_owned()]) {
            if self.path(&folder).exists() {
                fs::remove_dir_all(self.path(&folder)).unwrap();
            }
        }
        fs::create_dir(self.path("home")).unwrap();
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{err}", output.status)
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// A project with two tools, and what they would have in their caches.
fn two_tools() -> Job {
    let job = Job::new();
    job.write("project/package-lock.json", "{}");
    job.write("project/requirements.txt", "own==1.0\n");
    job.write("home/.npm/_cacache/content-v2/sha512/aa", "of npm");
    job.write("home/.cache/pip/wheels/own.whl", "of pip");
    job
}

fn results(json: &Value) -> Vec<(&str, &str)> {
    let all = json["recipes"].as_array().unwrap_or_else(|| panic!("{json}"));
    all.iter().map(|one| (one["recipe"].as_str().unwrap(), one["result"].as_str().unwrap())).collect()
}

#[test]
fn auto_saves_and_restores_every_tool_that_is_found() {
    let job = two_tools();
    let detected = job.json(&["auto", "detect"]);
    let because = |at: usize| detected["recipes"][at]["because"][0].as_str().unwrap();
    assert_eq!((because(0), because(1)), ("package-lock.json", "requirements.txt"), "{detected}");
    assert!(detected["recipes"][0]["key"].as_str().unwrap().starts_with("node-"), "{detected}");

    assert_eq!(results(&job.json(&["auto", "restore"])), [("node", "miss"), ("python", "miss")]);
    assert_eq!(results(&job.json(&["auto", "save"])), [("node", "saved"), ("python", "saved")]);
    assert_eq!(results(&job.json(&["auto", "save"])), [("node", "unchanged"), ("python", "unchanged")]);
    job.wipe(&[]);
    let output = job.larder(&["auto", "restore"]);
    succeeded(&output);
    let lines = String::from_utf8(output.stderr).unwrap();
    let told: Vec<&str> = lines.lines().filter(|line| line.contains("restored")).collect();
    assert!(told.len() == 2 && told[0].contains("node: ") && told[1].contains("python: "), "{lines}");
    assert_eq!(fs::read_to_string(job.path("home/.npm/_cacache/content-v2/sha512/aa")).unwrap(), "of npm");
    assert_eq!(fs::read_to_string(job.path("home/.cache/pip/wheels/own.whl")).unwrap(), "of pip");
}

#[test]
fn one_tool_that_fails_does_not_keep_the_others() {
    let job = two_tools();
    job.write("project/Cargo.lock", "no manifest is beside it");
    let saved = job.json(&["auto", "save"]);
    assert_eq!(results(&saved), [("rust", "failed"), ("node", "saved"), ("python", "saved")]);
    assert!(saved["recipes"][0]["reason"].as_str().unwrap().contains("Cargo.toml"), "{saved}");
    assert_eq!(job.larder(&["--strict", "auto", "save"]).status.code(), Some(1));
}

#[test]
fn where_no_tool_is_found_auto_says_so_and_saves_nothing() {
    let job = Job::new();
    job.write("home/.npm/_cacache/content-v2/sha512/aa", "of another project");
    for command in ["save", "restore", "detect"] {
        let output = job.larder(&["--strict", "auto", command]);
        succeeded(&output);
        assert!(said(&output).contains("nothing to do") && said(&output).contains("pom.xml"), "{}", said(&output));
        let json = job.json(&["auto", command]);
        assert_eq!(json["recipes"], serde_json::json!([]));
        assert!(json["reason"].is_string(), "{json}");
    }
    assert_eq!(job.json(&["list"])["entries"].as_array().unwrap().len(), 0);
}

#[test]
fn without_a_server_auto_skips_all_and_fails_no_build() {
    let mut job = two_tools();
    job.set("LARDER_URL", "http://127.0.0.1:9");
    for command in ["save", "restore"] {
        let skipped = job.json(&["auto", command]);
        assert_eq!(results(&skipped), [("node", "skipped"), ("python", "skipped")], "{skipped}");
        // Only the first waited for it.
        assert!(skipped["recipes"][0]["seconds"]["total"].is_number(), "{skipped}");
        assert!(skipped["recipes"][1]["seconds"]["total"].is_null(), "{skipped}");
        assert_eq!(skipped["recipes"][0]["reason"], skipped["recipes"][1]["reason"]);
        assert_eq!(job.larder(&["--strict", "auto", command]).status.code(), Some(1));
    }
}

#[test]
fn jobs_have_keys_of_their_own_and_start_from_each_others() {
    let job = two_tools();
    assert_eq!(job.json(&["node", "save", "--job", "test"])["result"], "saved");
    job.wipe(&[]);
    let restored = job.json(&["node", "restore", "--job", "lint"]);
    assert_eq!(restored["result"], "partial", "{restored}");
    let key = job.json(&["node", "key", "--job", "test"]);
    assert_eq!(restored["matched_key"], key["key"]);
    assert!(key["roots"]["npm"].as_str().unwrap().ends_with("/home/.npm/_cacache"), "{key}");
    assert!(!job.path("home/.cache/pip").exists(), "what an entry has not is not made");
}

#[test]
fn a_growing_cache_is_saved_again_under_its_key_and_a_locked_one_is_not() {
    let mut job = two_tools();
    let cache = job.path("home/ccache");
    job.set("CCACHE_DIR", cache.to_str().unwrap());
    for content in ["first", "second"] {
        job.write("home/ccache/0/1/abcR", content);
        job.write("home/.npm/_cacache/content-v2/sha512/aa", content);
        assert_eq!(job.json(&["ccache", "save"])["result"], "saved");
        let expected = if content == "first" { "saved" } else { "skipped" };
        assert_eq!(job.json(&["node", "save"])["result"], expected);
    }
    job.wipe(&[]);
    assert_eq!(job.json(&["ccache", "restore"])["result"], "hit");
    assert_eq!(fs::read_to_string(cache.join("0/1/abcR")).unwrap(), "second");
}

/// A ccache that only answers, and removes one file when it is told to clean up.
const CCACHE: &str = "#!/bin/sh\ncase $1 in\n--version) echo ccache version 9.9 ;;\n\
    --get-config) echo $HOME/own ;;\n--cleanup) rm $HOME/own/0/old ;;\n*) exit 1 ;;\nesac\n";

#[test]
fn a_tool_removes_what_it_does_not_use_only_where_that_is_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let mut job = Job::new();
    job.write("ccache", CCACHE);
    fs::set_permissions(job.path("ccache"), fs::Permissions::from_mode(0o755)).unwrap();
    job.put_on_path("ccache", &job.path("ccache"));
    job.write("home/own/0/old", "old");
    job.write("home/own/0/new", "new");
    assert_eq!(job.json(&["ccache", "save"])["files"], 2);
    assert!(job.path("home/own/0/old").exists());
    assert_eq!(job.json(&["ccache", "save", "--clean-up"])["files"], 1);
    assert!(!job.path("home/own/0/old").exists());
    let output = job.larder(&["ccache", "save", "--clean-up"]);
    succeeded(&output);
    assert!(said(&output).contains("`ccache --cleanup` did not clean up"), "{}", said(&output));
}
