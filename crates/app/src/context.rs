//! What every command that talks to a server needs: where it is, whose it is, and how faults are told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use larder_base::{Clock, Error, ErrorKind, Namespace, Result};
use larder_remote::ci::CiClient;
use larder_remote::{HttpClient, Policy, ServerClient, ServerUrl};
use tokio::runtime::Runtime;

use crate::cli::Global;
use crate::clock::SystemClock;
use crate::namespace::namespace_of;
use crate::report::{Outcome, Report};
use crate::terminal::{out, say};

/// The surroundings of a command, read once.
pub struct Context {
    /// The flags of every command.
    pub global: Global,
    /// The folder to work in.
    pub directory: PathBuf,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Where requests run.
    pub runtime: Runtime,
}

impl Context {
    /// Reads the surroundings.
    ///
    /// # Errors
    /// When the folder to work in is none.
    pub fn new(global: Global, environment: BTreeMap<String, String>) -> Result<Self> {
        let directory = match &global.directory {
            Some(directory) => directory.clone(),
            None => std::env::current_dir().map_err(|error| failed("find the present folder", error))?,
        };
        if !directory.is_dir() {
            return Err(Error::invalid("enter folder", format!("{} is not a folder", directory.display())));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| failed("start the runtime", error))?;
        Ok(Self { global, directory, environment, runtime })
    }

    /// The namespace.
    ///
    /// # Errors
    /// When the one that was asked for is none.
    pub fn namespace(&self) -> Result<Namespace> {
        // An empty variable, as a pipeline leaves where nothing was set, asks for nothing.
        let asked = self.global.namespace.as_deref().filter(|name| !name.is_empty());
        namespace_of(asked, &self.directory)
    }

    /// The client of the ci door.
    ///
    /// # Errors
    /// When the server's address or the token is malformed.
    pub fn ci(&self) -> Result<CiClient> {
        CiClient::new(self.http(Policy::default()), self.url()?, &self.namespace()?, self.token())
    }

    /// The client of the server's own pages.
    ///
    /// # Errors
    /// As [`Context::ci`].
    pub fn server(&self) -> Result<ServerClient> {
        ServerClient::new(self.http(Policy::default()), self.url()?, self.token())
    }

    /// The server, for a helper that a client tool waits for with each of its steps: a second try mends a connection that
    /// broke, and nothing waits for a server that is away.
    ///
    /// # Errors
    /// As [`Context::ci`].
    pub fn server_of_helper(&self) -> Result<ServerClient> {
        let policy = Policy {
            tries: 2,
            total: Duration::from_secs(2),
            idle: Duration::from_secs(5),
            connect: Duration::from_secs(1),
            first_pause: Duration::from_millis(20),
        };
        ServerClient::new(self.http(policy), self.url()?, self.token())
    }

    /// The present moment.
    pub fn now(&self) -> larder_base::Timestamp {
        SystemClock.now()
    }

    /// Where this machine keeps what it remembers between runs.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let variable = |name: &str| self.environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        variable("XDG_CACHE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| Some(variable("HOME")?.join(".cache")))
            .map(|folder| folder.join("larder"))
    }

    /// Whether progress is not to be shown.
    pub fn silent(&self) -> bool {
        self.global.quiet || self.global.json
    }

    /// Prints a report: a line, or with `--json` an object.
    pub fn print(&self, report: &Report) {
        if self.global.json {
            out!("{}", serde_json::to_string(report).expect("a report has no maps with keys that JSON lacks"));
            return;
        }
        for warning in &report.warnings {
            say!("left out {warning}");
        }
        if !self.global.quiet || report.result == Outcome::Failed {
            say!("{}", report.line());
        }
    }

    fn url(&self) -> Result<ServerUrl> {
        match self.global.url.as_str() {
            "" => crate::cli::DEFAULT_URL.parse(),
            url => url.parse(),
        }
    }

    fn token(&self) -> Option<&str> {
        self.global.token.as_deref().filter(|token| !token.is_empty())
    }

    fn http(&self, policy: Policy) -> HttpClient {
        let mut seed = [0; 8];
        // The seed only spreads the pauses between tries.
        let _ = getrandom::fill(&mut seed);
        HttpClient::new(policy, u64::from_le_bytes(seed))
    }
}

/// An error as one line: what failed, why, and what to do.
pub fn explain(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let text = source.to_string();
        // A cause that repeats what was said is not said again.
        if !line.contains(&text) {
            line += &format!(": {text}");
        }
        cause = source.source();
    }
    if let Some(hint) = error.hint() {
        line += &format!(" ({hint})");
    }
    line
}

fn failed(operation: &'static str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, operation, "the system refused").with_source(source)
}
