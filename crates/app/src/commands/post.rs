//! `larder post`, and the save that a restore queues.

use std::ffi::OsString;

use larder_base::{ContentHash, Error, ErrorKind, Result};
use serde_json::json;

use crate::cli::{AtEnd, DEFAULT_URL, Post};
use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::job::folder::Folder;
use crate::job::queue::{Command, NAME_MAX_BYTES, When};
use crate::job::{Request, Text, VARIABLE, client};
use crate::terminal::{out, say};

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

/// Queues the save that goes with a restore, if it was asked for. What is in the way is said in one line, and is no fault.
pub fn save_at_end(context: &Context, at_end: AtEnd, save: Vec<OsString>) {
    let Some(after) = at_end.save_at_end else { return };
    let Some(folder) = job(context) else {
        if !context.global.quiet {
            say!(
                "no job is open here, so nothing is saved at its end (`larder job run` or `larder job begin` opens one)"
            );
        }
        return;
    };
    let queued = queue_save(context, &folder, after.into(), save);
    match queued {
        Ok(name) if !context.silent() => say!("queued for the job's end: {name}"),
        Ok(_) => {}
        Err(error) => say!("nothing is saved at the job's end: {}", explain(&error)),
    }
}

fn queue_save(context: &Context, folder: &Folder, when: When, save: Vec<OsString>) -> Result<String> {
    let program = std::env::current_exe().map_err(|source| {
        Error::new(ErrorKind::Failed, "queue save", "larder's own program is not found").with_source(source)
    })?;
    let directory = directory(context)?;
    let name = name_of(&save, &directory);
    let global = &context.global;
    let flags = [(global.strict, "--strict"), (global.quiet, "--quiet")];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| OsString::from(flag));
    // By the environment, where no list of processes shows a token.
    let mut given = vec![("LARDER_URL", url(&global.url))];
    given.extend(global.namespace.as_deref().map(|namespace| ("LARDER_NAMESPACE", namespace)));
    given.extend(global.token.as_deref().map(|token| ("LARDER_TOKEN", token)));
    let command = Command {
        program: program.into(),
        arguments: flags.chain(save).map(Text::from).collect(),
        environment: environment(&given),
        directory,
    };
    client::ask(folder, &Request::Post { name: name.clone(), when, command })?;
    Ok(name)
}

fn url(asked: &str) -> &str {
    if asked.is_empty() { DEFAULT_URL } else { asked }
}

/// A name that another folder's save, or one of another key, does not have.
fn name_of(save: &[OsString], directory: &Text) -> String {
    let words: Vec<_> = save.iter().filter(|word| *word != "--at-end").map(|word| word.to_string_lossy()).collect();
    let name = format!("{} in {directory}", words.join(" "));
    if name.len() <= NAME_MAX_BYTES && !name.chars().any(char::is_control) {
        return name;
    }
    let hash = ContentHash::of(name.as_bytes()).to_hex();
    format!("{} {}", words.first().map_or("save", |word| word), &hash[..16])
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
