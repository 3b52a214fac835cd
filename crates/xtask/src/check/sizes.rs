//! How long a file may be.

use super::Outcome;
use crate::workspace::Workspace;

/// Lines of a production file.
const MOST: usize = 800;

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    let mut wrong = Vec::new();
    for path in workspace.files()?.iter().filter(|path| is_production(path)) {
        wrong.extend(violation(path, &workspace.read(path)?));
    }
    Ok(Outcome::of(wrong))
}

/// Tests may be long, and nobody reads what a generator wrote.
fn is_production(path: &str) -> bool {
    let tests = path.ends_with("/tests.rs") || path.contains("/tests/");
    let generated = path.starts_with("crates/proto/src/generated/");
    path.ends_with(".rs") && !tests && !generated
}

fn violation(path: &str, text: &str) -> Option<String> {
    let length = text.lines().count();
    (length > MOST).then(|| format!("{path}: {length} lines, and {MOST} is the most"))
}

#[cfg(test)]
mod tests;
