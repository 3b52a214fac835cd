//! The project: all that comes from outside, handed in as values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Output;

use larder_base::{Error, Result};

use crate::program::{Invocation, Runner};

/// A project as the command found it: everything a plan depends on, besides the files themselves.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// Where the command was started: cargo looks for the workspace and its configuration from here.
    pub(crate) directory: PathBuf,
    /// `CARGO_HOME`, absolute.
    pub(crate) cargo_home: PathBuf,
    /// All environment variables; they are handed on to cargo and rustc.
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// The operating system's release, such as `debian-12` ([`system_release`](crate::system::system_release)). Executables of build scripts and
    /// procedural macros of one release need not load on another.
    pub(crate) system: String,
    /// What the user said about the build.
    pub(crate) selection: Selection,
}

/// What of the project is built, as far as the user says. Builds that say nothing share a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// The profile; cargo's default when absent.
    pub(crate) profile: Option<String>,
    /// Features switched on; `default` is on unless `no_default_features`.
    pub(crate) features: Vec<String>,
    /// All features are on.
    pub(crate) all_features: bool,
    /// The default features are off.
    pub(crate) no_default_features: bool,
    /// Target triples; those of cargo's configuration when empty.
    pub(crate) targets: Vec<String>,
    /// The user's word for what else sets this build apart, such as the name of the job.
    pub(crate) label: Option<String>,
}

impl Project {
    /// The project in `directory` (absolute), with `CARGO_HOME` found as cargo finds it.
    ///
    /// # Errors
    /// When the environment names neither `CARGO_HOME` nor a home directory.
    pub(crate) fn from_environment(
        directory: PathBuf,
        environment: BTreeMap<OsString, OsString>,
        system: String,
        selection: Selection,
    ) -> Result<Self> {
        let set = |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
        let cargo_home = match (set("CARGO_HOME"), set("HOME").or_else(|| set("USERPROFILE"))) {
            (Some(home), _) => directory.join(home),
            (None, Some(home)) => Path::new(home).join(".cargo"),
            (None, None) => {
                return Err(Error::invalid("find cargo's home", "neither CARGO_HOME nor HOME is set")
                    .with_hint("set CARGO_HOME to the directory where cargo keeps its downloads"));
            }
        };
        Ok(Self { directory, cargo_home, environment, system, selection })
    }

    /// A variable's value, unless it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(OsStr::new(name)).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }

    /// Runs a program in the project's directory and environment.
    ///
    /// # Errors
    /// When it cannot be started; how it ends is in the output.
    pub(super) fn run(&self, run: Runner<'_>, program: &OsStr, arguments: &[&str]) -> Result<Output> {
        let mut environment = self.environment.clone();
        // Cargo would write what rustc told it into the target directory, and make one for that.
        environment.insert("CARGO_CACHE_RUSTC_INFO".into(), "0".into());
        let invocation = Invocation { program, arguments, directory: &self.directory, environment: &environment };
        run(&invocation).map_err(|error| {
            Error::invalid("run program", format!("cannot start `{invocation}` in {}", self.directory.display()))
                .with_source(error)
                .with_hint("install the Rust toolchain, or put its programs on the PATH")
        })
    }
}

#[cfg(test)]
mod tests;
