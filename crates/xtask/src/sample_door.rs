//! `cargo xtask sample-door`: proof that a door is a folder and a line.
//!
//! Copies the workspace, makes a door there with `new-door`, and demands that it builds into the binary, passes its tests
//! and every cheap check, and that nothing else in the tree had to change. The lock file follows by itself.

use std::fs;
use std::path::Path;

use crate::check::{self, Selection, Skips};
use crate::command;
use crate::graph::{Graph, Kind};
use crate::new_door;
use crate::workspace::Workspace;

const COPY: &str = "target/sample-door";
/// The door's name; no protocol is called so.
const NAME: &str = "sample";
/// The checks that a new door must pass; clippy stands for the code, the rest for the form.
const CHECKS: &[&str] = &["text", "fmt", "layers", "sizes", "modules", "doors", "bans", "clippy"];

pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    let copy = copy(workspace)?;
    // Only new files and one line may differ afterwards; git tells what does.
    command::output(copy.root(), "git", &["init", "--quiet"])?;
    command::output(copy.root(), "git", &["add", "--all"])?;
    new_door::run(&copy, NAME)?;
    let changed = command::output(copy.root(), "git", &["diff", "--numstat"])?;
    if changed.trim_end() != "1\t0\tcrates/app/Cargo.toml" {
        return Err(format!("sample-door: a door is to change one line of the tree, and this changed:\n{changed}"));
    }
    println!("the door is a folder and a line");
    cargo(&copy, "builds into the binary", &["build", "--quiet", "--package", "larder"])?;
    let package = format!("door-{NAME}");
    cargo(&copy, "passes its tests", &["test", "--quiet", "--package", &package])?;
    contains_door(&copy, &package)?;
    let selection = Selection { only: CHECKS.iter().map(|name| (*name).to_owned()).collect(), skip: Vec::new() };
    if !check::run(&copy, &selection, Skips::Forbidden)? {
        return Err(format!(
            "sample-door: a fresh door does not pass the checks; mend its templates, or {COPY} to see"
        ));
    }
    println!("the new door passes the checks");
    Ok(())
}

fn cargo(copy: &Workspace, what: &str, arguments: &[&str]) -> Result<(), String> {
    command::run_cargo(copy.root(), arguments, &[])?;
    println!("the new door {what}");
    Ok(())
}

fn contains_door(copy: &Workspace, package: &str) -> Result<(), String> {
    let graph = Graph::load(copy)?;
    let app = graph.members().find(|(_, member)| member.name == "larder");
    let way = app.and_then(|(place, _)| graph.way(place, package, Kind::SHIPPED));
    way.map(|_| ()).ok_or_else(|| "sample-door: the application does not contain the new door".to_owned())
}

/// Copies the workspace's files, and what cargo made of other people's crates, which saves their compilation.
fn copy(workspace: &Workspace) -> Result<Workspace, String> {
    let copy = Workspace::at(workspace.path(COPY));
    let failed = |error| format!("sample-door: cannot copy the workspace to {COPY}: {error}");
    if copy.root().exists() {
        fs::remove_dir_all(copy.root()).map_err(failed)?;
    }
    for path in workspace.files()? {
        copy_file(&workspace.path(&path), &copy.path(&path)).map_err(failed)?;
    }
    let ours: Vec<String> = Graph::load(workspace)?.members().map(|(_, member)| member.name.clone()).collect();
    for folder in ["deps", "build", ".fingerprint"] {
        let from = workspace.path(&format!("target/debug/{folder}"));
        copy_foreign(&from, &copy.path(&format!("target/debug/{folder}")), &ours).map_err(failed)?;
    }
    Ok(copy)
}

/// Copies what a target folder holds, less what is of crates of ours.
fn copy_foreign(from: &Path, to: &Path, ours: &[String]) -> std::io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    for item in fs::read_dir(from)? {
        let item = item?;
        if !is_ours(&item.file_name().to_string_lossy(), ours) {
            copy_all(&item.path(), &to.join(item.file_name()))?;
        }
    }
    Ok(())
}

/// Whether `name`, of something that cargo made (`libdoor_ci-<hash>.rlib`), begins with the name of a crate of ours.
fn is_ours(name: &str, ours: &[String]) -> bool {
    let plain = name.strip_prefix("lib").unwrap_or(name).replace('-', "_");
    ours.iter().any(|crate_name| {
        let rest = plain.strip_prefix(&crate_name.replace('-', "_"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '.']))
    })
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return copy_file(from, to);
    }
    fs::create_dir_all(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        copy_all(&item.path(), &to.join(item.file_name()))?;
    }
    Ok(())
}

/// Copies a file with its time of change, by which cargo tells what is fresh.
fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to)?;
    // Not every file can be opened for writing; those that cannot are no products whose time counts.
    match fs::File::options().write(true).open(to) {
        Ok(file) => file.set_modified(fs::metadata(from)?.modified()?),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
