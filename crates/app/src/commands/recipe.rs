//! `larder rust`, `larder go` and the others: one recipe, one key, several folders.

use std::ffi::OsString;
use std::path::PathBuf;

use larder_base::Result;
use serde_json::{Value, json};

use crate::cli::{AtEnd, Job, RustCommand, RustProject, Tool, ToolCommand, Transfer};
use crate::commands::post;
use crate::commands::restore::{Place, restored};
use crate::commands::save::{Ended, Folder, finish, saved};
use crate::context::Context;
use crate::exit::Exit;
use crate::program::run_process;
use crate::recipe::rust::Rust;
use crate::recipe::{self, Identity, Project, Recipe};
use crate::report::{Outcome, Report};
use crate::rust::project::Selection;
use crate::system::system_release;
use crate::terminal::{out, say};

/// What is done with a recipe.
#[derive(Clone, Copy)]
pub enum Action {
    /// Save its caches.
    Save {
        /// Let the tools remove what is unused first.
        clean_up: bool,
        /// How content is sent.
        transfer: Transfer,
    },
    /// Restore them.
    Restore,
}

/// The name of a tool's recipe.
pub fn name_of(tool: &Tool) -> &'static str {
    match tool {
        Tool::Rust { .. } => "rust",
        Tool::Go { .. } => "go",
        Tool::Node { .. } => "node",
        Tool::Python { .. } => "python",
        Tool::Gradle { .. } => "gradle",
        Tool::Maven { .. } => "maven",
        Tool::Ccache { .. } => "ccache",
    }
}

/// Runs the command.
pub fn run(context: &Context, tool: &Tool) -> Result<Exit> {
    let asked = asked(tool);
    let project = project(context, &Job { job: asked.job });
    let Some(action) = asked.action else {
        print_key(context, &asked.recipe.identify(&project)?);
        return Ok(Exit::Success);
    };
    let performed = perform(context, asked.recipe.as_ref(), &project, action);
    // Whatever came of the restore: what the job makes is worth a save.
    if let Some((at_end, flags)) = asked.save {
        let words = [name_of(tool), "save", "--at-end"].map(OsString::from);
        post::save_at_end(context, at_end, words.into_iter().chain(flags).collect());
    }
    Ok(finish(context, &performed?))
}

/// What a command line asks of a recipe.
struct Asked {
    recipe: Box<dyn Recipe>,
    job: Option<String>,
    /// None asks for the key.
    action: Option<Action>,
    /// The save that goes with it, by its flags.
    save: Option<(AtEnd, Vec<OsString>)>,
}

fn asked(tool: &Tool) -> Asked {
    match tool {
        Tool::Rust { command } => {
            let (project, action, save) = match command {
                RustCommand::Save { project, transfer } => {
                    (project, Some(Action::Save { clean_up: false, transfer: *transfer }), None)
                }
                RustCommand::Restore { project, at_end } => {
                    (project, Some(Action::Restore), Some((*at_end, project.flags())))
                }
                RustCommand::Key { project } => (project, None, None),
            };
            Asked { recipe: Box::new(Rust::new(selection(project))), job: project.job.clone(), action, save }
        }
        Tool::Go { command }
        | Tool::Node { command }
        | Tool::Python { command }
        | Tool::Gradle { command }
        | Tool::Maven { command }
        | Tool::Ccache { command } => {
            let (job, action, save) = match command {
                ToolCommand::Save { job, saving } => {
                    (job, Some(Action::Save { clean_up: saving.clean_up, transfer: saving.transfer }), None)
                }
                ToolCommand::Restore { job, at_end } => (job, Some(Action::Restore), Some((*at_end, job.flags()))),
                ToolCommand::Key { job } => (job, None, None),
            };
            let recipe = recipe::named(name_of(tool)).expect("every tool has a recipe");
            Asked { recipe, job: job.job.clone(), action, save }
        }
    }
}

