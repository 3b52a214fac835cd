//! `larder post`.

use std::ffi::OsString;

use larder_base::{Error, ErrorKind, Result};
use serde_json::json;

use crate::cli::Post;
use crate::context::Context;
use crate::exit::Exit;
use crate::job::folder::Folder;
use crate::job::queue::Command;
use crate::job::{Request, Text, VARIABLE, client};
use crate::terminal::out;

/// Runs the command.
pub fn run(context: &Context, options: Post) -> Result<Exit> {
    let folder = job(context).ok_or_else(|| {
        Error::invalid("queue command", "no job is open here")
            .with_hint("open one with `larder job run` or `larder job begin`")
    })?;
    let mut words = options.command.into_iter().map(Text::from);
    let program = words.next().expect("the command line asks for one word at least");
    let command =
        Command { program, arguments: words.collect(), environment: environment(&[]), directory: directory(context)? };
    client::ask(&folder, &Request::Post { name: options.name.clone(), when: options.when, command })?;
    if context.global.json {
        out!("{}", json!({ "queued": options.name }));
    }
    Ok(Exit::Success)
}

/// The job of this process.
fn job(context: &Context) -> Option<Folder> {
    let folder = context.environment.get(VARIABLE).filter(|folder| !folder.is_empty())?;
    Some(Folder::at(folder.as_ref()))
}

/// The environment of this process, with these in place of its own.
fn environment(given: &[(&str, &str)]) -> Vec<(Text, Text)> {
    let own = std::env::vars_os().filter(|(name, _)| given.iter().all(|(other, _)| *name != **other));
    let given = given.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    own.chain(given).map(|(name, value)| (name.into(), value.into())).collect()
}

fn directory(context: &Context) -> Result<Text> {
    let directory = std::path::absolute(&context.directory).map_err(|source| {
        Error::new(ErrorKind::Failed, "find the present folder", context.directory.display().to_string())
            .with_source(source)
    })?;
    Ok(Text::from(directory))
}
