//! Running a client where nothing of the machine's user is seen: neither settings nor caches.

use std::path::Path;
use std::process::Command;

/// What a program said, on both of its outputs.
pub(super) struct Said {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A program in `home`, which is also its home, with an environment of its own: only the search path is kept.
pub(super) fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).env_clear().env("HOME", home).env("LC_ALL", "C");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be run or fails: a build must never fail for its cache.
pub(super) fn succeed(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let said = Said {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(output.status.success(), "{command:?} failed: {}\n{}\n{}", output.status, said.stdout, said.stderr);
    said
}
