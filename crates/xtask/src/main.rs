//! Checks and generators for contributors: `cargo xtask`.
//!
//! If a reviewer says a thing twice, a machine says it the next time. Each rule is a function from what it looks at to the
//! list of what is wrong, and has a test with a broken example. This crate knows no other crate of the workspace.

mod check;
mod command;
mod gen_docs;
mod graph;
mod new_door;
mod sample_door;
mod workspace;

use std::process::ExitCode;

use check::{Selection, Skips};
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check [--only NAME]... [--skip NAME]... [--forbid-skips]
                      everything that must hold before a change lands; --forbid-skips fails on a check that cannot run
  check --list        the checks and what each one demands
  new-door NAME       make doors/NAME and its line in crates/app/Cargo.toml
  sample-door         make a door in a copy of the workspace, build it, test it and check it
  gen-docs [--check]  write docs/reference/ from what the binary knows of itself; --check only compares
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
    }
}

/// Does what the command line says; false when it found something wrong.
fn run(arguments: &[String]) -> Result<bool, String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["check", "--list"] => {
            check::list();
            Ok(true)
        }
        ["check", rest @ ..] => {
            let (selection, skips) = check_arguments(rest)?;
            check::run(&Workspace::locate()?, &selection, skips)
        }
        ["new-door", name] => new_door::run(&Workspace::locate()?, name).map(|()| true),
        ["sample-door"] => sample_door::run(&Workspace::locate()?).map(|()| true),
        ["gen-docs"] => gen_docs::write(&Workspace::locate()?).map(|()| true),
        ["gen-docs", "--check"] => check::run(&Workspace::locate()?, &Selection::only("generated"), Skips::Allowed),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(true)
        }
        other => Err(format!("cannot read `{}`\n\n{USAGE}", other.join(" "))),
    }
}

fn check_arguments(arguments: &[&str]) -> Result<(Selection, Skips), String> {
    let mut selection = Selection::default();
    let mut skips = Skips::Allowed;
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        let list = match argument {
            "--forbid-skips" => {
                skips = Skips::Forbidden;
                continue;
            }
            "--only" => &mut selection.only,
            "--skip" => &mut selection.skip,
            other => return Err(format!("check: cannot read `{other}`\n\n{USAGE}")),
        };
        let &name = rest.next().ok_or_else(|| format!("check: {argument} needs the name of a check"))?;
        if !check::names().any(|known| known == name) {
            let known: Vec<_> = check::names().collect();
            return Err(format!("check: no check is called `{name}`; there are {}", known.join(", ")));
        }
        list.push(name.to_owned());
    }
    Ok((selection, skips))
}

#[cfg(test)]
mod tests;
