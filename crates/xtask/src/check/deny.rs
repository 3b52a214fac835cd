//! Licences, banned crates, sources and advisories, by cargo-deny.

use std::ffi::OsString;
use std::process::{Command, Output};

use super::Outcome;
use crate::command;
use crate::workspace::Workspace;

/// Where `ci/install-clients` puts programs that it can install without being root.
const INSTALLED: &str = "target/clients/venv/bin";

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    if !deny(workspace, &["--version"])?.status.success() {
        return Ok(Outcome::Skipped("cargo-deny is not installed; ci/install-clients installs it".to_owned()));
    }
    let said = deny(workspace, &["--workspace", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])?;
    if !said.status.success() {
        return Ok(Outcome::Failed(vec![telling(&said)]));
    }
    // The advisories are in a git repository of their own, which a machine without the open network cannot reach.
    let fetched = deny(workspace, &["fetch", "db"])?;
    if !fetched.status.success() {
        let why = telling(&fetched);
        return Ok(Outcome::Excused(format!(
            "advisories only, the rest passed; their database cannot be reached from here ({})",
            first_error(&why)
        )));
    }
    let said = deny(workspace, &["--workspace", "check", "--disable-fetch", "advisories"])?;
    Ok(if said.status.success() { Outcome::Passed } else { Outcome::Failed(vec![telling(&said)]) })
}

/// Runs cargo-deny; a program that cannot be found shows as a failure, as cargo reports it.
fn deny(workspace: &Workspace, arguments: &[&str]) -> Result<Output, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![workspace.path(INSTALLED)];
    folders.extend(std::env::split_paths(&path));
    let path: OsString = std::env::join_paths(folders).map_err(|error| format!("PATH: {error}"))?;
    let mut command = Command::new(command::cargo());
    command.arg("deny").args(arguments).env("PATH", path).current_dir(workspace.root());
    command::finish(&mut command)
}

/// The first thing that went wrong, without the time it was said and what it was caused by.
fn first_error(said: &str) -> &str {
    let line = said.lines().find_map(|line| line.split_once("[ERROR] ")).map_or(said, |(_, error)| error);
    line.split([':', '\n']).next().unwrap_or(line)
}

/// All it said.
fn telling(said: &Output) -> String {
    command::text(&said.stderr) + &command::text(&said.stdout)
}

#[cfg(test)]
mod tests;
