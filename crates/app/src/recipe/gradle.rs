//! Gradle: what it downloaded, transformed and built, and the distributions of its wrapper.
//!
//! What Gradle notes about this machine's files, its daemons and its own housekeeping stays out: it is of no use
//! elsewhere and differs after each build. Of the build cache goes what no build used for a week, which is Gradle's own rule.

use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_base::Result;

use super::{Caches, Description, Folder, Project, is_recent, locks, name_of, no_locks};

pub(super) const RECIPE: Caches = Caches {
    name: "gradle",
    looks_for: "build.gradle, build.gradle.kts, settings.gradle or settings.gradle.kts",
    detect,
    describe,
};

/// How long Gradle keeps what is in its build cache and not used.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Of `caches`, and of each version's folder in it, what is kept; a number may follow, as in `transforms-3`.
const KEPT: [&str; 7] =
    ["build-cache", "generated-gradle-jars", "groovy-dsl", "jars", "kotlin-dsl", "modules", "transforms"];
/// Names that hold no more than Gradle's housekeeping.
const HOUSEKEEPING: [&str; 2] = ["file-access.bin", "gc.properties"];

fn detect(project: &Project<'_>) -> Vec<PathBuf> {
    locks::here(&project.directory, &|name| {
        is_script(name) && (name.starts_with("build.") || name.starts_with("settings."))
    })
}

fn is_script(name: &str) -> bool {
    name.ends_with(".gradle") || name.ends_with(".gradle.kts")
}

fn is_lock(name: &str) -> bool {
    is_script(name)
        || name.ends_with(".versions.toml")
        || matches!(
            name,
            "gradle.lockfile"
                | "buildscript-gradle.lockfile"
                | "gradle.properties"
                | "gradle-wrapper.properties"
                | "verification-metadata.xml"
        )
}

fn describe(project: &Project<'_>) -> Result<Description> {
    let locks = locks::below(&project.directory, &is_lock);
    if !locks.iter().any(|lock| is_script(name_of(lock))) {
        return Err(no_locks(project, RECIPE.looks_for));
    }
    let mut description = Description { locks, replaces: true, ..Description::default() };
    match version(project) {
        Some(version) => description.parts.push(version),
        None => {
            description.parts.push("unknown".into());
            let why = "there is no wrapper and gradle cannot be run here, so its version is not part of the key";
            description.warnings.push(why.into());
        }
    }
    let Some(home) = project.variable_folder("GRADLE_USER_HOME").or_else(|| project.in_java_home(".gradle")) else {
        return Ok(description);
    };
    let (caches, now) = (home.join("caches"), project.now);
    let root = caches.clone();
    let wanted = move |path: &Path| is_kept(path) && !is_old_build(&root, path, now);
    description.folders.push(Folder::new("gradle-caches", caches, wanted));
    description.folders.push(Folder::new("gradle-wrapper", home.join("wrapper"), |path| {
        // The archive is of no use once it is unpacked, and the lock is the machine's.
        !["zip", "lck", "part"].iter().any(|ending| path.extension().is_some_and(|extension| extension == *ending))
    }));
    Ok(description)
}

/// The wrapper's version, else that of the Gradle on the path.
fn version(project: &Project<'_>) -> Option<String> {
    let properties = std::fs::read_to_string(project.directory.join("gradle/wrapper/gradle-wrapper.properties"));
    if let Some(version) = properties.ok().as_deref().and_then(wrapper_version) {
        return Some(version);
    }
    let said = project.ask(&["gradle", "--version"])?;
    said.lines().find_map(|line| Some(line.trim().strip_prefix("Gradle ")?.trim().to_owned()))
}

/// `8.5` of `distributionUrl=https\://host.example/distributions/gradle-8.5-bin.zip`.
fn wrapper_version(properties: &str) -> Option<String> {
    let url =
        properties.lines().find_map(|line| line.trim().strip_prefix("distributionUrl")?.trim().strip_prefix('='))?;
    let archive = url.trim().rsplit('/').next()?.strip_prefix("gradle-")?;
    let version = archive.trim_end_matches(".zip").trim_end_matches("-bin").trim_end_matches("-all");
    Some(version.to_owned()).filter(|version| !version.is_empty())
}

fn is_kept(path: &Path) -> bool {
    let name = name_of(path);
    if name.ends_with(".lock") || HOUSEKEEPING.contains(&name) {
        return false;
    }
    let mut parts = path.components().filter_map(|part| part.as_os_str().to_str());
    match (parts.next(), parts.next()) {
        (None, _) => true,
        // The folder of a version, such as `8.5`: what is kept of it is told by the next name.
        (Some(version), None) if is_version(version) => true,
        (Some(version), Some(cache)) if is_version(version) => is_cache(cache),
        (Some(cache), _) => is_cache(cache),
    }
}

fn is_version(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('.')
}

fn is_cache(name: &str) -> bool {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
    KEPT.contains(&plain)
}

fn is_old_build(root: &Path, path: &Path, now: larder_base::Timestamp) -> bool {
    let in_build_cache = path.components().count() == 2
        && path.components().next().is_some_and(|top| top.as_os_str().to_string_lossy().starts_with("build-cache"));
    in_build_cache && !is_recent(&root.join(path), now, UNUSED)
}

#[cfg(test)]
mod tests;
