//! Node.js: the stores of npm, pnpm and yarn. `node_modules` is left to the package managers, which make it from these
//! without the network, for this very machine.

use std::path::{Path, PathBuf};

use larder_base::Result;

use super::{Caches, Description, Folder, Project, locks, name_of, no_locks};

pub(super) const RECIPE: Caches = Caches {
    name: "node",
    looks_for: "package-lock.json, npm-shrinkwrap.json, pnpm-lock.yaml or yarn.lock",
    detect,
    describe,
};

fn detect(project: &Project<'_>) -> Vec<PathBuf> {
    locks::here(&project.directory, &is_lock)
}

fn is_lock(name: &str) -> bool {
    matches!(name, "package-lock.json" | "npm-shrinkwrap.json" | "pnpm-lock.yaml" | "yarn.lock")
}

fn describe(project: &Project<'_>) -> Result<Description> {
    let locks = locks::below(&project.directory, &is_lock);
    if locks.is_empty() {
        return Err(no_locks(project, RECIPE.looks_for));
    }
    let uses = |names: &[&str]| locks.iter().any(|lock| names.contains(&name_of(lock)));
    let mut description = Description::default();
    match project.ask(&["node", "--version"]) {
        Some(version) => {
            let version = version.trim_start_matches('v');
            description.parts.push(version.split('.').next().unwrap_or(version).to_owned());
        }
        None => {
            description.parts.push("unknown".into());
            description.warnings.push("node cannot be run here, so its version is not part of the key".into());
        }
    }
    if uses(&["package-lock.json", "npm-shrinkwrap.json"]) {
        description.parts.push("npm".into());
        description.folders.extend(npm(project));
    }
    if uses(&["pnpm-lock.yaml"]) {
        description.parts.push("pnpm".into());
        pnpm(project, &mut description);
    }
    if uses(&["yarn.lock"]) {
        description.parts.push("yarn".into());
        yarn(project, &mut description);
    }
    description.locks = locks;
    Ok(description)
}

/// Logs, npx's installations and notes about updates lie beside the store and stay out.
fn npm(project: &Project<'_>) -> Option<Folder> {
    let cache = project
        .ask_folder(&["npm", "config", "get", "cache"])
        .or_else(|| project.variable_folder("npm_config_cache"))
        .or_else(|| project.variable_folder("NPM_CONFIG_CACHE"))
        .or_else(|| project.in_home(".npm"))?;
    Some(Folder::new("npm", cache.join("_cacache"), |path| path != Path::new("tmp")))
}

fn pnpm(project: &Project<'_>, description: &mut Description) {
    let home = || match project.os.as_str() {
        "macos" => project.in_home("Library/pnpm"),
        _ => match project.variable_folder("XDG_DATA_HOME") {
            Some(data) => Some(data.join("pnpm")),
            None => project.in_home(".local/share/pnpm"),
        },
    };
    // Without pnpm nobody knows the number of its store's format; all of them are kept then.
    let asked = project.ask_folder(&["pnpm", "store", "path"]);
    if asked.is_none() {
        description.warnings.push("pnpm cannot be run here, so the format of its store is not part of the key".into());
    }
    let store = asked.or_else(|| {
        let home = project.variable_folder("PNPM_HOME").or_else(home)?;
        Some(home.join("store"))
    });
    let Some(store) = store else { return };
    // A store of another format goes elsewhere, and is of no use there.
    description.settings.insert("pnpm-store".into(), name_of(&store).to_owned());
    description.folders.push(Folder::new("pnpm", store, |path| {
        // Links back to this machine's projects, and what is being written.
        !matches!(path.to_str(), Some("projects" | "tmp")) && !name_of(path).ends_with(".lock")
    }));
    description.clean_up.push(&["pnpm", "store", "prune"]);
}

fn yarn(project: &Project<'_>, description: &mut Description) {
    let asked_of_1 = || project.ask_folder(&["yarn", "cache", "dir"]);
    let asked_of_later = || project.ask_folder(&["yarn", "config", "get", "cacheFolder"]);
    let (cache, format) = if is_of_yarn_1(project) {
        (asked_of_1().or_else(|| yarn_folder(project, "YARN_CACHE_FOLDER", "yarn/v6")), "yarn-1")
    } else {
        let fallback = || project.variable_folder("YARN_CACHE_FOLDER").or_else(|| project.in_home(".yarn/berry/cache"));
        (asked_of_later().or_else(fallback), "yarn-2")
    };
    let Some(cache) = cache else { return };
    description.settings.insert("yarn-format".into(), format.into());
    description.folders.push(Folder::new("yarn", cache, |path| {
        let name = name_of(path);
        path != Path::new(".tmp") && !name.ends_with(".lock") && !name.ends_with(".flock")
    }));
}

/// Yarn 1 writes no `__metadata` into its lock. What cannot be read is told when it is hashed.
fn is_of_yarn_1(project: &Project<'_>) -> bool {
    let locks = locks::below(&project.directory, &|name| name == "yarn.lock");
    locks.iter().all(|lock| {
        let text = std::fs::read_to_string(project.directory.join(lock)).unwrap_or_default();
        !text.lines().any(|line| line.starts_with("__metadata:"))
    })
}

fn yarn_folder(project: &Project<'_>, variable: &str, folder: &str) -> Option<PathBuf> {
    // The variable names what holds the folder of the format.
    project.variable_folder(variable).map(|cache| cache.join("v6")).or_else(|| project.in_caches(folder))
}

#[cfg(test)]
mod tests;
