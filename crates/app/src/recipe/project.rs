//! The project a recipe is asked about: all that comes from outside, handed in as values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Output;

use larder_base::Timestamp;

use crate::program::{Invocation, Runner};

/// What keeps tools that are only asked for a setting from downloading a version of themselves first, from looking for
/// updates, and from adding colours to the answer.
const QUIETLY: [(&str, &str); 7] = [
    ("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0"),
    ("COREPACK_ENABLE_NETWORK", "0"),
    ("GOTOOLCHAIN", "local"),
    ("NO_COLOR", "1"),
    ("NO_UPDATE_NOTIFIER", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("UV_OFFLINE", "1"),
];

/// A project on a machine.
#[derive(Clone)]
pub(crate) struct Project<'a> {
    /// The project's folder, absolute.
    pub(crate) directory: PathBuf,
    /// All environment variables; they are handed on to the tools.
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// The operating system's release, such as `debian-12`.
    pub(crate) system: String,
    /// The operating system, such as `linux`.
    pub(crate) os: String,
    /// The processor's architecture, such as `x86_64`.
    pub(crate) arch: String,
    /// The present moment.
    pub(crate) now: Timestamp,
    /// The user's word for what sets this build apart.
    pub(crate) job: Option<String>,
    /// Runs the tools.
    pub(crate) run: Runner<'a>,
}

impl Project<'_> {
    /// A variable's value, unless it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(OsStr::new(name)).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }

    /// The folder that a variable names; a relative one is meant from the project's.
    pub(super) fn variable_folder(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(|value| self.directory.join(value))
    }

    /// A folder below the home directory.
    pub(super) fn in_home(&self, folder: &str) -> Option<PathBuf> {
        self.variable("HOME").map(|home| Path::new(home).join(folder))
    }

    /// A folder below the home directory as Java has it: where the system says that the user lives, whatever `HOME` is.
    /// The two differ in containers that are given a home.
    pub(super) fn in_java_home(&self, folder: &str) -> Option<PathBuf> {
        let said = || {
            let user = self.ask(&["id", "-u"])?;
            let line = self.ask(&["getent", "passwd", &user])?;
            line.split(':').nth(5).filter(|home| home.starts_with('/')).map(|home| Path::new(home).join(folder))
        };
        if self.os == "linux" { said().or_else(|| self.in_home(folder)) } else { self.in_home(folder) }
    }

    /// A folder below the user's cache directory, where this operating system has it.
    pub(super) fn in_caches(&self, folder: &str) -> Option<PathBuf> {
        let caches = match self.os.as_str() {
            "macos" => self.in_home("Library/Caches"),
            _ => self.variable_folder("XDG_CACHE_HOME").or_else(|| self.in_home(".cache")),
        };
        caches.map(|caches| caches.join(folder))
    }

    /// What a tool answers in the project's folder, without blanks around it; `None` when it is not there, fails or says
    /// nothing.
    pub(super) fn ask(&self, command: &[&str]) -> Option<String> {
        self.ask_in(&self.directory, command)
    }

    /// As [`Project::ask`], in another folder.
    pub(super) fn ask_in(&self, directory: &Path, command: &[&str]) -> Option<String> {
        let output = self.output_in(directory, command)?;
        let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        Some(said).filter(|said| !said.is_empty())
    }

    /// Has a tool do something in the project's folder; says whether it did.
    pub(crate) fn tell(&self, command: &[&str]) -> bool {
        self.output_in(&self.directory, command).is_some()
    }

    fn output_in(&self, directory: &Path, command: &[&str]) -> Option<Output> {
        let (program, arguments) = command.split_first()?;
        let mut environment = self.environment.clone();
        environment.extend(QUIETLY.map(|(name, value)| (name.into(), value.into())));
        let invocation = Invocation { program: OsStr::new(program), arguments, directory, environment: &environment };
        (self.run)(&invocation).ok().filter(|output| output.status.success())
    }

    /// The folder that a tool answers with; `None` also when its answer is no absolute path.
    pub(super) fn ask_folder(&self, command: &[&str]) -> Option<PathBuf> {
        let said = self.ask(command)?;
        // What goes before the last line is a tool's talk.
        let path = PathBuf::from(said.lines().last()?.trim());
        path.is_absolute().then_some(path)
    }
}

#[cfg(test)]
mod tests;
