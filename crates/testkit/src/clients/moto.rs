//! moto: a server that answers as Amazon's services do, S3 and the token service among them. It checks no signatures.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::run::command;

/// A running server, which ends with this value.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    url: String,
    _home: TempDir,
}

impl Moto {
    /// Starts a server on a free port and waits until it says where it listens.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn start(program: &Path) -> Self {
        let home = tempfile::tempdir().expect("a folder for the server");
        let mut child = command(program, home.path())
            .args(["--host", "127.0.0.1", "--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not run: {error}", program.display()));
        let mut said = BufReader::new(child.stderr.take().expect("its standard error is a pipe")).lines();
        let url = said.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, url) = line.split_once("Running on ")?;
            Some(url.split_whitespace().next()?.to_owned())
        });
        let url = url.unwrap_or_else(|| panic!("{} ended without saying where it listens", program.display()));
        // It logs every request, and would wait for a reader. This thread ends with it.
        std::thread::spawn(move || said.for_each(drop));
        Self { child, url, _home: home }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