fn selection(asked: &RustProject) -> Selection {
    Selection {
        profile: asked.profile.clone(),
        features: asked.features.clone(),
        all_features: asked.all_features,
        no_default_features: asked.no_default_features,
        targets: asked.target.clone(),
        // The job is the project's to say.
        label: None,
    }
}

/// The project in the folder where the command works.
pub fn project(context: &Context, job: &Job) -> Project<'static> {
    // Where the file is absent nothing tells one release of the system from another, and nothing is said of it.
    let system = system_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
    Project {
        directory: context.directory.canonicalize().unwrap_or_else(|_| context.directory.clone()),
        environment: std::env::vars_os().collect(),
        system,
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        now: context.now(),
        job: job.job.clone().filter(|job| !job.is_empty()),
        run: &run_process,
    }
}

/// Saves or restores a recipe's caches.
///
/// # Errors
/// When the recipe finds no key for this project; a fault on the way is part of the report.
pub fn perform(context: &Context, recipe: &dyn Recipe, project: &Project<'_>, action: Action) -> Result<Ended> {
    match action {
        Action::Save { clean_up, transfer } => {
            if clean_up {
                clean(context, &recipe.identify(project)?, project);
            }
            let plan = recipe.plan(project)?;
            warn(context, &plan.identity);
            let identity = plan.identity;
            if let Some(reason) = plan.nothing {
                let report = Report::new(Outcome::Skipped, identity.key.as_str()).because(reason);
                return Ok(Ended { report, is_away: false });
            }
            let mut folders = Vec::new();
            for ((name, path), listing) in identity.places.iter().zip(&plan.listings) {
                // A cache that is not here is no empty one: a restore leaves its place alone.
                if !listing.paths.is_empty() {
                    let selection = larder_tree::Selection::of(path, &listing.paths)?;
                    folders.push(Folder { name, path: path.clone(), selection });
                }
            }
            saved(context, &identity.key, folders, identity.replaces, transfer)
        }
        Action::Restore => {
            let identity = recipe.identify(project)?;
            warn(context, &identity);
            let place = |(name, path): &(&'static str, PathBuf)| Place { name, path: path.clone() };
            let places: Vec<Place> = identity.places.iter().map(place).collect();
            restored(context, &identity.key, &identity.fallbacks, &places, None)
        }
    }
}

fn warn(context: &Context, identity: &Identity) {
    if !context.global.quiet {
        for warning in &identity.warnings {
            say!("{warning}");
        }
    }
}

/// Has the tools remove what they hold to be unused. What they cannot remove stays and is saved.
fn clean(context: &Context, identity: &Identity, project: &Project<'_>) {
    for command in &identity.clean_up {
        if !project.tell(command) && !context.global.quiet {
            say!("`{}` did not clean up; nothing is lost by that", command.join(" "));
        }
    }
}

/// What identifies a recipe's entry, for scripts.
pub fn key_json(identity: &Identity) -> Value {
    let roots: serde_json::Map<String, Value> =
        identity.places.iter().map(|(name, path)| ((*name).to_owned(), json!(path.to_string_lossy()))).collect();
    json!({
        "key": identity.key.as_str(), "fallbacks": identity.fallbacks, "settings": identity.settings, "roots": roots,
    })
}

/// Prints what identifies a recipe's entry.
pub fn print_key(context: &Context, identity: &Identity) {
    warn(context, identity);
    if context.global.json {
        out!("{}", key_json(identity));
        return;
    }
    out!("{}", identity.key);
    for fallback in &identity.fallbacks {
        out!("  else the newest that begins with {fallback}");
    }
    for (name, value) in &identity.settings {
        // What a tool says of itself may have several lines.
        out!("  {name}: {}", value.trim_end().replace('\n', "\n    "));
    }
    for (name, path) in &identity.places {
        out!("  {name} is {}", path.display());
    }
}
