//! Files that no crate lists, and tests that nobody runs.
//!
//! A file without its `mod` line is never compiled: its tests pass by never running. The `mod` lines are read by line,
//! not by a parser; what is read wrongly shows as a file that nobody lists, never as one that is overlooked.

use std::collections::BTreeSet;

use super::Outcome;
use crate::graph::Graph;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    let root = format!("{}/", workspace.root().display());
    let graph = Graph::load(workspace)?;
    let targets = graph.members().flat_map(|(_, package)| &package.targets);
    let targets: Vec<String> = targets.map(|path| path.strip_prefix(&root).unwrap_or(path).to_owned()).collect();
    let mut sources = Vec::new();
    for path in workspace.files()?.into_iter().filter(|path| is_source(path)) {
        let text = workspace.read(&path)?;
        sources.push((path, text));
    }
    Ok(Outcome::of(violations(&sources, &targets)))
}

/// Rust that a crate of the workspace should compile.
fn is_source(path: &str) -> bool {
    let inside = path.starts_with("crates/") || path.starts_with("doors/");
    inside
        && path.ends_with(".rs")
        && (path.contains("/src/") || path.contains("/tests/"))
        && !path.contains("/fixtures/")
}

fn violations(sources: &[(String, String)], targets: &[String]) -> Vec<String> {
    let mut listed: BTreeSet<String> = BTreeSet::new();
    let mut ahead: Vec<(String, bool)> = targets.iter().map(|path| (path.clone(), true)).collect();
    while let Some((path, is_root)) = ahead.pop() {
        let Some((_, text)) = sources.iter().find(|(known, _)| *known == path) else { continue };
        if listed.insert(path.clone()) {
            ahead.extend(children(&path, is_root, text).into_iter().map(|child| (child, false)));
        }
    }
    let mut wrong = Vec::new();
    for (path, text) in sources {
        if !listed.contains(path) {
            wrong.push(format!("{path}: no `mod` line names this file, so it is never compiled"));
        }
        wrong.extend(slips(path, text));
    }
    wrong
}

/// Paths that the `mod` lines of a file may mean.
fn children(path: &str, is_root: bool, text: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let inside = if is_root || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    let mut paths = Vec::new();
    let mut elsewhere = None;
    for line in text.lines().map(str::trim) {
        if let Some(value) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            elsewhere = Some(without_steps_up(&format!("{folder}/{value}")));
        } else if let Some(name) = module_named(line) {
            match elsewhere.take() {
                Some(path) => paths.push(path),
                None => paths.extend([format!("{inside}/{name}.rs"), format!("{inside}/{name}/mod.rs")]),
            }
        }
    }
    paths
}

/// The path with each `..` carried out.
fn without_steps_up(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The module that a line declares in another file: `mod name;`, with attributes and visibility in front.
fn module_named(line: &str) -> Option<&str> {
    let line = line.rsplit_once(']').map_or(line, |(_, rest)| rest.trim_start());
    let declared = line.strip_suffix(';')?;
    let (before, name) = declared.rsplit_once(' ')?;
    let visible = before.strip_suffix("mod")?.trim_end();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && (visible.is_empty() || visible == "pub" || visible.starts_with("pub("))).then_some(name)
}

/// Tests in the file they test, and ignored ones without a reason.
fn slips(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut after_cfg_test = false;
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if after_cfg_test && line.ends_with('{') && line.split(' ').any(|word| word == "mod") {
            wrong.push(format!("{path}:{number}: tests stand in the code; put them into a file tests.rs beside it"));
        }
        after_cfg_test = line == "#[cfg(test)]" || (after_cfg_test && line.starts_with("#["));
        if line == "#[ignore]" {
            wrong.push(format!("{path}:{number}: say why: #[ignore = \"reason, and who runs it\"]"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests;
