//! Clippy reads the nearest clippy.toml and no other, so a crate that is free of one ban must repeat the rest.
//!
//! Each reason begins with the ban's group (`files: ...`); a layer is free of whole groups.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Outcome;
use crate::workspace::Workspace;

/// Crates, and the groups of bans they are free of.
const FREE: &[(&str, &[&str])] = &[
    ("crates/app", &["files", "environment", "stopwatch", "terminal"]),
    ("crates/pool", &["files"]),
    ("crates/store", &["files"]),
    ("crates/testkit", &["files", "environment", "stopwatch", "terminal", "spawn"]),
    ("crates/tree", &["files"]),
    ("crates/xtask", &["files", "environment", "stopwatch", "terminal"]),
];

const LISTS: &[&str] = &["disallowed-macros", "disallowed-methods", "disallowed-types"];

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    let root = parse("clippy.toml", &workspace.read("clippy.toml")?)?;
    let mut wrong = without_group(&root);
    for path in workspace.files()? {
        if let Some(folder) = path.strip_suffix("/clippy.toml") {
            wrong.extend(violations(folder, &root, &parse(&path, &workspace.read(&path)?)?));
        }
    }
    Ok(Outcome::of(wrong))
}

fn parse(path: &str, text: &str) -> Result<Table, String> {
    text.parse().map_err(|error| format!("{path}: {error}"))
}

fn violations(folder: &str, root: &Table, own: &Table) -> Vec<String> {
    let Some((_, free)) = FREE.iter().find(|(known, _)| *known == folder) else {
        return vec![format!("{folder}/clippy.toml: this crate is free of no ban (crates/xtask/src/check/bans.rs)")];
    };
    let mut wrong = Vec::new();
    for (key, value) in root.iter().filter(|(key, _)| !LISTS.contains(&key.as_str())) {
        if own.get(key) != Some(value) {
            wrong.push(format!("{folder}/clippy.toml: {key} differs from the root's {value}"));
        }
    }
    for list in LISTS {
        let kept: BTreeSet<&str> = entries(own, list).map(|(path, _)| path).collect();
        for (path, reason) in entries(root, list) {
            if !free.contains(&group(reason)) && !kept.contains(path) {
                wrong.push(format!("{folder}/clippy.toml: {list} lacks {path}, of which this crate is not free"));
            }
        }
    }
    wrong
}

/// Bans without a reason that begins with a group.
fn without_group(root: &Table) -> Vec<String> {
    let all = LISTS.iter().flat_map(|list| entries(root, list));
    all.filter(|(_, reason)| group(reason).is_empty())
        .map(|(path, _)| format!("clippy.toml: the reason of {path} is to begin with its group, as in `files: ...`"))
        .collect()
}

fn entries<'a>(table: &'a Table, list: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    table.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(|entry| {
        Some((entry.get("path")?.as_str()?, entry.get("reason").and_then(Value::as_str).unwrap_or("")))
    })
}

fn group(reason: &str) -> &str {
    reason.split_once(": ").map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests;
