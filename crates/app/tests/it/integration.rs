//! docs/ci.md and the action in this repository, as far as they can run without the machines of a CI.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::server::{Machine, Server};

mod buildkite;
mod github;
mod gitlab;
mod shell;
mod yaml;

/// The folder of this repository.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What `make test` is here: it says whether the cache of npm was restored, fills it, and fails if it is told to.
const MAKE: &str = r#"#!/bin/sh
echo "make $1: $(cat "$HOME/.npm/_cacache/content-v2/aa" 2>/dev/null || echo cold)"
mkdir -p "$HOME/.npm/_cacache/content-v2"
echo warm >"$HOME/.npm/_cacache/content-v2/aa"
exit "$MAKE_CODE"
"#;

/// A machine on which a CI runs jobs, with a checkout of a project.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ci").tempdir_in("/tmp").unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        let site = Self { folder, server };
        for name in ["checkout", "home", "bin", "temp"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        fs::write(site.path("checkout/package-lock.json"), "{}").unwrap();
        fs::write(site.path("bin/make"), MAKE).unwrap();
        fs::set_permissions(site.path("bin/make"), fs::Permissions::from_mode(0o755)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in the checkout, in the surroundings that a job has.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>, make: Make) -> Command {
        let larder = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
        let path =
            [larder.to_str().unwrap(), self.path("bin").to_str().unwrap(), "/usr/local/bin:/usr/bin:/bin"].join(":");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("LARDER_URL", self.server.url())
            .env("LARDER_NAMESPACE", "test")
            .env("MAKE_CODE", if make == Make::Fails { "3" } else { "0" })
            .current_dir(self.path("checkout"))
            .stdin(Stdio::null());
        command
    }

    /// Makes this a fresh machine, which knows nothing of earlier jobs.
    fn wipe(&self) {
        for name in ["home", "temp"] {
            fs::remove_dir_all(self.path(name)).unwrap();
            fs::create_dir(self.path(name)).unwrap();
        }
    }

    fn saved(&self) -> String {
        let listed = Machine::of(&self.server).larder(&self.path("checkout"), &["list"]);
        String::from_utf8(listed.stdout).unwrap()
    }
}

/// How the job's own work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Succeeds,
    Fails,
}

/// What a job said and how it ended.
#[derive(Debug, Default)]
struct Job {
    said: String,
    fails: bool,
}

impl Job {
    /// Adds what a step did.
    fn add(&mut self, step: &Output) {
        self.said += &super::job::said(step);
        self.fails |= !step.status.success();
    }
}

/// What every integration promises: a failed job saves nothing, one that succeeds does, and the next one finds it.
fn keeps_its_promise(run: impl Fn(&Site, Make) -> Job) {
    let site = Site::new();
    let failed = run(&site, Make::Fails);
    assert!(failed.fails && failed.said.contains("make test: cold"), "{}", failed.said);
    assert_eq!(site.saved(), "", "{}", failed.said);
    site.wipe();
    let first = run(&site, Make::Succeeds);
    assert!(!first.fails && first.said.contains("make test: cold"), "{}", first.said);
    assert!(site.saved().contains("node-"), "{}", first.said);
    site.wipe();
    let second = run(&site, Make::Succeeds);
    assert!(!second.fails && second.said.contains("make test: warm"), "{}", second.said);
    assert!(second.said.contains("unchanged: node-"), "{}", second.said);
    assert_eq!(fs::read_dir(site.path("temp")).unwrap().count(), 0, "a job leaves nothing: {}", second.said);
}

/// The blocks of docs/ci.md below a heading that are marked with a language, in order.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("docs/ci.md")).unwrap();
    let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n')).unwrap();
    let blocks = section.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| Some(block.strip_prefix(language)?.strip_prefix('\n')?.to_owned())).collect()
}
