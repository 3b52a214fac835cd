//! One line at a job's start: what it restores is saved at the job's end.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{said, surround};
use crate::server::{Machine, Server};

/// A machine with a server, on which jobs run.
struct Site {
    folder: tempfile::TempDir,
    _server: Server,
    machine: Machine,
    token: Option<&'static str>,
}

impl Site {
    fn new(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), flags);
        let machine = Machine::of(&server);
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder, _server: server, machine, token: None }
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    /// A checkout as a fresh worker has it.
    fn wipe(&self) {
        fs::remove_dir_all(self.work()).unwrap();
        fs::create_dir(self.work()).unwrap();
    }

    fn run(&self, command: &mut Command) -> Output {
        surround(command);
        command.envs(self.token.map(|token| ("LARDER_TOKEN", token))).output().unwrap()
    }

    fn job(&self, script: &str) -> Output {
        let mut command = self.machine.command(&self.work(), &["--strict", "job", "run", "sh", "-c", script]);
        self.run(&mut command)
    }

    fn restored(&self, key: &str) -> Value {
        let mut command = self.machine.command(&self.work(), &["--json", "restore", key]);
        serde_json::from_slice(&self.run(&mut command).stdout).unwrap()
    }
}

const RESTORE: &str = "larder restore key --fallback k --save-at-end out";

#[test]
fn one_line_at_the_start_restores_and_saves_and_sends_nothing_when_nothing_changed() {
    let site = Site::new(&[]);
    let first = site.job(&format!("{RESTORE} && mkdir out && echo built > out/file"));
    assert!(first.status.success() && said(&first).contains("saved key: 1 file,"), "{}", said(&first));
    site.wipe();
    let second = site.job(&format!("{RESTORE} && cat out/file"));
    assert!(second.status.success() && said(&second).contains("built"), "{}", said(&second));
    assert!(said(&second).contains("unchanged: key"), "{}", said(&second));
    let third = site.job(&format!("{RESTORE} -C . && echo changed > out/file"));
    assert!(third.status.success() && said(&third).contains("skipped key"), "what is saved stays: {}", said(&third));
}

#[test]
fn a_failed_job_saves_only_when_that_was_asked_for() {
    let site = Site::new(&[]);
    let script = |flag: &str| format!("mkdir -p out && echo half > out/file && larder restore key {flag} out; exit 3");
    let failed = site.job(&script("--save-at-end"));
    assert_eq!(failed.status.code(), Some(3), "{}", said(&failed));
    assert_eq!(site.restored("key")["result"], "miss");
    let failed = site.job(&script("--save-at-end=always"));
    assert_eq!(failed.status.code(), Some(3), "{}", said(&failed));
    assert_eq!(site.restored("key")["result"], "hit");
}

#[test]
fn without_a_job_a_restore_says_so_in_one_line_and_goes_on() {
    let site = Site::new(&[]);
    let mut command = site.machine.command(&site.work(), &["--strict", "restore", "key", "--save-at-end", "out"]);
    let restored = site.run(&mut command);
    assert!(restored.status.success(), "{}", said(&restored));
    let said = String::from_utf8(restored.stderr).unwrap();
    assert_eq!(said.lines().filter(|line| line.contains("no job is open here")).count(), 1, "{said}");
    assert!(said.contains("nothing saved under key"), "{said}");
}

#[test]
fn a_job_that_may_only_read_leaves_its_save_out_and_does_not_fail() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("larder.toml");
    let hash = |token: &str| larder_base::ContentHash::of(token.as_bytes()).to_hex();
    let credential =
        |name: &str, rest: &str| format!("[[credentials]]\nname = '{name}'\ntoken_sha256 = '{}'\n{rest}\n", hash(name));
    fs::write(&config, credential("writer", "write = 'trusted'") + &credential("reader", "")).unwrap();
    let mut site = Site::new(&["--config", config.to_str().unwrap()]);
    let script = format!("{RESTORE}; mkdir -p out && echo built > out/file");
    site.token = Some("reader");
    let read = site.job(&script);
    assert!(read.status.success() && said(&read).contains("skipped key"), "{}", said(&read));
    assert_eq!(site.restored("key")["result"], "miss");
    site.token = Some("writer");
    assert!(site.job(&script).status.success());
    assert_eq!(site.restored("key")["result"], "hit");
}

#[test]
fn a_token_that_was_given_as_a_flag_reaches_the_save_and_no_list_of_processes() {
    let site = Site::new(&[]);
    let script = "mkdir out && echo x > out/file
        larder restore key --token secret-token --namespace other --save-at-end out; larder job status";
    let ended = site.job(script);
    assert!(ended.status.success() && !said(&ended).contains("secret-token"), "{}", said(&ended));
    assert_eq!(site.restored("key")["result"], "miss");
    let mut command = site.machine.command(&site.work(), &["--json", "--namespace", "other", "restore", "key"]);
    let restored: Value = serde_json::from_slice(&site.run(&mut command).stdout).unwrap();
    assert_eq!(restored["result"], "hit", "{restored}");
}

fn with_npm(site: &Site, script: &str) -> Output {
    let home = site.folder.path().join("home");
    fs::write(site.work().join("package-lock.json"), "{}").unwrap();
    let mut command = site.machine.command(&site.work(), &["--strict", "job", "run", "sh", "-c", script]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.to_lowercase().starts_with("npm_")) {
        command.env_remove(name);
    }
    command.env("HOME", home);
    site.run(&mut command)
}

#[test]
fn recipes_and_auto_save_under_the_key_that_they_restored() {
    let site = Site::new(&[]);
    let stored = "mkdir -p ~/.npm/_cacache/content-v2 && echo of npm > ~/.npm/_cacache/content-v2/aa";
    let first = with_npm(&site, &format!("larder auto restore --job=a --save-at-end && {stored}"));
    assert!(first.status.success() && said(&first).contains("node: saved node-"), "{}", said(&first));
    fs::remove_dir_all(site.folder.path().join("home/.npm")).unwrap();
    let second = with_npm(&site, "larder node restore --job a --save-at-end && cat ~/.npm/_cacache/content-v2/aa");
    assert!(second.status.success() && said(&second).contains("of npm"), "{}", said(&second));
    assert!(
        said(&second).contains("restored node-") && said(&second).contains("unchanged: node-"),
        "{}",
        said(&second)
    );
    assert!(!Path::new(&site.work()).join(".npm").exists());
}
