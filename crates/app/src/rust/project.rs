//! The project, and the programs that are asked about it: all that comes from outside, handed in as values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use larder_base::{Error, Result};

/// A project as the command found it: everything a plan depends on, besides the files themselves.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// Where the command was started: cargo looks for the workspace and its configuration from here.
    pub(crate) directory: PathBuf,
    /// `CARGO_HOME`, absolute.
    pub(crate) cargo_home: PathBuf,
    /// All environment variables; they are handed on to cargo and rustc.
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// The operating system's release, such as `debian-12` ([`system_release`]). Executables of build scripts and
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

/// A program to run.
#[derive(Clone, Debug)]
pub(crate) struct Invocation<'a> {
    /// The program, looked up in the path of `environment`.
    pub(crate) program: &'a OsStr,
    /// Its arguments.
    pub(crate) arguments: &'a [&'a str],
    /// Where it runs.
    pub(crate) directory: &'a Path,
    /// All of its environment.
    pub(crate) environment: &'a BTreeMap<OsString, OsString>,
}

/// What runs programs: [`run_process`], or a test's stand-in.
pub(crate) type Runner<'a> = &'a dyn Fn(&Invocation<'_>) -> io::Result<Output>;

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

impl fmt::Display for Invocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program.to_string_lossy())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// How long a program that is asked about a project may take: cargo may wait for another cargo, but not for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a program to its end, with nothing on its standard input. A toolchain that is not there is not fetched.
///
/// # Errors
/// When it cannot be started, or has not ended after two minutes; then it is ended.
pub(crate) fn run_process(invocation: &Invocation<'_>) -> io::Result<Output> {
    run_within(invocation, PATIENCE)
}

fn run_within(invocation: &Invocation<'_>, patience: Duration) -> io::Result<Output> {
    let mut child = Command::new(invocation.program)
        .args(invocation.arguments)
        .current_dir(invocation.directory)
        .env_clear()
        .envs(invocation.environment)
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (said, hears) = std::sync::mpsc::channel();
    // The reader is not waited for: what a program's own children hold open may stay open after it was ended.
    #[expect(clippy::disallowed_methods, reason = "ends with the pipes it reads")]
    std::thread::spawn(move || {
        let errors = std::thread::scope(|scope| {
            let errors = scope.spawn(|| read_all(&mut err));
            (read_all(&mut out), errors.join().unwrap_or_default())
        });
        let _ = said.send(errors);
    });
    match hears.recv_timeout(patience) {
        Ok((stdout, stderr)) => Ok(Output { status: child.wait()?, stdout, stderr }),
        Err(_) => {
            child.kill()?;
            child.wait()?;
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("it had not ended after {} s", patience.as_secs())))
        }
    }
}

/// All that comes; what cannot be read is missing at the end, and the program's status tells the rest.
fn read_all(pipe: &mut Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.read_to_end(&mut all);
    }
    all
}

/// The release that an `os-release` file names, such as `debian-12`; `unknown` when it names none.
pub(crate) fn system_release(os_release: &str) -> String {
    let field = |name: &str| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
    };
    match (field("ID"), field("VERSION_ID").or_else(|| field("BUILD_ID"))) {
        (Some(id), Some(version)) => format!("{id}-{version}"),
        (Some(id), None) => id,
        (None, _) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
