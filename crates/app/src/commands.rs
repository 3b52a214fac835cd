//! The commands, one file each.

mod docs;
mod doctor;
mod entries;
mod fetch;
mod fsck;
pub mod helper;
mod restore;
mod rust;
mod save;
mod serve;
mod stats;
mod transfer;
mod verify;

use std::collections::BTreeMap;

use larder_base::Result;

use crate::cli::{Cli, Command};
use crate::context::{Context, explain};
use crate::exit::Exit;

/// Runs a command.
pub fn run(cli: Cli, environment: BTreeMap<String, String>) -> Exit {
    let strict = cli.global.strict;
    let ended = match cli.command {
        // A server that cannot run, and a check that cannot check, say so whatever the flags.
        Command::Serve(options) => return always(serve::run(&options, &environment)),
        Command::Fsck(options) => return always(fsck::run(&options, cli.global.json, &environment)),
        Command::Completions { shell } => return always(docs::completions(shell)),
        Command::Man { directory } => return always(docs::man(&directory)),
        Command::GenerateDocs { directory } => return always(docs::generate(&directory)),
        command => Context::new(cli.global, environment).and_then(|context| with_server(&context, command)),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("larder: {}", explain(&error));
        if strict { Exit::Fault } else { Exit::Success }
    })
}

fn with_server(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Save(options) => save::run(context, &options),
        Command::Restore(options) => restore::run(context, &options),
        Command::Rust { command } => rust::run(context, &command),
        Command::List(options) => entries::list(context, &options),
        Command::Show(options) => entries::show(context, &options),
        Command::Purge(options) => entries::purge(context, &options),
        Command::Explain(options) => entries::explain(context, &options),
        Command::Verify(options) => verify::run(context, &options),
        Command::Stats => stats::stats(context),
        Command::Gc(options) => stats::gc(context, &options),
        Command::Doctor => doctor::run(context),
        Command::Helper(arguments) => helper::run(context, arguments),
        Command::Serve(_)
        | Command::Fsck(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::GenerateDocs { .. } => {
            unreachable!("run() has taken these")
        }
    }
}

fn always(ended: Result<Exit>) -> Exit {
    ended.unwrap_or_else(|error| {
        eprintln!("larder: {}", explain(&error));
        Exit::Fault
    })
}
