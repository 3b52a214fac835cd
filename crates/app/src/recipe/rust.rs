//! Rust: what dependencies were built to, and what they were downloaded as. The thinking is in [`crate::rust`].

use std::path::PathBuf;

use larder_base::Result;

use super::{Identity, Plan, Project, Recipe, locks};
use crate::rust::project::{Project as Cargo, Selection};
use crate::rust::{self, Identity as RustIdentity};

/// The root of what cargo built.
const BUILD: &str = "build";
/// The root of what cargo downloaded.
const CARGO_HOME: &str = "cargo-home";

/// A Rust project, built as the selection says.
#[derive(Default)]
pub(crate) struct Rust {
    selection: Selection,
}

impl Rust {
    /// The recipe for one build of a project; the job is the [`Project`]'s to say.
    pub(crate) fn new(selection: Selection) -> Self {
        Self { selection }
    }

    fn cargo(&self, project: &Project<'_>) -> Result<Cargo> {
        let selection = Selection { label: project.job.clone(), ..self.selection.clone() };
        Cargo::from_environment(
            project.directory.clone(),
            project.environment.clone(),
            project.system.clone(),
            selection,
        )
    }
}

impl Recipe for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn looks_for(&self) -> &'static str {
        "Cargo.lock"
    }

    fn detect(&self, project: &Project<'_>) -> Vec<PathBuf> {
        locks::here(&project.directory, &|name| name == "Cargo.lock")
    }

    fn identify(&self, project: &Project<'_>) -> Result<Identity> {
        Ok(identity(rust::identify(&self.cargo(project)?, project.run)?, Vec::new()))
    }

    fn plan(&self, project: &Project<'_>) -> Result<Plan> {
        let plan = rust::plan(&self.cargo(project)?, project.run)?;
        let nothing = plan.nothing_to_save();
        Ok(Plan {
            identity: identity(plan.identity, plan.warnings),
            listings: vec![plan.work, plan.cargo_home],
            nothing,
        })
    }
}

fn identity(of: RustIdentity, warnings: Vec<String>) -> Identity {
    Identity {
        key: of.key,
        fallbacks: of.fallbacks,
        places: vec![(BUILD, of.work), (CARGO_HOME, of.cargo_home)],
        settings: of.settings,
        replaces: false,
        clean_up: Vec::new(),
        warnings,
    }
}
