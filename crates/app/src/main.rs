//! The `larder` binary: the shared server, the node beside a build, and the command line.
//!
//! This crate puts the others together, once. It alone reads flags, files and environment, opens sockets and handles
//! signals; it knows no protocol's details.

#![expect(unreachable_pub, reason = "a binary has no outside; `pub` says what a module gives to the others")]

mod bucket;
mod cli;
mod clock;
mod commands;
mod compose;
mod config;
mod context;
mod doors;
mod exit;
mod job;
mod namespace;
mod program;
mod progress;
mod recipe;
mod report;
mod rust;
mod secret;
mod server;
mod system;
mod terminal;
mod tokens;
mod walk;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::context::Context;

fn main() -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let exit = if let Some(helper) = commands::helper::started_as(&name) {
        let global = Cli::parse_from(["larder", "stats"]).global;
        commands::helper::run_program(helper, Context::new(global, environment), arguments)
    } else if let Some(helper) = commands::helper::asked_about(&arguments) {
        commands::helper::help(helper)
    } else {
        let cli = Cli::try_parse().unwrap_or_else(|error| cli::with_whole_usage(error).exit());
        commands::run(cli, environment)
    };
    ExitCode::from(exit.code())
}
