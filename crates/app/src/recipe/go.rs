//! Go: the downloaded modules that `go.sum` names, and what was compiled.
//!
//! Of the module cache only `cache/download` is kept: the unpacked modules are made from the archives there without the
//! network, and are read-only folders that stand in the way of a restore. Of what was compiled, the rule is Go's own: what
//! no build has used for five days goes. A build touches what it uses at most once an hour, so times come back with files.
//!
//! Go is asked outside of the project and for its own version only: a project that wants a newer toolchain would make
//! it download that first, and the toolchain is among the modules that are restored. What the project wants counts like
//! a lock file instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_base::Result;
use serde_json::Value;

use super::{Caches, Description, Folder, Project, is_recent, locks, no_locks};
use crate::walk::Walk;

pub(super) const RECIPE: Caches = Caches { name: "go", looks_for: "go.mod or go.work", detect, describe };

/// How long Go keeps what it compiled and does not use.
const UNUSED: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// What of `go env` sets caches apart, besides the version.
const SETTINGS: [&str; 5] = ["CGO_ENABLED", "GOARCH", "GOEXPERIMENT", "GOFLAGS", "GOOS"];

fn detect(project: &Project<'_>) -> Vec<PathBuf> {
    locks::here(&project.directory, &is_manifest)
}

fn is_manifest(name: &str) -> bool {
    matches!(name, "go.mod" | "go.work")
}

fn describe(project: &Project<'_>) -> Result<Description> {
    let manifests = locks::below(&project.directory, &is_manifest);
    if manifests.is_empty() {
        return Err(no_locks(project, RECIPE.looks_for));
    }
    let sums = locks::below(&project.directory, &|name| matches!(name, "go.sum" | "go.work.sum"));
    let wanted: BTreeSet<String> = manifests.iter().flat_map(|path| versions(&read(project, path))).collect();
    let environment = Environment::ask(project);

    let mut description = Description { locks: sums.clone(), replaces: true, ..Description::default() };
    description.facts = wanted.iter().cloned().collect();
    if environment.version.is_none() {
        description.warnings.push("go cannot be run here, so its version is not part of the key".into());
    }
    description.parts.push(environment.version.clone().unwrap_or_else(|| "unknown".into()));
    description.settings = environment.settings.clone();
    description.settings.insert("system".into(), project.system.clone());
    if let Some(modules) = environment.modules {
        // Go compares the paths of sources, so what was compiled from modules elsewhere is of no use here.
        description.settings.insert("GOMODCACHE".into(), modules.display().to_string());
        let sums: Vec<String> = sums.iter().map(|path| read(project, path)).collect();
        let machine = machine(project);
        let select = Box::new(move |walk: &mut Walk, warnings: &mut Vec<String>| {
            let toolchains = wanted.iter().flat_map(|line| toolchain(line, &machine));
            for path in sums.iter().flat_map(|sum| downloads(sum)).chain(toolchains) {
                walk.add(&path, &|_| true, warnings);
            }
        });
        description.folders.push(Folder { name: "go-modules", path: modules, select });
    }
    if let Some(compiled) = environment.compiled {
        let (root, now) = (compiled.clone(), project.now);
        let wanted = move |path: &Path| match path.components().count() {
            // Inputs that fuzzing found are a corpus, and no cache.
            0 | 1 => !matches!(path.to_str(), Some("fuzz" | "README")),
            _ => is_recent(&root.join(path), now, UNUSED),
        };
        description.folders.push(Folder::new("go-build", compiled, wanted));
    }
    Ok(description)
}

fn read(project: &Project<'_>, path: &Path) -> String {
    // What cannot be read here cannot be hashed either, and is told then.
    fs::read_to_string(project.directory.join(path)).unwrap_or_default()
}

/// The lines of a manifest that say which Go is wanted.
fn versions(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().map(|line| line.split("//").next().unwrap_or(line).trim());
    lines.filter(|line| line.starts_with("go ") || line.starts_with("toolchain ")).map(str::to_owned).collect()
}

/// What of the module cache a `go.sum` has a use for.
fn downloads(sum: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for line in sum.lines() {
        let mut words = line.split_whitespace();
        let (Some(module), Some(version)) = (words.next(), words.next()) else { continue };
        let (version, endings) = match version.strip_suffix("/go.mod") {
            Some(version) => (version, &["info", "mod"][..]),
            None => (version, &["info", "mod", "zip", "ziphash"][..]),
        };
        let folder = Path::new("cache/download").join(escaped(module)).join("@v");
        // A line that leads elsewhere is none of Go's.
        if folder.components().all(|part| matches!(part, std::path::Component::Normal(_))) && !version.contains('/') {
            paths.extend(endings.iter().map(|ending| folder.join(format!("{}.{ending}", escaped(version)))));
        }
    }
    paths
}

/// The downloads of a toolchain that a manifest asks for.
fn toolchain(line: &str, machine: &str) -> Vec<PathBuf> {
    let version = line.strip_prefix("toolchain ").or_else(|| line.strip_prefix("go ")).unwrap_or_default().trim();
    let version = version.trim_start_matches("go");
    if !version.starts_with(|c: char| c.is_ascii_digit()) || version.contains('/') {
        return Vec::new();
    }
    let folder = Path::new("cache/download/golang.org/toolchain/@v");
    let endings = ["info", "mod", "zip", "ziphash"];
    endings.map(|ending| folder.join(format!("v0.0.1-go{version}.{machine}.{ending}"))).into()
}

/// This machine as the names of toolchains have it.
fn machine(project: &Project<'_>) -> String {
    let os = if project.os == "macos" { "darwin" } else { &project.os };
    let arch = match project.arch.as_str() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("{os}-{arch}")
}

/// As the module cache writes it: file systems may not tell cases apart.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
    }
    escaped
}

/// What `go env` says, or what is so when nobody can say it.
#[derive(Debug, Default)]
struct Environment {
    version: Option<String>,
    modules: Option<PathBuf>,
    /// `None` also when another program keeps what was compiled.
    compiled: Option<PathBuf>,
    settings: BTreeMap<String, String>,
}

impl Environment {
    fn ask(project: &Project<'_>) -> Self {
        let mut command = vec!["go", "env", "-json", "GOVERSION", "GOMODCACHE", "GOCACHE", "GOCACHEPROG"];
        command.extend(SETTINGS);
        let said = project.ask_in(Path::new("/"), &command);
        let answer: Option<Value> = said.and_then(|said| serde_json::from_str(&said).ok());
        let field =
            |name: &str| answer.as_ref()?.get(name)?.as_str().filter(|value| !value.is_empty()).map(str::to_owned);
        let folder = |name: &str| field(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let settings = SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), field(name)?))).collect();
        let paths = || project.variable("GOPATH").and_then(|paths| paths.split(':').next()).map(PathBuf::from);
        let modules = folder("GOMODCACHE")
            .or_else(|| project.variable_folder("GOMODCACHE"))
            .or_else(|| Some(paths().or_else(|| project.in_home("go"))?.join("pkg/mod")));
        let has_program = field("GOCACHEPROG").is_some() || project.variable("GOCACHEPROG").is_some();
        let compiled =
            folder("GOCACHE").or_else(|| project.variable_folder("GOCACHE")).or_else(|| project.in_caches("go-build"));
        Self {
            version: field("GOVERSION").map(|version| version.trim_start_matches("go").to_owned()),
            modules,
            compiled: compiled.filter(|_| !has_program),
            settings,
        }
    }
}

#[cfg(test)]
mod tests;
