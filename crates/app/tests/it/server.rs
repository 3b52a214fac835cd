//! A real server for a test: the binary itself, on a port of its own, with a data directory of its own.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// How long anything else may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    /// Variables that servers of this thread are started with.
    static ENVIRONMENT: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Starts servers with these variables, too, for as long as `test` runs.
pub fn with_environment<T>(variables: &[(&str, &str)], test: impl FnOnce() -> T) -> T {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let before = ENVIRONMENT.replace(owned);
    let done = test();
    ENVIRONMENT.set(before);
    done
}

/// A running server; ended when dropped.
pub struct Server {
    child: Child,
    url: String,
    log: Receiver<String>,
}

impl Server {
    /// Starts a server on a data directory, with further arguments.
    pub fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::listening("127.0.0.1:0", data, arguments)
    }

    /// Starts a server on addresses of its own.
    pub fn listening(listen: &str, data: &Path, arguments: &[&str]) -> Self {
        let mut child = command()
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .args(arguments)
            .env("LARDER_LOG_FORMAT", "json")
            .envs(ENVIRONMENT.with_borrow(Clone::clone))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (send, log) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Self { child, url: String::new(), log };
        let ready = server.wait_for("ready");
        server.url = ready["fields"]["url"].as_str().unwrap().to_owned();
        server
    }

    /// The next line of the log with this message.
    pub fn wait_for(&mut self, message: &str) -> serde_json::Value {
        let mut seen = String::new();
        loop {
            let Ok(line) = self.log.recv_timeout(READY) else {
                panic!("the server did not say {message:?}; it said:\n{seen}");
            };
            if let Ok(line) = serde_json::from_str::<serde_json::Value>(&line)
                && line["fields"]["message"] == message
            {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host and port of its address.
    pub fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Ends it as a crash of the process does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as an operator does; says whether it ended well.
    pub fn stop(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The binary, with nothing of this machine's configuration.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    for (name, _) in std::env::vars() {
        if name.starts_with("LARDER_") || name.starts_with("XDG_") {
            command.env_remove(name);
        }
    }
    command
}

/// A machine that uses a server: a home of its own, so that it remembers nothing of another's.
pub struct Machine {
    home: tempfile::TempDir,
    url: String,
}

impl Machine {
    /// A machine that knows the server's address.
    pub fn of(server: &Server) -> Self {
        Self::with_url(server.url())
    }

    /// A machine that believes a server to be at an address.
    pub fn with_url(url: &str) -> Self {
        Self { home: tempfile::tempdir().unwrap(), url: url.to_owned() }
    }

    /// Runs a command of ours in a folder.
    pub fn larder(&self, folder: &Path, arguments: &[&str]) -> Output {
        self.command(folder, arguments).output().unwrap()
    }

    /// A command of ours, to be run in a folder.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = command();
        command
            .args(arguments)
            .current_dir(folder)
            .env("HOME", self.home.path())
            .env("LARDER_URL", &self.url)
            .env("LARDER_NAMESPACE", "test")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command with `--json` and gives its object; it must have ended well.
    pub fn json(&self, folder: &Path, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let output = self.larder(folder, &all);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {:?}", String::from_utf8_lossy(&output.stdout)))
    }
}
