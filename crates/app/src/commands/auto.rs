//! `larder auto`: every recipe whose lock files are in the folder, one after the other.

use std::ffi::OsString;
use std::path::PathBuf;

use larder_base::Result;
use serde_json::{Value, json};

use crate::cli::AutoCommand;
use crate::commands::post;
use crate::commands::recipe::{Action, key_json, perform, print_key, project};
use crate::commands::save::Ended;
use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::recipe::{self, Project, Recipe};
use crate::report::{Outcome, Report};
use crate::terminal::{out, say};

/// A recipe that applies, and the files that say so.
struct Found {
    recipe: Box<dyn Recipe>,
    because: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, command: &AutoCommand) -> Result<Exit> {
    let (job, action) = match command {
        AutoCommand::Save { job, saving } => {
            (job, Some(Action::Save { clean_up: saving.clean_up, transfer: saving.transfer }))
        }
        AutoCommand::Restore { job, .. } => (job, Some(Action::Restore)),
        AutoCommand::Detect { job } => (job, None),
    };
    let project = project(context, job);
    let found: Vec<Found> = recipe::all().into_iter().filter_map(|recipe| detected(recipe, &project)).collect();
    if found.is_empty() {
        nothing_found(context, &project);
        return Ok(Exit::Success);
    }
    Ok(match action {
        Some(action) => {
            let exit = perform_all(context, &project, &found, action);
            if let AutoCommand::Restore { job, at_end } = command {
                let words = ["auto", "save", "--at-end"].map(OsString::from);
                post::save_at_end(context, *at_end, words.into_iter().chain(job.flags()).collect());
            }
            exit
        }
        None => detect(context, &project, &found),
    })
}

fn detected(recipe: Box<dyn Recipe>, project: &Project<'_>) -> Option<Found> {
    let because = recipe.detect(project);
    (!because.is_empty()).then_some(Found { recipe, because })
}

fn nothing_found(context: &Context, project: &Project<'_>) {
    let reason = format!("no lock file of a tool that has a recipe is in {}", project.directory.display());
    if context.global.json {
        out!("{}", json!({"recipes": [], "reason": reason}));
    } else if !context.global.quiet {
        say!("nothing to do: {reason}");
        for recipe in recipe::all() {
            say!("  {} looks for {}", recipe.name(), recipe.looks_for());
        }
    }
}

/// Runs all, whatever becomes of one. Once there is no server, the rest do not wait for it again.
fn perform_all(context: &Context, project: &Project<'_>, found: &[Found], action: Action) -> Exit {
    let (mut reports, mut exit) = (Vec::new(), Exit::Success);
    let mut away: Option<Report> = None;
    for Found { recipe, .. } in found {
        let name = recipe.name();
        let ended = match &away {
            Some(first) => Ended { report: Report { key: name.to_owned(), ..first.clone() }, is_away: true },
            None => perform(context, recipe.as_ref(), project, action).unwrap_or_else(|error| {
                // Not about the server, even where a tool was called unavailable.
                Ended { report: Report::new(Outcome::Failed, name).because(explain(&error)), is_away: false }
            }),
        };
        if ended.exit(context) != Exit::Success {
            exit = ended.exit(context);
        }
        if context.global.json {
            reports.push(report_json(name, &ended.report));
        } else {
            print(context, name, &ended.report);
        }
        if ended.is_away {
            away.get_or_insert(Report { seconds: Default::default(), ..ended.report });
        }
    }
    if context.global.json {
        out!("{}", json!({ "recipes": reports }));
    }
    exit
}

fn report_json(name: &str, report: &Report) -> Value {
    let mut json = serde_json::to_value(report).expect("a report has no maps with keys that JSON lacks");
    json["recipe"] = json!(name);
    json
}

fn print(context: &Context, name: &str, report: &Report) {
    for warning in &report.warnings {
        say!("{name}: left out {warning}");
    }
    if !context.global.quiet || report.result == Outcome::Failed {
        say!("{name}: {}", report.line());
    }
}

fn detect(context: &Context, project: &Project<'_>, found: &[Found]) -> Exit {
    let (mut all, mut exit) = (Vec::new(), Exit::Success);
    for Found { recipe, because } in found {
        let name = recipe.name();
        let files: Vec<String> = because.iter().map(|path| path.display().to_string()).collect();
        let identity = recipe.identify(project);
        if identity.is_err() && context.global.strict {
            exit = Exit::Fault;
        }
        if context.global.json {
            let mut json = match &identity {
                Ok(identity) => key_json(identity),
                Err(error) => json!({"reason": explain(error)}),
            };
            json["recipe"] = json!(name);
            json["because"] = json!(files);
            all.push(json);
            continue;
        }
        out!("{name}, because of {}", files.join(", "));
        match identity {
            Ok(identity) => print_key(context, &identity),
            Err(error) => say!("{name}: {}", explain(&error)),
        }
    }
    if context.global.json {
        out!("{}", json!({ "recipes": all }));
    }
    exit
}
