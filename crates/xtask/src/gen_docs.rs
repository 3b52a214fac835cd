//! `docs/reference/`: what the binary knows of itself (commands, configuration, exit codes), written by the binary.
//!
//! The interface is one hidden command, `larder generate-docs DIR`, which writes Markdown files into an empty folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::check::Outcome;
use crate::command;
use crate::workspace::Workspace;

const REFERENCE: &str = "docs/reference";
const SCRATCH: &str = "target/generated-docs";

type Pages = BTreeMap<String, String>;

/// Writes the pages and removes those that are no more.
pub(crate) fn write(workspace: &Workspace) -> Result<(), String> {
    let fresh = generate(workspace)?;
    if fresh.is_empty() {
        return Err("`larder generate-docs` wrote no page".to_owned());
    }
    let folder = workspace.path(REFERENCE);
    let failed = |error| format!("cannot write {REFERENCE}: {error}");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    for (name, text) in &fresh {
        fs::write(folder.join(name), text).map_err(failed)?;
        println!("{REFERENCE}/{name}");
    }
    Ok(())
}

/// Whether the pages in the tree are those that the binary writes.
pub(crate) fn check(workspace: &Workspace) -> Result<Outcome, String> {
    compare(&read(&workspace.path(REFERENCE))?, generate(workspace))
}

/// Until the first page is committed, a binary that cannot write any is excused; from then on it is an error.
fn compare(kept: &Pages, fresh: Result<Pages, String>) -> Result<Outcome, String> {
    if kept.is_empty() && fresh.as_ref().map_or(true, Pages::is_empty) {
        return Ok(Outcome::Excused("the binary writes no page of docs/reference yet".to_owned()));
    }
    fresh.map(|fresh| Outcome::of(differences(kept, &fresh)))
}

fn generate(workspace: &Workspace) -> Result<Pages, String> {
    let scratch = workspace.path(SCRATCH);
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(|error| format!("cannot empty {SCRATCH}: {error}"))?;
    }
    fs::create_dir_all(&scratch).map_err(|error| format!("cannot make {SCRATCH}: {error}"))?;
    command::run_cargo(
        workspace.root(),
        &["run", "--quiet", "--package", "larder", "--", "generate-docs", SCRATCH],
        &[],
    )?;
    read(&scratch)
}

fn read(folder: &Path) -> Result<Pages, String> {
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let mut pages = Pages::new();
    if !folder.exists() {
        return Ok(pages);
    }
    for item in fs::read_dir(folder).map_err(failed)? {
        let item = item.map_err(failed)?;
        let text = fs::read_to_string(item.path()).map_err(failed)?;
        pages.insert(item.file_name().to_string_lossy().into_owned(), text);
    }
    Ok(pages)
}

fn differences(kept: &Pages, fresh: &Pages) -> Vec<String> {
    let names: BTreeSet<&String> = kept.keys().chain(fresh.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (kept.get(name), fresh.get(name)) {
            (Some(kept), Some(fresh)) if kept == fresh => None,
            (Some(_), Some(_)) => Some(format!("{REFERENCE}/{name}: is not what the binary writes")),
            (Some(_), None) => Some(format!("{REFERENCE}/{name}: the binary does not write this page any more")),
            _ => Some(format!("{REFERENCE}/{name}: is missing")),
        })
        .collect()
}

#[cfg(test)]
mod tests;
