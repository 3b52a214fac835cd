//! The workspace, as cargo describes it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use larder_base::{Error, Result};

use super::project::Project;
use crate::program::Runner;

/// The parts of `cargo metadata --no-deps` that a plan needs.
///
/// Packages are never known by their ids here: the form of an id changed with cargo 1.77.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Workspace {
    /// Where the workspace's manifest and lock are.
    #[serde(rename = "workspace_root")]
    pub(super) root: PathBuf,
    target_directory: PathBuf,
    /// Where units are built. Cargo before 1.91 does not say: it is the target directory.
    #[serde(default, rename = "build_directory")]
    said_build_directory: Option<PathBuf>,
    #[serde(skip)]
    pub(super) build_directory: PathBuf,
    /// The members.
    packages: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct Member {
    name: String,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
struct Dependency {
    name: String,
    source: Option<String>,
    req: String,
    kind: Option<String>,
    rename: Option<String>,
    optional: bool,
    uses_default_features: bool,
    features: Vec<String>,
    target: Option<String>,
}

impl Workspace {
    /// Asks cargo about the workspace around the project's directory.
    ///
    /// # Errors
    /// When there is none, or cargo cannot read it.
    pub(super) fn load(project: &Project, run: Runner<'_>) -> Result<Self> {
        let arguments = ["metadata", "--format-version", "1", "--no-deps", "--locked"];
        let output = project.run(run, &cargo(project), &arguments)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::invalid("ask cargo", format!("`cargo {}` failed: {said}", arguments.join(" ")))
                .with_hint("run this in the directory of a cargo project that `cargo check` accepts"));
        }
        Self::parse(&output.stdout).map_err(|error| {
            Error::invalid("ask cargo", "cannot read what `cargo metadata` printed".to_owned()).with_source(error)
        })
    }

    fn parse(json: &[u8]) -> serde_json::Result<Self> {
        let mut workspace: Self = serde_json::from_slice(json)?;
        workspace.build_directory =
            workspace.said_build_directory.take().unwrap_or_else(|| workspace.target_directory.clone());
        Ok(workspace)
    }

    /// Where the lock is.
    pub(super) fn lock_path(&self) -> PathBuf {
        self.root.join("Cargo.lock")
    }

    /// Has cargo compare the lock with the manifests, without the network and without writing.
    ///
    /// # Errors
    /// When cargo would write another lock. Where it cannot tell (an index that is not here), that is no error.
    pub(super) fn check_lock(&self, project: &Project, run: Runner<'_>) -> Result<()> {
        let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
        let output = project.run(run, &cargo(project), &arguments)?;
        if output.status.success() || !complains_about_lock(&String::from_utf8_lossy(&output.stderr)) {
            return Ok(());
        }
        Err(Error::invalid("check lock", format!("{} does not fit the manifests", self.lock_path().display()))
            .with_hint("run `cargo update --workspace` and commit Cargo.lock, or build with --locked to see why"))
    }

    /// What the members ask of their dependencies, one line each: it decides which features of a locked package are
    /// built, and can change without the lock. Versions of members are no part of it.
    pub(super) fn declarations(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for member in &self.packages {
            for dependency in &member.dependencies {
                let mut shown = dependency.clone();
                if shown.source.is_none() {
                    shown.req = String::new();
                }
                shown.source = shown.source.as_deref().map(super::lock::without_credentials);
                let shown = serde_json::to_string(&shown).expect("a struct of strings is JSON");
                lines.push(format!("{} needs {shown}", member.name));
            }
            for (feature, enables) in &member.features {
                let enables = serde_json::to_string(enables).expect("a list of strings is JSON");
                lines.push(format!("{} offers {feature} {enables}", member.name));
            }
        }
        lines.sort();
        lines
    }
}

fn cargo(project: &Project) -> OsString {
    // Inside a cargo subcommand this names the cargo that is running.
    project
        .environment
        .get(OsStr::new("CARGO"))
        .filter(|path| !path.is_empty())
        .cloned()
        .unwrap_or_else(|| "cargo".into())
}

/// Whether this is how cargo says that `--locked` kept it from writing another lock; the words changed over time.
fn complains_about_lock(said: &str) -> bool {
    said.contains("--locked was passed to prevent this")
}

#[cfg(test)]
mod tests;
