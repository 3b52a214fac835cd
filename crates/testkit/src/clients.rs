//! Real clients, found or visibly skipped.
//!
//! `ci/install-clients` links what it found or installed into `target/clients/bin`; without it, the search path counts.
//! A test without its client passes, and says so, unless `LARDER_REQUIRE_CLIENTS` (names joined by commas) names that client:
//! then it fails, so that CI cannot lose a client unseen.

pub mod bazel;
pub mod ccache;
pub mod moto;
pub mod object_store;
mod run;

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/clients/bin");

/// The program of a client (such as `ccache` or `bazel`; see CONTRIBUTING.md), or `None` after [`skip`].
///
/// # Panics
/// When the client is required and absent.
pub fn client(name: &str) -> Option<PathBuf> {
    let search = env::var_os("PATH").unwrap_or_default();
    let found = installed(Path::new(INSTALLED), name).or_else(|| on_path(env::split_paths(&search), name));
    if found.is_none() {
        let required = env::var("LARDER_REQUIRE_CLIENTS").unwrap_or_default();
        assert!(
            !names(&required, name),
            "the client {name} is required here and not installed; run ci/install-clients"
        );
        skip(&format!("the client {name} is not installed; ci/install-clients installs what it can"));
    }
    found
}

/// Says that the test which calls this does not run here, and why: on standard error, and in the file that
/// `LARDER_SKIPPED_LOG` names, as the test runner shows no output of a test that passes.
///
/// # Panics
/// When that file cannot be written.
pub fn skip(why: &str) {
    let line = format!("SKIPPED  {}: {why}\n", std::thread::current().name().unwrap_or("a test"));
    eprint!("{line}");
    if let Some(log) = env::var_os("LARDER_SKIPPED_LOG") {
        let mut log = OpenOptions::new().create(true).append(true).open(log).expect("the log of skips can be opened");
        log.write_all(line.as_bytes()).expect("the log of skips can be written");
    }
}

/// What the link in `folder` leads to. Programs such as ccache look at their own name, so the link itself will not do.
fn installed(folder: &Path, name: &str) -> Option<PathBuf> {
    let program = fs::read_link(folder.join(name)).ok()?;
    program.is_file().then_some(program)
}

fn on_path(mut folders: impl Iterator<Item = PathBuf>, name: &str) -> Option<PathBuf> {
    folders.find_map(|folder| Some(folder.join(name)).filter(|program| program.is_file()))
}

/// Whether a list joined by commas has a name.
fn names(list: &str, name: &str) -> bool {
    list.split(',').any(|listed| listed.trim() == name)
}

#[cfg(test)]
mod tests;
