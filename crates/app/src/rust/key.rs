//! The key: readable parts, then two hashes.
//!
//! ```text
//! rust-1.95.0-x86_64-unknown-linux-gnu-release-<settings>-<packages>
//! ```
//! Up to and with `<settings>` it says which builds can share units at all, so that beginning of the key is the fallback:
//! what it finds was built alike, from another set of packages. Every part that is shortened or rewritten for reading is
//! hashed whole.

use std::collections::BTreeMap;

use larder_base::{Key, Result};

use super::lock::Lock;
use super::project::Selection;
use super::toolchain::Toolchain;
use super::workspace::Workspace;
use crate::recipe::key::{Lines, readable};

/// Changes when equal inputs should no longer share with what earlier versions of this code saved.
const FORMAT: &str = "1";
/// The most readable parts after toolchain and host.
const PARTS: usize = 6;

/// The key and the beginnings of keys to fall back to, best first.
///
/// # Errors
/// Never for parts as they come from cargo; the key's own rule decides.
pub(super) fn compose(
    toolchain: &Toolchain,
    targets: &[String],
    selection: &Selection,
    settings: &BTreeMap<String, String>,
    lock: &Lock,
    workspace: &Workspace,
) -> Result<(Key, Vec<String>)> {
    let mut parts = vec!["rust".to_owned(), readable(&toolchain.version), readable(&toolchain.host)];
    let foreign = targets.iter().filter(|target| **target != toolchain.host);
    let said = selection.profile.iter().chain(&selection.label);
    parts.extend(foreign.chain(said).take(PARTS).map(|part| readable(part)));
    parts.push(hash_settings(targets, selection, settings));
    let stem = parts.join("-") + "-";
    let key = format!("{stem}{}", hash_packages(lock, workspace)).parse::<Key>()?;
    Ok((key, vec![stem]))
}

fn hash_settings(targets: &[String], selection: &Selection, settings: &BTreeMap<String, String>) -> String {
    let mut lines = Lines::new();
    lines.add(&["format", FORMAT]);
    for target in sorted(targets) {
        lines.add(&["target", target]);
    }
    for feature in sorted(&selection.features) {
        lines.add(&["feature", feature]);
    }
    lines.add(&["all-features", if selection.all_features { "yes" } else { "no" }]);
    lines.add(&["default-features", if selection.no_default_features { "no" } else { "yes" }]);
    lines.add(&["profile", selection.profile.as_deref().unwrap_or_default()]);
    lines.add(&["label", selection.label.as_deref().unwrap_or_default()]);
    for (name, value) in settings {
        lines.add(&["setting", name, value]);
    }
    lines.finish()
}

fn hash_packages(lock: &Lock, workspace: &Workspace) -> String {
    let mut lines = Lines::new();
    for package in &lock.packages {
        let checksum = package.checksum.as_deref().unwrap_or_default();
        lines.add(&[&package.name, &package.version, &package.source.line(), checksum]);
    }
    for declaration in workspace.declarations() {
        lines.add(&["declares", &declaration]);
    }
    lines.finish()
}

fn sorted(words: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> =
        words.iter().flat_map(|word| word.split([',', ' '])).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests;
