//! Chooses what to keep of `CARGO_HOME`: what the locked packages were downloaded as, and what resolving them offline
//! needs. Credentials, installed programs and cargo's own bookkeeping are never looked at.
//!
//! ```text
//! registry/index/<host>-<hash>/config.json, .cache/se/rd/serde     what versions there are, by package
//! registry/cache/<host>-<hash>/serde-1.0.0.crate                   the archives
//! registry/src/…                                                   left out: unpacked from the archives again
//! git/db/<repository>-<hash>/                                      bare clones
//! git/checkouts/<repository>-<hash>/<short revision>/              their working trees
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use larder_base::{ContentHash, HashFunction, Hasher};

use super::lock::{Lock, LockedPackage, Source};
use super::origin::is_revision;
use crate::walk::Walk;

/// How many downloads were chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) archives: usize,
    pub(super) checkouts: usize,
}

/// Adds to `home` what the lock has a use for.
pub(super) fn choose(home: &mut Walk, lock: &Lock, warnings: &mut Vec<String>) -> Held {
    let mut held = Held::default();
    let registries: BTreeSet<&str> = lock.packages.iter().filter_map(registry_url).collect();
    for url in registries {
        for directory in registry_directories(home.root(), url) {
            add_index(home, &directory, lock, warnings);
            let of_this = lock.packages.iter().filter(|package| registry_url(package) == Some(url));
            for package in of_this {
                held.archives += usize::from(add_archive(home, &directory, package, warnings));
            }
        }
    }
    // Several packages may come from one revision.
    let revisions: BTreeSet<_> = lock.packages.iter().filter_map(git_revision).collect();
    for (url, revision) in revisions {
        held.checkouts += add_repository(home, url, revision, warnings);
    }
    held
}

fn registry_url(package: &LockedPackage) -> Option<&str> {
    match &package.source {
        Source::Registry { url } => Some(url),
        Source::Git { .. } => None,
    }
}

fn git_revision(package: &LockedPackage) -> Option<(&str, &str)> {
    match &package.source {
        Source::Git { url, revision } => Some((url, revision)),
        Source::Registry { .. } => None,
    }
}

/// The directories that cargo may keep a registry under: its host and a hash that differs between versions of cargo.
fn registry_directories(home: &Path, url: &str) -> Vec<String> {
    let names = [names_in(&home.join("registry/index")), names_in(&home.join("registry/cache"))].concat();
    let of_host = |host: &str| -> Vec<String> {
        let mut found: Vec<String> = names.iter().filter(|name| is_named(name, host)).cloned().collect();
        found.sort();
        found.dedup();
        found
    };
    // The lock names crates.io by its git index whichever protocol is in use; the sparse one is cargo's choice today.
    if url.trim_end_matches(".git") == "https://github.com/rust-lang/crates.io-index" {
        let sparse = of_host("index.crates.io");
        return if sparse.is_empty() { of_host("github.com") } else { sparse };
    }
    of_host(host_of(url))
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.split(':').next().unwrap_or(authority)
}

/// Whether `name` is `<stem>-<16 hexadecimal digits>`.
fn is_named(name: &str, stem: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(before, hash)| {
        before.eq_ignore_ascii_case(stem) && hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// Adds the index entries of locked packages, and of an index that is a git repository, the repository.
fn add_index(home: &mut Walk, directory: &str, lock: &Lock, warnings: &mut Vec<String>) {
    let index = Path::new("registry/index").join(directory);
    let cache = index.join(".cache");
    let wanted = |path: &Path| match path.strip_prefix(&cache) {
        // `.cache/1/a`, `.cache/3/l/log`, `.cache/se/rd/serde`: the last name is the package.
        Ok(entry) if is_index_entry(entry) => {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| lock.names_registry_package(name))
        }
        Ok(_) => true,
        Err(_) => !is_git_noise(path),
    };
    home.add(&index, &wanted, warnings);
}

/// Whether a path below `.cache` is deep enough to be an entry and not a directory of entries.
fn is_index_entry(path: &Path) -> bool {
    let depth = if path.starts_with("1") || path.starts_with("2") { 2 } else { 3 };
    path.components().count() == depth
}

/// Adds an archive that is what the lock says. A torn download would stop every later build that got it back.
fn add_archive(home: &mut Walk, directory: &str, package: &LockedPackage, warnings: &mut Vec<String>) -> bool {
    let name = format!("{}-{}.crate", package.name, package.version);
    let path = Path::new("registry/cache").join(directory).join(name);
    let absolute = home.root().join(&path);
    let expected = package.checksum.as_deref().and_then(|checksum| checksum.parse::<ContentHash>().ok());
    match (hash_file(&absolute), expected) {
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => false,
        (Err(error), _) => {
            warnings.push(format!("left out {}: {error}", absolute.display()));
            false
        }
        (Ok(found), Some(expected)) if found != expected => {
            warnings.push(format!("left out {}: it is not what Cargo.lock says; delete it", absolute.display()));
            false
        }
        (Ok(_), _) => {
            home.add(&path, &|_| true, warnings);
            true
        }
    }
}

fn hash_file(path: &Path) -> io::Result<ContentHash> {
    let mut hasher = Hasher::new(HashFunction::Sha256);
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(hasher.finish().hash);
        }
        hasher.update(&buffer[..read]);
    }
}

/// Adds the checkouts of a revision and the clones they were made from. Two repositories may have one name; the one that
/// holds the revision is meant.
fn add_repository(home: &mut Walk, url: &str, revision: &str, warnings: &mut Vec<String>) -> usize {
    let name = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
    let name = name.rsplit(['/', ':']).next().unwrap_or(name).trim_end_matches(".git");
    let mut found = 0;
    for directory in names_in(&home.root().join("git/checkouts")) {
        if !is_named(&directory, name) {
            continue;
        }
        let checkouts = PathBuf::from("git/checkouts").join(&directory);
        let shorts = names_in(&home.root().join(&checkouts)).into_iter().filter(|short| is_revision(short, revision));
        for checkout in shorts.map(|short| checkouts.join(short)) {
            // Cargo writes this last; without it the checkout is torn.
            if !home.root().join(&checkout).join(".cargo-ok").is_file() {
                continue;
            }
            let keep = |path: &Path| !is_git_noise(path);
            home.add(&checkout, &keep, warnings);
            home.add(&Path::new("git/db").join(&directory), &keep, warnings);
            found += 1;
        }
    }
    found
}

/// What git does not need: examples of hooks (and hooks run), and notes of where things were fetched from, which may
/// hold a password.
fn is_git_noise(path: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let in_repository = path.parent().is_some_and(|parent| {
        name(parent).as_deref() == Some(".git") || parent.parent().is_some_and(|above| above.ends_with("git/db"))
    });
    in_repository && matches!(name(path).as_deref(), Some("hooks" | "logs" | "FETCH_HEAD"))
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
