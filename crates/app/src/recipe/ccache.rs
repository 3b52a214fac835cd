//! ccache: its local cache. It bounds itself; what it notes for its own use, and its configuration, stay out.
//!
//! There is no lock file for what a compiler reads, so the key is that of the compilers, and each save replaces the last:
//! ccache looks into every file by its content, and old ones do no harm.

use std::path::{Path, PathBuf};

use larder_base::Result;

use super::{Caches, Description, Folder, Project, locks, name_of};

pub(super) const RECIPE: Caches = Caches {
    name: "ccache",
    looks_for: "CMakeLists.txt, meson.build, configure, configure.ac or configure.in beside an installed ccache",
    detect,
    describe,
};

/// The variable that names each compiler, and its usual name.
const COMPILERS: [(&str, &str); 2] = [("CC", "cc"), ("CXX", "c++")];

fn detect(project: &Project<'_>) -> Vec<PathBuf> {
    let found = locks::here(&project.directory, &|name| {
        matches!(name, "CMakeLists.txt" | "meson.build" | "configure" | "configure.ac" | "configure.in")
    });
    // Such files tell of a compiler, and not of a cache for it.
    if found.is_empty() || version(project).is_none() { Vec::new() } else { found }
}

fn describe(project: &Project<'_>) -> Result<Description> {
    let mut description = Description { replaces: true, ..Description::default() };
    match version(project) {
        Some(version) => description.parts.push(version),
        None => {
            description.parts.push("unknown".into());
            description.warnings.push("ccache cannot be run here, so its version is not part of the key".into());
        }
    }
    for (variable, default) in COMPILERS {
        let command: Vec<&str> = project.variable(variable).unwrap_or(default).split_whitespace().collect();
        // `CC="ccache gcc"` names the compiler last.
        let Some(compiler) = command.iter().find(|word| name_of(Path::new(word)) != "ccache") else { continue };
        if let Some(said) = project.ask(&[compiler, "--version"]) {
            description.settings.insert(variable.into(), said.lines().next().unwrap_or_default().to_owned());
        }
    }
    description.settings.insert("system".into(), project.system.clone());
    if let Some(cache) = cache(project) {
        description.folders.push(Folder::new("ccache", cache, |path| {
            let name = name_of(path);
            let is_machines_own = path.components().count() == 1
                && (matches!(name, "tmp" | "lock" | "ccache.conf") || name.starts_with("inode-cache"));
            let is_unfinished = name.contains(".tmp.") || name.ends_with(".lock") || name.starts_with(".nfs");
            !is_machines_own && !is_unfinished
        }));
        description.clean_up.push(&["ccache", "--cleanup"]);
    }
    Ok(description)
}

/// `4.7.5` of `ccache version 4.7.5`.
fn version(project: &Project<'_>) -> Option<String> {
    let said = project.ask(&["ccache", "--version"])?;
    said.lines().next()?.strip_prefix("ccache version ").map(|version| version.trim().to_owned())
}

fn cache(project: &Project<'_>) -> Option<PathBuf> {
    project
        .ask_folder(&["ccache", "--get-config", "cache_dir"])
        .or_else(|| project.variable_folder("CCACHE_DIR"))
        .or_else(|| project.in_home(".ccache").filter(|old| old.is_dir()))
        .or_else(|| match project.os.as_str() {
            "macos" => project.in_home("Library/Caches/ccache"),
            _ => project.in_caches("ccache"),
        })
}

#[cfg(test)]
mod tests;
