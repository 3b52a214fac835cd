//! The compiler, as it describes itself.

use std::ffi::OsStr;

use larder_base::{Error, Result};

use super::project::Project;
use crate::program::Runner;

/// What `rustc -vV` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toolchain {
    /// All of it: cargo takes every line of it into its fingerprints.
    pub(super) verbose: String,
    /// Such as `1.95.0`; with the date of its last commit unless it is a release.
    pub(super) version: String,
    /// The triple of the machine it runs on.
    pub(super) host: String,
    program: std::ffi::OsString,
}

impl Toolchain {
    /// Asks the compiler that cargo would use in the project's directory.
    ///
    /// # Errors
    /// When it does not answer as rustc does.
    pub(super) fn probe(project: &Project, run: Runner<'_>, program: &OsStr) -> Result<Self> {
        let verbose = ask(project, run, program, &["-vV"])?;
        Self::parse(verbose, program).ok_or_else(|| {
            Error::invalid("ask rustc", format!("`{} -vV` does not name a release and a host", program.display()))
                .with_hint("unset RUSTC, or let it name a Rust compiler")
        })
    }

    pub(super) fn parse(verbose: String, program: &OsStr) -> Option<Self> {
        let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let release = field("release")?;
        let version = match field("commit-date") {
            // A nightly or beta keeps its number for weeks.
            Some(date) if release.contains('-') => format!("{release}-{date}"),
            _ => release.to_owned(),
        };
        let host = field("host")?.to_owned();
        Some(Self { version, host, program: program.to_owned(), verbose })
    }

    /// What the processor of this machine means as a target: two machines that print the same run each other's code.
    ///
    /// # Errors
    /// When rustc cannot say.
    pub(super) fn native_cpu(&self, project: &Project, run: Runner<'_>) -> Result<String> {
        ask(project, run, &self.program, &["--print", "cfg", "-Ctarget-cpu=native"])
    }
}

fn ask(project: &Project, run: Runner<'_>, program: &OsStr, arguments: &[&str]) -> Result<String> {
    let output = project.run(run, program, arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let asked = arguments.join(" ");
        return Err(Error::invalid("ask rustc", format!("`{} {asked}` failed: {said}", program.display()))
            .with_hint("install the toolchain that the project asks for"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests;
