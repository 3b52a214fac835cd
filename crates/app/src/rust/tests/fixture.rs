//! A small workspace with every kind of dependency, and cargo to build it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::run_process;
use crate::rust::project::{Project, Selection};
use crate::rust::{Listing, RustPlan, plan};

/// A workspace below a temporary directory, with a `CARGO_HOME` of its own.
pub(super) struct Fixture {
    pub(super) directory: tempfile::TempDir,
    pub(super) environment: BTreeMap<OsString, OsString>,
}

/// One line of `--message-format=json`.
#[derive(serde::Deserialize)]
pub(super) struct Message {
    pub(super) reason: String,
    #[serde(default)]
    pub(super) package_id: String,
    #[serde(default)]
    pub(super) filenames: Vec<PathBuf>,
    pub(super) fresh: Option<bool>,
    pub(super) out_dir: Option<PathBuf>,
}

impl Message {
    /// Whether cargo itself says that the package is of a registry or a git repository.
    pub(super) fn is_third_party(&self) -> bool {
        self.package_id.starts_with("registry+") || self.package_id.starts_with("git+")
    }
}

impl Fixture {
    /// An empty directory and an environment for cargo in which nothing of this build's own is left.
    pub(super) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os()
            .filter(|(name, _)| {
                let name = name.to_string_lossy();
                name.starts_with("RUSTUP_") || !(name.starts_with("CARGO") || name.starts_with("RUST"))
            })
            .collect();
        environment.insert("CARGO_HOME".into(), directory.path().join("home").into());
        environment.insert("GIT_CONFIG_GLOBAL".into(), "/dev/null".into());
        Self { directory, environment }
    }

    /// The workspace with all its dependencies downloaded; `None`, said loudly, when crates.io is away.
    pub(super) fn with_dependencies() -> Option<Self> {
        Self::fetched("lz4-sys = \"1\"\n", "unsafe { lz4_sys::LZ4_versionNumber() }")
    }

    /// The same without the dependency that compiles C.
    pub(super) fn without_native_code() -> Option<Self> {
        Self::fetched("", "0")
    }

    fn fetched(native: &str, version: &str) -> Option<Self> {
        let fixture = Self::empty();
        fixture.write_git_dependency();
        fixture.write_workspace(native, version);
        let fetched = fixture.cargo(&["fetch"]);
        if !fetched.status.success() {
            eprintln!(
                "SKIPPED: cargo cannot fetch from crates.io, so nothing here was tested: {}",
                String::from_utf8_lossy(&fetched.stderr)
            );
            return None;
        }
        Some(fixture)
    }

    pub(super) fn project_directory(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.insert(name.into(), value.into());
    }

    pub(super) fn project(&self) -> Project {
        let directory = self.project_directory();
        Project::from_environment(directory, self.environment.clone(), "test-1".to_owned(), Selection::default())
            .unwrap()
    }

    pub(super) fn plan(&self) -> RustPlan {
        plan(&self.project(), &run_process).unwrap()
    }

    pub(super) fn cargo(&self, arguments: &[&str]) -> Output {
        self.run("cargo", arguments, &self.project_directory())
    }

    /// What cargo says it built or found fresh.
    pub(super) fn build(&self, arguments: &[&str]) -> Vec<Message> {
        let output = self.cargo(&[arguments, &["--locked", "--message-format=json"]].concat());
        assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn run(&self, program: &str, arguments: &[&str], directory: &Path) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory).env_clear().envs(&self.environment);
        command.output().unwrap_or_else(|error| panic!("cannot run {program}: {error}"))
    }

    fn write_git_dependency(&self) {
        self.write(
            "git-dep/Cargo.toml",
            "[package]\nname = \"git-dep\"\nversion = \"0.3.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n",
        );
        self.write(
            "git-dep/build.rs",
            "fn main() {\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
             std::fs::write(format!(\"{out}/generated.rs\"), \"pub const ANSWER: u32 = 42;\").unwrap();\n    \
             println!(\"cargo:rerun-if-changed=src\");\n}\n",
        );
        self.write("git-dep/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));\n");
        let directory = self.directory.path().join("git-dep");
        let author = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        for arguments in [&["init", "-q"][..], &["add", "-A"], &[&author[..], &["commit", "-qm", "first"]].concat()] {
            let output = self.run("git", arguments, &directory);
            assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn write_workspace(&self, native: &str, version: &str) {
        // The member `itoa` has the name and the version of a package from the registry that is also built.
        self.write(
            "project/Cargo.toml",
            "[workspace]\nmembers = [\"app\", \"itoa\"]\nresolver = \"2\"\n[profile.dev]\ndebug = 0\n",
        );
        let git = self.directory.path().join("git-dep");
        self.write(
            "project/app/Cargo.toml",
            &format!(
                "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
                 itoa = \"=1.0.15\"\nold-itoa = {{ package = \"itoa\", version = \"0.4\" }}\n\
                 own-itoa = {{ package = \"itoa\", path = \"../itoa\" }}\n{native}paste = \"1\"\n\
                 pin-project-lite = \"0.2\"\ngit-dep = {{ git = \"file://{}\" }}\n\
                 [dev-dependencies]\nfastrand = \"2\"\n",
                git.display()
            ),
        );
        self.write(
            "project/app/src/main.rs",
            &format!(
                "paste::paste! {{ const [<ANS WER>]: u32 = git_dep::ANSWER; }}\nfn main() {{\n    \
                 println!(\"{{}} {{}} {{}}\", itoa::Buffer::new().format(ANSWER), {version}, own_itoa::WHO);\n    \
                 old_itoa::write(std::io::stdout(), 1).unwrap();\n}}\n\
                 #[test]\nfn draws() {{\n    fastrand::u32(..);\n}}\n"
            ),
        );
        self.write("project/itoa/Cargo.toml", "[package]\nname = \"itoa\"\nversion = \"1.0.15\"\nedition = \"2021\"\n");
        self.write("project/itoa/src/lib.rs", "pub const WHO: &str = \"the workspace's own\";\n");
    }
}

/// Copies what a listing names, with permissions and modification times and nothing else.
pub(super) fn restore(listing: &Listing, from: &Path, to: &Path) {
    for path in &listing.paths {
        let (from, to) = (from.join(path), to.join(path));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let metadata = fs::symlink_metadata(&from).unwrap();
        if metadata.is_dir() {
            fs::create_dir_all(&to).unwrap();
        } else if metadata.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            fs::copy(&from, &to).unwrap();
            let times = fs::FileTimes::new().set_modified(metadata.modified().unwrap());
            fs::File::options()
                .write(true)
                .open(&to)
                .or_else(|_| fs::File::open(&to))
                .unwrap()
                .set_times(times)
                .unwrap();
        }
    }
}

/// All files below a directory as (path, size, modification time), sorted.
pub(super) fn snapshot(directory: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                ahead.push(entry.path());
            } else {
                found.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
            }
        }
    }
    found.sort();
    found
}
