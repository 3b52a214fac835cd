//! Programs that are asked for something: run to their end, within a bound of time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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

#[cfg(test)]
mod tests;
