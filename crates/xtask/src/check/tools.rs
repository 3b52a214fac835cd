//! Checks that cargo's own tools make.

use super::Outcome;
use crate::command;
use crate::workspace::Workspace;

pub(super) fn fmt(workspace: &Workspace) -> Result<Outcome, String> {
    passes(workspace, &["fmt", "--all", "--", "--check", "--color", "never"], &[])
}

pub(super) fn clippy(workspace: &Workspace) -> Result<Outcome, String> {
    passes(
        workspace,
        &["clippy", "--quiet", "--keep-going", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        &[],
    )
}

pub(super) fn docs(workspace: &Workspace) -> Result<Outcome, String> {
    let arguments =
        ["doc", "--quiet", "--keep-going", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    passes(workspace, &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
}

fn passes(workspace: &Workspace, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome, String> {
    command::run_cargo(workspace.root(), arguments, environment).map(|()| Outcome::Passed)
}
