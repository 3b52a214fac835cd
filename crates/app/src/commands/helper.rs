//! The commands that doors bring: helpers which a client tool starts.

use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use larder_base::{Error, ErrorKind, Result};
use larder_door::{Exchange, Helper, HelperContext, nearest};

use crate::cli::Cli;
use crate::context::Context;
use crate::doors::DOORS;
use crate::exit::Exit;
use crate::terminal::{out, say};

/// All helpers of all doors.
pub fn helpers() -> impl Iterator<Item = &'static Helper> {
    DOORS.iter().flat_map(|door| door.helpers)
}

/// The helper that goes by the name under which the binary was started, if one does.
pub fn started_as(program: &str) -> Option<&'static Helper> {
    helpers().find(|helper| helper.program == Some(program))
}

/// The help of a helper that is asked for as that of a command is: `help NAME`.
pub fn asked_about(arguments: &[String]) -> Option<&'static Helper> {
    let [help, name] = arguments else { return None };
    helpers().find(|helper| help == "help" && helper.name == name)
}

/// Prints what a helper is for and how it is called.
pub fn help(helper: &Helper) -> Exit {
    let also = helper.program.map_or_else(String::new, |program| format!("\nAlso started as {program}.\n"));
    out!("{}\n\nUsage: larder {} {}\n{also}", helper.about, helper.name, helper.usage);
    Exit::Success
}

/// Runs the helper that the first argument names.
pub fn run(context: &Context, mut arguments: Vec<String>) -> Result<Exit> {
    let name = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    let Some(helper) = helpers().find(|helper| helper.name == name) else {
        let helpers: Vec<&str> = helpers().map(|helper| helper.name).collect();
        let cli = Cli::command();
        let commands = cli.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
        let meant = nearest(commands.chain(helpers.iter().copied()), &name);
        let meant = meant.map_or_else(|| ".".to_owned(), |meant| format!("; did you mean `larder {meant}`?"));
        say!("there is no command `{name}`{meant} See `larder --help` (helpers of doors: {})", helpers.join(", "));
        return Ok(Exit::Usage);
    };
    run_helper(context, helper, arguments)
}

/// Runs a helper.
pub fn run_helper(context: &Context, helper: &Helper, arguments: Vec<String>) -> Result<Exit> {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return Ok(help(helper));
    }
    let client = context.server_of_helper()?;
    let exchange: Exchange = Arc::new(move |request| {
        let client = client.clone();
        Box::pin(async move { client.exchange(request, Duration::ZERO).await })
    });
    let given = HelperContext {
        arguments,
        environment: context.environment.clone(),
        namespace: context.namespace()?,
        exchange,
    };
    match context.runtime.block_on((helper.run)(given)) {
        Ok(()) => Ok(Exit::Success),
        // The tool that started it must know that it does not run; it goes on without a cache.
        Err(error) => {
            say!("{}", crate::context::explain(&error));
            // What it was told makes no sense, or it could not do it.
            Ok(if error.kind() == ErrorKind::Invalid { Exit::Usage } else { Exit::Fault })
        }
    }
}

/// A helper by another program's name takes its own arguments and none of ours.
pub fn run_program(helper: &Helper, context: Result<Context, Error>, arguments: Vec<String>) -> Exit {
    context.and_then(|context| run_helper(&context, helper, arguments)).unwrap_or_else(|error| {
        say!("{}", crate::context::explain(&error));
        Exit::Fault
    })
}
