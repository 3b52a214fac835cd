//! Finds lock files.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose lock files are not the project's: what tools installed, built or unpacked.
const FOREIGN: [&str; 8] =
    ["__pycache__", "build", "dist", "node_modules", "site-packages", "target", "vendor", "venv"];

/// The names of the folder's own files that `wanted` agrees to, sorted.
pub(super) fn here(directory: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<PathBuf> =
        names.filter(|name| wanted(name) && directory.join(name).is_file()).map(PathBuf::from).collect();
    found.sort();
    found
}

/// The files of the folder and all below it whose names `wanted` agrees to, relative and sorted. Links to folders are not
/// followed; hidden folders (but Maven's own) and those of installed or built things are not entered.
pub(super) fn below(directory: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let (mut found, mut ahead) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = ahead.pop() {
        let absolute = directory.join(&folder);
        found.extend(here(&absolute, wanted).into_iter().map(|name| folder.join(name)));
        let Ok(entries) = fs::read_dir(&absolute) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_hidden = name.starts_with('.') && name != ".mvn";
            if is_folder && !is_hidden && !FOREIGN.contains(&&*name) {
                ahead.push(folder.join(&*name));
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests;
