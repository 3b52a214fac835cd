//! `Cargo.lock`: the packages that come from outside the workspace.

use std::collections::BTreeMap;
use std::path::Path;

use larder_base::{Error, ErrorKind, Result};

/// What a lock says about packages of registries and git repositories; those of the workspace are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) packages: Vec<LockedPackage>,
}

/// One version of one package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LockedPackage {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) source: Source,
    /// SHA-256 of the package's archive, in hexadecimal.
    pub(super) checksum: Option<String>,
}

/// Where a package comes from. URLs carry no user name and no password here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Registry { url: String },
    Git { url: String, revision: String },
}

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    package: Vec<Record>,
    /// Where the first version of the format keeps checksums, under `checksum <name> <version> (<source>)`.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct Record {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

impl Lock {
    /// Reads the lock at `path`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Error::invalid("read lock", format!("there is no {}", path.display()))
                    .with_hint("run `cargo generate-lockfile` and commit Cargo.lock: the key is made from it")
            } else {
                Error::new(ErrorKind::Failed, "read lock", path.display().to_string()).with_source(error)
            }
        })?;
        Self::parse(&text).map_err(|error| {
            Error::invalid("read lock", format!("{} is not a lock that cargo wrote", path.display()))
                .with_source(error)
                .with_hint("run `cargo generate-lockfile` to write it anew")
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, toml::de::Error> {
        let file: File = toml::from_str(text)?;
        let mut packages: Vec<_> = file
            .package
            .into_iter()
            .filter_map(|record| {
                let source = record.source?;
                let checksum = record.checksum.or_else(|| {
                    let of_old = format!("checksum {} {} ({source})", record.name, record.version);
                    file.metadata.get(&of_old).filter(|checksum| *checksum != "<none>").cloned()
                });
                let source = Source::parse(&source);
                Some(LockedPackage { name: record.name, version: record.version, source, checksum })
            })
            .collect();
        packages.sort();
        Ok(Self { packages })
    }

    /// Whether the lock takes any package with this name from a registry.
    pub(super) fn names_registry_package(&self, name: &str) -> bool {
        self.packages
            .iter()
            .any(|package| matches!(package.source, Source::Registry { .. }) && package.name.eq_ignore_ascii_case(name))
    }
}

impl Source {
    fn parse(text: &str) -> Self {
        let (kind, location) = text.split_once('+').unwrap_or(("registry", text));
        let location = without_credentials(location);
        if kind == "git" {
            let (url, revision) = location.rsplit_once('#').unwrap_or((&location, ""));
            return Self::Git { url: url.to_owned(), revision: revision.to_owned() };
        }
        Self::Registry { url: location }
    }

    /// One line that is equal for equal sources.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Registry { url } => format!("registry+{url}"),
            Self::Git { url, revision } => format!("git+{url}#{revision}"),
        }
    }
}

/// `text` with the user name and password cut out of every URL in it.
pub(super) fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let authority_end = after.find(['/', '?', '#', ' ', '"', '\'']).unwrap_or(after.len());
        let host = after[..authority_end].rfind('@').map_or(0, |at| at + 1);
        clean.push_str(&after[host..authority_end]);
        rest = &after[authority_end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests;
