//! The thinking part of `larder rust save` and `larder rust restore`: which key, and which files.
//!
//! [`identify`] says under which key the dependency part of a project's build is kept; [`plan`] says which files that
//! part is. Neither moves a byte, deletes or rewrites anything, and neither reads the environment, the home directory or
//! the clock: a [`Project`] carries all of it in.
//!
//! # What cargo compares, and so what must come back
//! For a package of a registry or a git repository cargo (1.69 and later) takes a unit as fresh when
//! 1. the fingerprint it computes equals the one on disk: compiler, profile, features, flags, the *absolute* path of the
//!    crate's root source in `CARGO_HOME`, and the fingerprints of the unit's dependencies;
//! 2. every output exists, and none of the outputs of its dependencies is newer than its own newest output;
//! 3. for the run of a build script, no file it watches is newer than its recorded output, where files in
//!    `CARGO_HOME/{registry,git}` are not looked at; and the variables it watches have the same values.
//!
//! Times of sources play no part. So the files of a unit come back with their modification times, which keep the order
//! of rule 2; `CARGO_HOME/registry/src` stays out, because unpacking it again changes nothing; and the path of
//! `CARGO_HOME` is part of the key, because under another path rule 1 fails for every unit.
//!
//! A unit is known by what cargo and rustc wrote about it (fingerprint and dep-info), never by its name: the sources it
//! was compiled from must be those of a package that `Cargo.lock` names today.

mod home;
mod key;
mod layout;
mod lock;
mod origin;
pub(crate) mod project;
mod settings;
mod toolchain;
mod units;
mod workspace;

use std::collections::BTreeMap;
use std::path::PathBuf;

use larder_base::{Key, Result};

use crate::program::Runner;
use crate::walk::{Listing, Walk};
use lock::Lock;
use project::Project;
use toolchain::Toolchain;
use workspace::Workspace;

/// Under which key the dependencies of a project are kept, and where they lie here.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The key.
    pub(crate) key: Key,
    /// Beginnings of keys whose newest entry helps when the key has none: same toolchain and settings, another lock.
    pub(crate) fallbacks: Vec<String>,
    /// Where cargo keeps what it builds.
    pub(crate) work: PathBuf,
    /// `CARGO_HOME`.
    pub(crate) cargo_home: PathBuf,
    /// What the key was made from besides the lock, by name: for `explain`. Holds no secrets.
    pub(crate) settings: BTreeMap<String, String>,
}

/// What to save, and under which key.
#[derive(Clone, Debug)]
pub(crate) struct RustPlan {
    /// The key and the places.
    pub(crate) identity: Identity,
    /// What to take from [`Identity::work`].
    pub(crate) work: Listing,
    /// What to take from [`Identity::cargo_home`].
    pub(crate) cargo_home: Listing,
    /// How much that is, and what was left out.
    pub(crate) summary: Summary,
    /// What the user should hear of, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Counts for the user's eye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Units of dependencies that are taken: one crate in one build is one to three of them.
    pub(crate) units: usize,
    /// Packages they come from.
    pub(crate) packages: usize,
    /// Units of the workspace and of path dependencies, left out.
    pub(crate) own_units: usize,
    /// Units that today's lock and graph have no use for, or that are not whole, left out.
    pub(crate) stale_units: usize,
    /// Downloaded packages that are taken.
    pub(crate) archives: usize,
    /// Checkouts of git repositories that are taken.
    pub(crate) checkouts: usize,
}

impl RustPlan {
    /// Why there is nothing to save, when there is nothing.
    ///
    /// Downloads alone are not worth an entry: it would occupy the key, and every later build would compile everything
    /// and call it a hit.
    pub(crate) fn nothing_to_save(&self) -> Option<String> {
        if self.summary.units > 0 {
            return None;
        }
        let work = self.identity.work.display();
        Some(if self.summary.own_units == 0 && self.summary.stale_units == 0 {
            format!("nothing was built in {work}")
        } else {
            format!("no unit in {work} belongs to a package that Cargo.lock takes from a registry or a git repository")
        })
    }
}

/// Says under which key the project's dependencies are kept. Reads no build, so it is what a restore asks.
///
/// # Errors
/// When there is no cargo project or no `Cargo.lock` here, or cargo or rustc cannot be run.
pub(crate) fn identify(project: &Project, run: Runner<'_>) -> Result<Identity> {
    let workspace = Workspace::load(project, run)?;
    let lock = Lock::read(&workspace.lock_path())?;
    identify_with(project, run, &workspace, &lock)
}

/// Says what of the project's build to save, and under which key.
///
/// # Errors
/// As [`identify`]; and when `Cargo.lock` is not what cargo would write for these manifests.
pub(crate) fn plan(project: &Project, run: Runner<'_>) -> Result<RustPlan> {
    let workspace = Workspace::load(project, run)?;
    let lock = Lock::read(&workspace.lock_path())?;
    workspace.check_lock(project, run)?;
    let identity = identify_with(project, run, &workspace, &lock)?;

    let mut warnings = Vec::new();
    let directories = layout::scan(&workspace.build_directory, &mut warnings);
    let sources = origin::Sources::new(&project.cargo_home, &workspace.root, &lock);
    let chosen = units::choose(&workspace.build_directory, directories, &sources, &mut warnings);
    let mut work = Walk::new(&workspace.build_directory);
    for path in &chosen.paths {
        work.add(path, &|_| true, &mut warnings);
    }

    let mut home = Walk::new(&project.cargo_home);
    let held = home::choose(&mut home, &lock, &mut warnings);
    Ok(RustPlan {
        identity,
        work: work.finish(),
        cargo_home: home.finish(),
        summary: Summary { archives: held.archives, checkouts: held.checkouts, ..chosen.summary },
        warnings,
    })
}

fn identify_with(project: &Project, run: Runner<'_>, workspace: &Workspace, lock: &Lock) -> Result<Identity> {
    let configuration = settings::Configuration::read(project)?;
    let toolchain = Toolchain::probe(project, run, configuration.rustc(project))?;
    let mut settings = settings::collect(project, &configuration, workspace)?;
    settings.insert("toolchain".to_owned(), toolchain.verbose.clone());
    if settings::wants_native_cpu(&settings) {
        settings.insert("native-cpu".to_owned(), toolchain.native_cpu(project, run)?);
    }
    let targets = configuration.targets(project);
    let (key, fallbacks) = key::compose(&toolchain, &targets, &project.selection, &settings, lock, workspace)?;
    Ok(Identity {
        key,
        fallbacks,
        work: workspace.build_directory.clone(),
        cargo_home: project.cargo_home.clone(),
        settings,
    })
}

#[cfg(test)]
mod tests;
