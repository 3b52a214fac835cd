//! Where cargo puts the files of a unit, in both of its layouts.
//!
//! ```text
//! <profile>/.fingerprint/<package>-<hash>/        present layout: one hash joins what is spread over
//! <profile>/build/<package>-<hash>/               three directories
//! <profile>/deps/[lib]<crate>-<hash>.<ending>
//!
//! <profile>/build/<package>/<hash>/fingerprint/   new layout (rust-lang/cargo#15010): one directory is one unit
//!                                  out/
//!                                  run/
//! ```
//! `<profile>` is `debug`, `release` or the like, alone or below a target triple, and again below the directories that
//! tools such as coverage and compile-fail harnesses keep inside the target directory.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How deep below the root a profile's directory may lie: `tests/trybuild/<triple>/<profile>` is four.
const DEPTH: usize = 5;
/// Large directories that never hold one.
const BARREN: [&str; 3] = ["doc", "package", "tmp"];

/// The files of one unit. All paths are relative to the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnitDirectory {
    /// The name of its package, as cargo wrote it into the path. Not yet its identity: see `origin`.
    pub(super) package: String,
    /// The profile's directory.
    pub(super) profile: PathBuf,
    /// Where its fingerprint is.
    pub(super) fingerprint: PathBuf,
    /// All it has: files, and directories with everything in them.
    pub(super) parts: Vec<PathBuf>,
    /// What rustc wrote about the sources it read.
    pub(super) dep_info: Vec<PathBuf>,
    /// Names of its files, besides fingerprint, dep-info and what a build script generated.
    pub(super) outputs: Vec<String>,
}

/// All units below `root`; none when there is no such directory. What cannot be read is named in `warnings`.
pub(super) fn scan(root: &Path, warnings: &mut Vec<String>) -> Vec<UnitDirectory> {
    let mut scan = Scan { root, warnings, found: Vec::new() };
    scan.visit(Path::new(""), DEPTH);
    scan.found.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    scan.found
}

struct Scan<'a> {
    root: &'a Path,
    warnings: &'a mut Vec<String>,
    found: Vec<UnitDirectory>,
}

/// An entry of a directory: its name, its path from the root, and whether it is a directory (not a link to one).
struct Child {
    name: String,
    path: PathBuf,
    is_directory: bool,
}

impl Scan<'_> {
    fn visit(&mut self, directory: &Path, depth: usize) {
        let before = self.found.len();
        let children = self.children(directory);
        let has = |name: &str| children.iter().any(|child| child.is_directory && child.name == name);
        if has(".fingerprint") {
            self.present_layout(directory);
        }
        if has("build") {
            self.new_layout(directory);
        }
        if self.found.len() > before || has(".fingerprint") || depth == 0 {
            return;
        }
        for child in children {
            if child.is_directory && !BARREN.contains(&child.name.as_str()) {
                self.visit(&child.path, depth - 1);
            }
        }
    }

    fn present_layout(&mut self, profile: &Path) {
        let mut by_hash: HashMap<String, Vec<Child>> = HashMap::new();
        for child in self.children(&profile.join("deps")) {
            if let Some(hash) = hash_in(&child.name) {
                by_hash.entry(hash.to_owned()).or_default().push(child);
            }
        }
        for child in self.children(&profile.join(".fingerprint")) {
            let Some((package, hash)) = child.name.rsplit_once('-').filter(|(_, hash)| is_hash(hash)) else { continue };
            let mut unit = UnitDirectory {
                package: package.to_owned(),
                profile: profile.to_owned(),
                fingerprint: child.path.clone(),
                parts: vec![child.path],
                ..UnitDirectory::default()
            };
            let build = profile.join("build").join(&child.name);
            let scripted = self.children(&build);
            if !scripted.is_empty() {
                unit.parts.push(build);
                scripted.iter().for_each(|file| unit.note(file));
            }
            for file in by_hash.remove(hash).unwrap_or_default() {
                unit.note(&file);
                unit.parts.push(file.path);
            }
            self.found.push(unit);
        }
    }

    fn new_layout(&mut self, profile: &Path) {
        for package in self.children(&profile.join("build")) {
            if !package.is_directory {
                continue;
            }
            for hash in self.children(&package.path) {
                let parts = if hash.is_directory { self.children(&hash.path) } else { Vec::new() };
                let Some(fingerprint) = parts.iter().find(|part| part.is_directory && part.name == "fingerprint")
                else {
                    continue;
                };
                let mut unit = UnitDirectory {
                    package: package.name.clone(),
                    profile: profile.to_owned(),
                    fingerprint: fingerprint.path.clone(),
                    parts: vec![hash.path],
                    ..UnitDirectory::default()
                };
                for part in parts.iter().filter(|part| part.is_directory && part.name != "fingerprint") {
                    self.children(&part.path).iter().for_each(|file| unit.note(file));
                }
                self.found.push(unit);
            }
        }
    }

    fn children(&mut self, directory: &Path) -> Vec<Child> {
        let mut children = Vec::new();
        if let Err(error) = self.try_children(directory, &mut children)
            && !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        {
            self.warnings.push(format!("cannot read {}: {error}", self.root.join(directory).display()));
        }
        children
    }

    fn try_children(&self, directory: &Path, children: &mut Vec<Child>) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(directory))? {
            let entry = entry?;
            // Cargo's own names are all UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = directory.join(&name);
            children.push(Child { name, path, is_directory: entry.file_type()?.is_dir() });
        }
        Ok(())
    }
}

impl UnitDirectory {
    fn note(&mut self, child: &Child) {
        if child.is_directory {
            return;
        }
        if child.name.ends_with(".d") {
            self.dep_info.push(child.path.clone());
        } else {
            self.outputs.push(child.name.clone());
        }
    }
}

/// The hash in the name of an output: what stands between the last `-` before the first `.` and that.
fn hash_in(name: &str) -> Option<&str> {
    let stem = name.split('.').next().unwrap_or(name);
    stem.rsplit_once('-').map(|(_, hash)| hash).filter(|hash| is_hash(hash))
}

fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
