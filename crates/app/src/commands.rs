//! The commands, one file each.

mod auto;
mod check_bucket;
mod docs;
mod doctor;
mod entries;
mod fetch;
mod fsck;
pub mod helper;
mod job;
mod jobs;
mod post;
mod quota;
mod recipe;
mod restore;
mod save;
mod serve;
mod stats;
mod token;
mod transfer;
mod verify;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use larder_base::{Error, ErrorKind, Result};
use serde_json::json;

use crate::cli::{Cli, Command, ServerCommand};
use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::report::{Outcome, Report};
use crate::terminal::{out, say};

/// Runs a command.
pub fn run(cli: Cli, environment: BTreeMap<String, String>) -> Exit {
    let (strict, json) = (cli.global.strict, cli.global.json);
    let key = key_of(&cli.command);
    let command = match cli.command {
        // A server that cannot run, and a check that cannot check, say so whatever the flags: no build waits for them.
        Command::Serve(options) => return always(json, serve::run(&options, &environment)),
        Command::Fsck(options) => return always(json, fsck::run(&options, json, &environment)),
        Command::Server { command: ServerCommand::CheckBucket(options) } => {
            return always(json, check_bucket::run(&options, json, &environment));
        }
        Command::Job { command } => return job::run(&cli.global, command, &environment),
        Command::Completions { shell } => return always(json, docs::completions(shell)),
        Command::Man { directory } => return always(json, docs::man(&directory)),
        Command::GenerateDocs { directory } => return always(json, docs::generate(&directory)),
        Command::Token { command } => {
            let context = Context::new(cli.global, environment);
            return always(json, context.and_then(|context| token::run(&context, &command)));
        }
        command => command,
    };
    // A defect of ours is a fault like any other: it fails no build.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        Context::new(cli.global, environment).and_then(|context| with_server(&context, command))
    }))
    .unwrap_or_else(|_| Err(Error::new(ErrorKind::Failed, "run command", "larder has a defect; please report it")));
    ended.unwrap_or_else(|error| {
        match key.filter(|_| json) {
            Some(key) => {
                let report = Report::new(Outcome::Failed, key).because(explain(&error));
                out!("{}", serde_json::to_string(&report).unwrap_or_default());
            }
            None => tell(json, &error),
        }
        if strict { Exit::Fault } else { Exit::Success }
    })
}

/// The key of a command whose `--json` is a report.
fn key_of(command: &Command) -> Option<String> {
    match command {
        Command::Save(options) => Some(options.key.clone()),
        Command::Restore(options) => Some(options.key.clone()),
        Command::Tool(tool) => Some(recipe::name_of(tool).into()),
        _ => None,
    }
}

fn with_server(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Save(options) => save::run(context, &options),
        Command::Restore(options) => restore::run(context, &options),
        Command::Auto { command } => auto::run(context, &command),
        Command::Tool(tool) => recipe::run(context, &tool),
        Command::Post(options) => post::run(context, options),
        Command::List(options) => entries::list(context, &options),
        Command::Show(options) => entries::show(context, &options),
        Command::Purge(options) => entries::purge(context, &options),
        Command::Explain(options) => entries::explain(context, &options),
        Command::Verify(options) => verify::run(context, &options),
        Command::Stats => stats::stats(context),
        Command::Quota => quota::run(context),
        Command::Jobs(options) => jobs::run(context, &options),
        Command::Gc(options) => stats::gc(context, &options),
        Command::Doctor => doctor::run(context),
        Command::Helper(arguments) => helper::run(context, arguments),
        Command::Serve(_)
        | Command::Fsck(_)
        | Command::Server { .. }
        | Command::Job { .. }
        | Command::Token { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::GenerateDocs { .. } => {
            unreachable!("run() has taken these")
        }
    }
}

/// Ends a command whose faults count without `--strict`.
fn always(json: bool, ended: Result<Exit>) -> Exit {
    ended.unwrap_or_else(|error| {
        tell(json, &error);
        Exit::Fault
    })
}

/// Tells of a fault: a line for people, or with `--json` an object.
fn tell(json: bool, error: &Error) {
    if json {
        out!("{}", json!({"error": {"kind": error.kind().as_str(), "message": explain(error)}}));
    } else {
        say!("{}", explain(error));
    }
}
