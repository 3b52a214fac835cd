//! `larder rust save` and `larder rust restore`: the third-party part of a Rust project's build.

use larder_base::Result;
use serde_json::json;

use crate::cli::{RustCommand, RustProject};
use crate::commands::restore::{Place, restore};
use crate::commands::save::{Folder, save};
use crate::context::Context;
use crate::exit::Exit;
use crate::report::{Outcome, Report};
use crate::rust;
use crate::rust::project::{Project, Selection, run_process, system_release};
use crate::terminal::{out, say};

/// The root of what cargo built.
const BUILD: &str = "build";
/// The root of what cargo downloaded.
const CARGO_HOME: &str = "cargo-home";

/// Runs the command.
pub fn run(context: &Context, command: &RustCommand) -> Result<Exit> {
    match command {
        RustCommand::Save { project, transfer } => {
            let plan = rust::plan(&described(context, project)?, &run_process)?;
            if !context.global.quiet {
                for warning in &plan.warnings {
                    say!("{warning}");
                }
            }
            if let Some(reason) = plan.nothing_to_save() {
                context.print(&Report::new(Outcome::Skipped, plan.identity.key.as_str()).because(reason));
                return Ok(Exit::Success);
            }
            let folder = |name, path: &std::path::Path, paths: &[std::path::PathBuf]| {
                let selection = larder_tree::Selection::of(path, paths)?;
                Ok::<_, larder_base::Error>(Folder { name, path: path.to_owned(), selection })
            };
            let folders = vec![
                folder(BUILD, &plan.identity.work, &plan.work.paths)?,
                folder(CARGO_HOME, &plan.identity.cargo_home, &plan.cargo_home.paths)?,
            ];
            save(context, &plan.identity.key, folders, false, *transfer)
        }
        RustCommand::Restore { project } => {
            let identity = rust::identify(&described(context, project)?, &run_process)?;
            let places = vec![
                Place { name: BUILD, path: identity.work.clone() },
                Place { name: CARGO_HOME, path: identity.cargo_home.clone() },
            ];
            restore(context, &identity.key, &identity.fallbacks, &places, None)
        }
        RustCommand::Key { project } => {
            let identity = rust::identify(&described(context, project)?, &run_process)?;
            if context.global.json {
                out!(
                    "{}",
                    json!({
                        "key": identity.key.as_str(), "fallbacks": identity.fallbacks, "settings": identity.settings,
                        "build": identity.work, "cargo_home": identity.cargo_home,
                    })
                );
                return Ok(Exit::Success);
            }
            out!("{}", identity.key);
            for fallback in &identity.fallbacks {
                out!("  else the newest that begins with {fallback}");
            }
            for (name, value) in &identity.settings {
                out!("  {name}: {value}");
            }
            Ok(Exit::Success)
        }
    }
}

fn described(context: &Context, asked: &RustProject) -> Result<Project> {
    let directory = context.directory.canonicalize().unwrap_or_else(|_| context.directory.clone());
    let selection = Selection {
        profile: asked.profile.clone(),
        features: asked.features.clone(),
        all_features: asked.all_features,
        no_default_features: asked.no_default_features,
        targets: asked.target.clone(),
        label: asked.job.clone(),
    };
    // Where the file is absent nothing tells one release of the system from another, and nothing is said of it.
    let system = system_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
    Project::from_environment(directory, std::env::vars_os().collect(), system, selection)
}
