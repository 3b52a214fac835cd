//! A machine for tests: folders of its own, and recorded answers of tools.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::{Duration, SystemTime};

use larder_base::Timestamp;

use super::{Identity, Plan, Project, Recipe};
use crate::program::Invocation;

/// The moment it is there: 2023-11-14.
pub(super) const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A machine with a project in `project` and a user in `home`; tools that it has no answer of are not installed.
pub(super) struct Machine {
    folder: tempfile::TempDir,
    answers: BTreeMap<String, (i32, String)>,
    environment: BTreeMap<OsString, OsString>,
    pub(super) os: &'static str,
    pub(super) job: Option<&'static str>,
    /// What was asked so far.
    pub(super) asked: RefCell<Vec<Asked>>,
}

/// A tool that was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) command: String,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<OsString, OsString>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("project")).unwrap();
        let home = folder.path().join("home").into_os_string();
        Self {
            folder,
            answers: BTreeMap::new(),
            environment: BTreeMap::from([("HOME".into(), home)]),
            os: "linux",
            job: None,
            asked: RefCell::default(),
        }
    }

    /// A path below the machine's folder.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, with its folders, as of the present moment there.
    pub(super) fn write(&self, path: &str, content: &str) {
        self.write_aged(path, content, Duration::ZERO);
    }

    /// As [`Machine::write`], as of a time ago.
    pub(super) fn write_aged(&self, path: &str, content: &str, age: Duration) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + NOW - age).unwrap();
    }

    /// Records an answer; `HERE` in it is the machine's folder.
    pub(super) fn answer(&mut self, command: &str, answer: &str) {
        let answer = answer.replace("HERE", self.folder.path().to_str().unwrap());
        self.answers.insert(command.to_owned(), (0, answer));
    }

    /// Records a failure that prints something all the same.
    pub(super) fn failure(&mut self, command: &str, said: &str) {
        self.answers.insert(command.to_owned(), (1, said.to_owned()));
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.insert(name.into(), value.into());
    }

    /// Hands the project to a test.
    pub(super) fn with<R>(&self, test: impl FnOnce(&Project<'_>) -> R) -> R {
        let run = |invocation: &Invocation<'_>| {
            let command = invocation.to_string();
            self.asked.borrow_mut().push(Asked {
                command: command.clone(),
                directory: invocation.directory.to_owned(),
                environment: invocation.environment.clone(),
            });
            let (code, said) =
                self.answers.get(&command).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, command))?;
            let status = ExitStatus::from_raw(code << 8);
            Ok(Output { status, stdout: said.clone().into_bytes(), stderr: b"warn: something else\n".to_vec() })
        };
        test(&Project {
            directory: self.path("project"),
            environment: self.environment.clone(),
            system: "debian-12".into(),
            os: self.os.into(),
            arch: "x86_64".into(),
            now: Timestamp::from_millis(u64::try_from(NOW.as_millis()).unwrap()),
            job: self.job.map(str::to_owned),
            run: &run,
        })
    }

    pub(super) fn identify(&self, recipe: &dyn Recipe) -> Identity {
        self.with(|project| recipe.identify(project)).unwrap()
    }

    pub(super) fn key(&self, recipe: &dyn Recipe) -> String {
        self.identify(recipe).key.to_string()
    }

    pub(super) fn plan(&self, recipe: &dyn Recipe) -> Plan {
        self.with(|project| recipe.plan(project)).unwrap()
    }

    /// What a plan takes of a root, sorted.
    pub(super) fn taken(&self, recipe: &dyn Recipe, root: &str) -> Vec<String> {
        let plan = self.plan(recipe);
        let at = plan.identity.places.iter().position(|(name, _)| *name == root).unwrap();
        let mut taken: Vec<String> =
            plan.listings[at].paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        taken.sort();
        taken
    }

    /// Where a root lies, below the machine's folder.
    pub(super) fn place(&self, recipe: &dyn Recipe, root: &str) -> PathBuf {
        let identity = self.identify(recipe);
        let (_, path) = identity.places.iter().find(|(name, _)| *name == root).unwrap();
        path.strip_prefix(self.folder.path()).map_or_else(|_| path.clone(), Path::to_owned)
    }

    /// Whether the recipe applies to the project.
    pub(super) fn detects(&self, recipe: &dyn Recipe) -> bool {
        self.with(|project| !recipe.detect(project).is_empty())
    }
}
