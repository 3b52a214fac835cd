//! Maven: the local repository, without what this project installed into it, and the distributions of the wrapper.
//!
//! Snapshots change under one name and notes of failed look-ups keep Maven from looking again, so neither is kept.

use std::collections::BTreeSet;
use std::path::PathBuf;

use larder_base::Result;

use super::{Caches, Description, Folder, Project, locks, name_of, no_locks};

pub(super) const RECIPE: Caches = Caches { name: "maven", looks_for: "pom.xml", detect, describe };

/// The option that says where the repository lies.
const REPOSITORY_OPTION: &str = "-Dmaven.repo.local=";
/// What was not downloaded whole, and what says when a look-up failed or a process works here.
const UNSTABLE: [&str; 5] = ["lastUpdated", "lock", "lck", "part", "tmp"];

fn detect(project: &Project<'_>) -> Vec<PathBuf> {
    locks::here(&project.directory, &|name| name == "pom.xml")
}

fn describe(project: &Project<'_>) -> Result<Description> {
    let lock_names = ["pom.xml", "extensions.xml", "maven.config", "maven-wrapper.properties"];
    let locks = locks::below(&project.directory, &|name| lock_names.contains(&name));
    let poms: Vec<&PathBuf> = locks.iter().filter(|lock| name_of(lock) == "pom.xml").collect();
    if poms.is_empty() {
        return Err(no_locks(project, RECIPE.looks_for));
    }
    let own: BTreeSet<PathBuf> =
        poms.iter().filter_map(|pom| own_folder(&std::fs::read_to_string(project.directory.join(pom)).ok()?)).collect();
    let mut description = Description::default();
    // The wrapper's version is in its properties, which are hashed; asking it would make it download Maven.
    if locks.iter().any(|lock| name_of(lock) == "maven-wrapper.properties") {
        description.parts.push("wrapper".into());
    } else if let Some(version) = project.ask(&["mvn", "--version"]).as_deref().and_then(version) {
        description.parts.push(version);
    } else {
        description.parts.push("unknown".into());
        description.warnings.push("mvn cannot be run here, so its version is not part of the key".into());
    }
    description.locks = locks;
    if let Some(repository) = repository(project, &mut description.warnings) {
        description.folders.push(Folder::new("maven", repository, move |path| {
            let name = name_of(path);
            let is_unstable = path.extension().is_some_and(|end| UNSTABLE.iter().any(|unstable| end == *unstable));
            let is_note = matches!(name, "resolver-status.properties" | ".cache" | ".locks" | ".meta");
            !is_unstable && !is_note && !name.ends_with("-SNAPSHOT") && !own.contains(path)
        }));
    }
    if let Some(home) = project.variable_folder("MAVEN_USER_HOME").or_else(|| project.in_java_home(".m2")) {
        description.folders.push(Folder::new("maven-wrapper", home.join("wrapper"), |path| {
            !path.extension().is_some_and(|end| end == "zip" || UNSTABLE.iter().any(|unstable| end == *unstable))
        }));
    }
    Ok(description)
}

/// `3.8.7` of `Apache Maven 3.8.7 (…)`, colours or not.
fn version(said: &str) -> Option<String> {
    let rest = said.split("Apache Maven ").nth(1)?;
    let version: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
    Some(version).filter(|version| !version.is_empty())
}

/// Where the local repository lies: asking Maven itself needs a plugin, which it would have to download.
fn repository(project: &Project<'_>, warnings: &mut Vec<String>) -> Option<PathBuf> {
    let config = std::fs::read_to_string(project.directory.join(".mvn/maven.config")).unwrap_or_default();
    let options = [Some(config.as_str()), project.variable("MAVEN_ARGS"), project.variable("MAVEN_OPTS")];
    let option = options.into_iter().flatten().find_map(|options| {
        options.split_whitespace().find_map(|option| option.strip_prefix(REPOSITORY_OPTION)).map(str::to_owned)
    });
    if let Some(option) = option {
        return Some(project.directory.join(option));
    }
    let settings = project.in_java_home(".m2/settings.xml").and_then(|path| std::fs::read_to_string(path).ok());
    if let Some(said) = settings.and_then(|text| Document::of(&text).value(&["settings", "localRepository"])) {
        let home = project.in_java_home("").map(|home| home.display().to_string()).unwrap_or_default();
        let path = said.replace("${user.home}", home.trim_end_matches('/'));
        let path = path.replace("${env.HOME}", project.variable("HOME").unwrap_or_default());
        if !path.contains("${") {
            return Some(project.directory.join(path));
        }
        warnings.push(format!("settings.xml puts the repository at {said}, which only Maven understands"));
    }
    project.in_java_home(".m2/repository")
}

/// Where in the repository an `install` of this project goes.
fn own_folder(pom: &str) -> Option<PathBuf> {
    let document = Document::of(pom);
    let group =
        document.value(&["project", "groupId"]).or_else(|| document.value(&["project", "parent", "groupId"]))?;
    let artifact = document.value(&["project", "artifactId"])?;
    Some(group.split('.').collect::<PathBuf>().join(artifact))
}

/// As much of an XML document as settings need: what stands in elements, by their path.
struct Document {
    values: Vec<(Vec<String>, String)>,
}

impl Document {
    fn of(text: &str) -> Self {
        let (mut values, mut open) = (Vec::new(), Vec::<String>::new());
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            let value = rest[..at].trim();
            if !value.is_empty() {
                values.push((open.clone(), value.to_owned()));
            }
            rest = &rest[at..];
            let end = match rest {
                _ if rest.starts_with("<!--") => "-->",
                _ if rest.starts_with("<![CDATA[") => "]]>",
                _ if rest.starts_with("<?") => "?>",
                _ => ">",
            };
            let Some(length) = rest.find(end).map(|at| at + end.len()) else { break };
            let tag = &rest[1..length - 1];
            rest = &rest[length..];
            if tag.starts_with('!') || tag.starts_with('?') {
                continue;
            }
            if tag.starts_with('/') {
                open.pop();
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
        Self { values }
    }

    fn value(&self, path: &[&str]) -> Option<String> {
        self.values.iter().find(|(at, _)| at == path).map(|(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests;
