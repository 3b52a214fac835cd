//! The form of every text file, and the syntax of TOML and JSON.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Outcome;
use crate::workspace::Workspace;

/// Files whose bytes are data: transcripts, snapshots, old store directories.
const AS_IS: &[&str] = &[".snap", ".golden", ".patch"];
const AS_IS_FOLDERS: &[&str] = &["/tests/formats/", "/fixtures/", "/corpus/"];

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    let mut wrong = Vec::new();
    for path in workspace.files()? {
        let on_disk = workspace.path(&path);
        let failed = |error| format!("cannot read {path}: {error}");
        let bytes = fs::read(&on_disk).map_err(failed)?;
        let executable = fs::metadata(&on_disk).map_err(failed)?.permissions().mode() & 0o111 != 0;
        wrong.extend(violations(&path, &bytes, executable));
    }
    Ok(Outcome::of(wrong))
}

fn violations(path: &str, bytes: &[u8], executable: bool) -> Vec<String> {
    let data = AS_IS.iter().any(|end| path.ends_with(end)) || AS_IS_FOLDERS.iter().any(|folder| path.contains(folder));
    if data || bytes.contains(&0) {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![format!("{path}: is not UTF-8")];
    };
    let mut wrong = lines(path, text);
    if !text.is_empty() && !text.ends_with('\n') {
        wrong.push(format!("{path}: does not end in a newline"));
    }
    if text.ends_with("\n\n") {
        wrong.push(format!("{path}: ends in an empty line"));
    }
    if text.starts_with("#!/") && !executable {
        wrong.push(format!("{path}: begins with #! and is not executable; run `chmod +x {path}`"));
    }
    wrong.extend(syntax(path, text).map(|error| format!("{path}: {error}")));
    wrong
}

fn lines(path: &str, text: &str) -> Vec<String> {
    let tabs_belong = path.ends_with("Makefile") || path.ends_with(".go");
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let mut say = |what: &str| wrong.push(format!("{path}:{number}: {what}"));
        if line.contains('\r') {
            say("carriage return");
        } else if line.ends_with([' ', '\t']) {
            say("trailing blank");
        }
        if line.contains('\t') && !tabs_belong {
            say("tab");
        }
    }
    wrong
}

fn syntax(path: &str, text: &str) -> Option<String> {
    if path.ends_with(".toml") || path.ends_with("Cargo.lock") {
        return text.parse::<toml::Table>().err().map(|error| error.to_string());
    }
    if path.ends_with(".json") {
        return serde_json::from_str::<serde_json::Value>(text).err().map(|error| error.to_string());
    }
    None
}

#[cfg(test)]
mod tests;
