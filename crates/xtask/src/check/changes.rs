//! Notes of what changed for users, one file each, from which the changelog is put together at a release.

use super::Outcome;
use crate::workspace::Workspace;

const FOLDER: &str = "changes/";
const KINDS: &[&str] = &["added", "changed", "fixed", "removed", "security"];
/// Characters of the first line.
const SUMMARY_MOST: usize = 100;

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    let mut wrong = Vec::new();
    for path in workspace.files()? {
        if let Some(name) = path.strip_prefix(FOLDER)
            && !["README.md", "TEMPLATE.md"].contains(&name)
        {
            wrong.extend(violations(name, &workspace.read(&path)?));
        }
    }
    Ok(Outcome::of(wrong))
}

fn violations(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |what: String| wrong.push(format!("{FOLDER}{name}: {what}"));
    let stem = name.strip_suffix(".md").unwrap_or("");
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !stem.split('-').all(word) {
        say("the name is to be lower-case words joined by hyphens, ending in .md".to_owned());
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.split_once(": ") {
        Some((kind, summary)) if KINDS.contains(&kind) => {
            if summary.trim().is_empty() || summary.ends_with('.') || first.chars().count() > SUMMARY_MOST {
                say(format!("the summary is one line of at most {SUMMARY_MOST} characters, without a full stop"));
            }
        }
        _ => say(format!("the first line is `KIND: summary`, where KIND is one of {}", KINDS.join(", "))),
    }
    if !rest.starts_with('\n') || rest.trim().is_empty() {
        say("after an empty line, say what it means for the reader and what they must do, if anything".to_owned());
    }
    if text.contains('<') && text.contains("<what") {
        say("the template's words are still in it".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests;
