//! A door is a folder and a line.

use std::collections::BTreeMap;

use super::Outcome;
use crate::workspace::Workspace;

/// What is on disk of one door.
struct Found {
    name: String,
    manifest: String,
    page: Option<String>,
    has_tests: bool,
}

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    let files = workspace.files()?;
    let mut doors = Vec::new();
    for name in workspace.folders("doors")? {
        let has = |path: &str| files.iter().any(|file| file == path);
        if !has(&format!("doors/{name}/Cargo.toml")) {
            // What a branch left behind: a folder that git does not know.
            continue;
        }
        let page = format!("doors/{name}/README.md");
        doors.push(Found {
            manifest: workspace.read(&format!("doors/{name}/Cargo.toml"))?,
            page: if has(&page) { Some(workspace.read(&page)?) } else { None },
            has_tests: files.iter().any(|file| {
                file.starts_with(&format!("doors/{name}/src/"))
                    && (file.ends_with("/tests.rs") || file.contains("/tests/"))
            }),
            name,
        });
    }
    violations(&doors, &workspace.read("crates/app/Cargo.toml")?).map(Outcome::of)
}

fn violations(doors: &[Found], app: &str) -> Result<Vec<String>, String> {
    let lines = lines_of(app)?;
    let mut wrong: Vec<String> = doors.iter().flat_map(|door| of_door(door, &lines)).collect();
    for (line, path) in &lines {
        if !doors.iter().any(|door| format!("door-{}", door.name) == *line) {
            wrong.push(format!("crates/app/Cargo.toml: {line} names {path}, and there is no such door"));
        }
    }
    Ok(wrong)
}

fn of_door(door: &Found, lines: &BTreeMap<String, String>) -> Vec<String> {
    let name = &door.name;
    let mut wrong = Vec::new();
    if !is_name(name) {
        wrong.push(format!("doors/{name}: the name of a door is one word of lower-case letters and digits"));
    }
    let path = format!("../../doors/{name}");
    if lines.get(&format!("door-{name}")) != Some(&path) {
        wrong.push(format!("doors/{name}: crates/app/Cargo.toml lacks its line `door-{name}.path = \"{path}\"`"));
    }
    let package = door.manifest.parse::<toml::Table>().ok().and_then(|table| {
        table.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str().map(str::to_owned))
    });
    if package.as_deref() != Some(&format!("door-{name}")) {
        wrong.push(format!("doors/{name}/Cargo.toml: the package is to be called door-{name}"));
    }
    match door.page.as_deref() {
        None => wrong.push(format!("doors/{name}: lacks README.md, the page for those who point a client at it")),
        Some(page) if !page.starts_with("# ") || page.lines().count() < 5 => {
            wrong
                .push(format!("doors/{name}/README.md: a page has a title and says how to point a client at the door"));
        }
        Some(_) => {}
    }
    if !door.has_tests {
        wrong.push(format!("doors/{name}: has no tests; put its transcripts into src/tests.rs"));
    }
    wrong
}

/// Whether a door may be called so: the name is part of URLs, configuration and metrics.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The `door-*` lines of the application's manifest.
fn lines_of(app: &str) -> Result<BTreeMap<String, String>, String> {
    let table: toml::Table = app.parse().map_err(|error| format!("crates/app/Cargo.toml: {error}"))?;
    let needs = table.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten();
    Ok(needs
        .filter(|(name, _)| name.starts_with("door-"))
        .map(|(name, value)| {
            let path = value.get("path").and_then(toml::Value::as_str).unwrap_or("no path");
            (name.clone(), path.to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests;
