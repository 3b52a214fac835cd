//! Python: the caches of pip and uv. Environments are left to them, which make one from these.

use std::path::{Path, PathBuf};

use larder_base::Result;

use super::{Caches, Description, Folder, Project, locks, name_of, no_locks};

pub(super) const RECIPE: Caches = Caches {
    name: "python",
    looks_for: "uv.lock, requirements*.txt, constraints*.txt, pylock*.toml or pyproject.toml",
    detect,
    describe,
};

fn detect(project: &Project<'_>) -> Vec<PathBuf> {
    let locks = locks::here(&project.directory, &is_lock);
    if locks.is_empty() { locks::here(&project.directory, &is_manifest) } else { locks }
}

fn is_lock(name: &str) -> bool {
    let ends = |ending: &str| Path::new(name).extension().is_some_and(|extension| extension == ending);
    name == "uv.lock"
        || (ends("txt") && (name.contains("requirements") || name.starts_with("constraints")))
        || (ends("toml") && name.starts_with("pylock"))
}

/// What stands for a lock where there is none.
fn is_manifest(name: &str) -> bool {
    name == "pyproject.toml"
}

fn describe(project: &Project<'_>) -> Result<Description> {
    let mut locks = locks::below(&project.directory, &is_lock);
    if locks.is_empty() {
        locks = locks::below(&project.directory, &is_manifest);
    }
    if locks.is_empty() {
        return Err(no_locks(project, RECIPE.looks_for));
    }
    let mut description = Description::default();
    let version = project.ask(&["python3", "--version"]).or_else(|| project.ask(&["python", "--version"]));
    match version.as_deref().and_then(minor_version) {
        Some(version) => description.parts.push(version),
        None => {
            description.parts.push("unknown".into());
            description.warnings.push("python3 cannot be run here, so its version is not part of the key".into());
        }
    }
    // Wheels that were built here may link to the system's libraries.
    description.settings.insert("system".into(), project.system.clone());
    let has_uv_lock = locks.iter().any(|lock| name_of(lock) == "uv.lock");
    let is_for_pip = locks.iter().any(|lock| name_of(lock) != "uv.lock");
    // uv installs from the files of pip, too.
    let uses_uv = has_uv_lock || project.ask(&["uv", "--version"]).is_some();
    if is_for_pip {
        description.parts.push("pip".into());
        description.folders.extend(pip(project));
    }
    if uses_uv {
        description.parts.push("uv".into());
        description.folders.extend(uv(project));
        description.clean_up.push(&["uv", "cache", "prune"]);
    }
    description.locks = locks;
    Ok(description)
}

/// `3.11` of `Python 3.11.7`: what a wheel is made for.
fn minor_version(said: &str) -> Option<String> {
    let mut numbers = said.strip_prefix("Python ")?.split(['.', ' ']);
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

/// Downloads and the wheels that were built from them; notes on pip's own updates stay out.
fn pip(project: &Project<'_>) -> Option<Folder> {
    let cache = [&["pip", "cache", "dir"][..], &["pip3", "cache", "dir"], &["python3", "-m", "pip", "cache", "dir"]]
        .iter()
        .find_map(|command| project.ask_folder(command))
        .or_else(|| project.variable_folder("PIP_CACHE_DIR"))
        .or_else(|| project.in_caches("pip"))?;
    Some(Folder::new("pip", cache, |path| path != Path::new("selfcheck") && !is_unfinished(name_of(path))))
}

/// What uv knows of this machine's interpreters, environments that it made, and what is half unpacked stay out.
fn uv(project: &Project<'_>) -> Option<Folder> {
    let cache =
        project.ask_folder(&["uv", "cache", "dir"]).or_else(|| project.variable_folder("UV_CACHE_DIR")).or_else(
            || Some(project.variable_folder("XDG_CACHE_HOME").or_else(|| project.in_home(".cache"))?.join("uv")),
        )?;
    Some(Folder::new("uv", cache, |path| {
        let name = name_of(path);
        let of_machine = ["builds-", "environments-", "interpreter-"].iter().any(|start| name.starts_with(start));
        let is_top = path.components().count() == 1;
        // Below `archive-` lie unpacked wheels, where a lock file is somebody's content.
        let in_archive =
            path.components().next().is_some_and(|top| top.as_os_str().to_string_lossy().starts_with("archive-"));
        !(is_top && (of_machine || name == ".lock")) && (in_archive || !is_unfinished(name))
    }))
}

fn is_unfinished(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "lock" || ending == "tmp") || name.starts_with(".tmp")
}

#[cfg(test)]
mod tests;
