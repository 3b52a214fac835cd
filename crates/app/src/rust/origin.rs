//! Which locked package a unit was compiled from: told by the sources that rustc read, never by the unit's name.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::layout::UnitDirectory;
use super::lock::{Lock, LockedPackage, Source};

/// Where the sources of a unit come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A package of a registry or a git repository that the lock names: its position there.
    Locked(usize),
    /// Such a package that the lock no longer names.
    Unlocked,
    /// The workspace, or a path dependency: they change without a version.
    Own,
    /// Nothing tells.
    Unknown,
}

impl Origin {
    /// The position of its package in the lock.
    pub(super) fn package(self) -> Option<usize> {
        match self {
            Self::Locked(package) => Some(package),
            Self::Unlocked | Self::Own | Self::Unknown => None,
        }
    }
}

/// The places where sources lie, and what the lock says about them.
pub(super) struct Sources<'a> {
    /// As the environment names it, and with links resolved: cargo may have used either.
    cargo_homes: Vec<PathBuf>,
    workspace_root: &'a Path,
    lock: &'a Lock,
    /// Positions of registry packages by the name of their source directory, `<name>-<version>`.
    by_directory: HashMap<String, usize>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(cargo_home: &Path, workspace_root: &'a Path, lock: &'a Lock) -> Self {
        let cargo_homes =
            [Some(cargo_home.to_owned()), fs::canonicalize(cargo_home).ok()].into_iter().flatten().collect();
        let registry = |package: &LockedPackage| matches!(package.source, Source::Registry { .. });
        let by_directory = lock.packages.iter().enumerate().filter(|(_, package)| registry(package));
        let by_directory =
            by_directory.map(|(at, package)| (format!("{}-{}", package.name, package.version), at)).collect();
        Self { cargo_homes, workspace_root, lock, by_directory }
    }

    /// The origin of a unit that rustc compiled.
    pub(super) fn of(&self, root: &Path, unit: &UnitDirectory) -> Origin {
        let read = unit.dep_info.iter().filter_map(|path| fs::read_to_string(root.join(path)).ok());
        match read.filter_map(|text| root_source(&text)).next() {
            Some(source) => self.of_source(&unit.package, &self.workspace_root.join(source)),
            None => Origin::Unknown,
        }
    }

    fn of_source(&self, package: &str, source: &Path) -> Origin {
        let names: Vec<&str> = source.components().filter_map(name_of).collect();
        if self.is_downloaded(source) {
            if let Some([_, directory]) = after(&names, ["registry", "src"]) {
                let at = self.by_directory.get(*directory).filter(|at| self.lock.packages[**at].name == package);
                return at.map_or(Origin::Unlocked, |at| Origin::Locked(*at));
            }
            if let Some([_, short]) = after(&names, ["git", "checkouts"]) {
                return self.find(package, |locked| match &locked.source {
                    Source::Git { revision, .. } => is_revision(short, revision),
                    Source::Registry { .. } => false,
                });
            }
        }
        match vendored_root(source) {
            Some(directory) => self.of_vendored(package, &directory),
            None => Origin::Own,
        }
    }

    /// Whether a path is one of cargo's downloads. A path that is not there at all was rewritten by
    /// `--remap-path-prefix`, or its download is gone; then its form alone speaks.
    fn is_downloaded(&self, source: &Path) -> bool {
        self.cargo_homes.iter().any(|home| source.starts_with(home)) || !source.exists()
    }

    /// Vendored packages carry the checksum of the archive they were unpacked from; those from git have none.
    fn of_vendored(&self, package: &str, directory: &Path) -> Origin {
        #[derive(serde::Deserialize)]
        struct Checksum {
            package: Option<String>,
        }
        let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
        let Some(checksum) = read(".cargo-checksum.json").and_then(|text| serde_json::from_str::<Checksum>(&text).ok())
        else {
            return Origin::Unknown;
        };
        if let Some(checksum) = checksum.package {
            return self.find(package, |locked| locked.checksum.as_deref() == Some(&*checksum));
        }
        let manifest = read("Cargo.toml").and_then(|text| text.parse::<toml::Table>().ok());
        let version = manifest.as_ref().and_then(|manifest| manifest.get("package")?.get("version")?.as_str());
        self.find(package, |locked| {
            matches!(locked.source, Source::Git { .. }) && version == Some(locked.version.as_str())
        })
    }

    fn find(&self, package: &str, fits: impl Fn(&LockedPackage) -> bool) -> Origin {
        let found = self.lock.packages.iter().position(|locked| locked.name == package && fits(locked));
        found.map_or(Origin::Unlocked, Origin::Locked)
    }
}

/// Whether `short` is how cargo names the checkout of `revision`.
pub(super) fn is_revision(short: &str, revision: &str) -> bool {
    short.len() >= 7 && revision.starts_with(short)
}

/// The first Rust source of a dep-info file of rustc: the root of the crate. (Clippy puts its configuration first.)
fn root_source(dep_info: &str) -> Option<PathBuf> {
    let rule = dep_info.lines().filter(|line| !line.starts_with('#')).find_map(|line| line.split_once(": "))?.1;
    let sources = words(rule);
    let rust = sources.iter().find(|source| source.ends_with(".rs"));
    rust.or(sources.first()).map(PathBuf::from)
}

/// Splits at spaces, but not at those behind a backslash.
fn words(rule: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut continues = false;
    for piece in rule.split_ascii_whitespace() {
        let (piece, more) = piece.strip_suffix('\\').map_or((piece, false), |piece| (piece, true));
        match words.last_mut().filter(|_| continues) {
            Some(word) => {
                word.push(' ');
                word.push_str(piece);
            }
            None => words.push(piece.to_owned()),
        }
        continues = more;
    }
    words
}

fn name_of(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    }
}

/// The two names that follow the last place where `marks` stand.
fn after<'n>(names: &'n [&'n str], marks: [&str; 2]) -> Option<&'n [&'n str; 2]> {
    let at = names.windows(4).rposition(|window| window[..2] == marks)?;
    names[at + 2..].first_chunk()
}

fn vendored_root(source: &Path) -> Option<PathBuf> {
    source.ancestors().skip(1).find(|directory| directory.join(".cargo-checksum.json").is_file()).map(Path::to_owned)
}

#[cfg(test)]
mod tests;
