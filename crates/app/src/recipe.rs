//! What build tools keep between builds, one file a tool: `larder go`, `larder node` and so on, and `larder auto`.
//!
//! A recipe says whether its tool is used here, under which key its caches are kept, where they lie, and which of their
//! files are worth keeping. It moves no byte and deletes nothing, and it reads neither the environment nor the clock: a
//! [`Project`] carries those in, and the way to ask the tools.
//!
//! All but [`rust`] are [`Caches`]: folders that belong to a tool, found by asking it, kept under a key made of the
//! tool's version, the machine, and the lock files.

mod ccache;
mod go;
mod gradle;
pub(crate) mod key;
mod locks;
mod maven;
mod node;
mod project;
mod python;
pub(crate) mod rust;

#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use larder_base::{Error, Key, Result};

use crate::walk::{Listing, Walk};

pub(crate) use project::Project;

/// One tool's way of being kept.
pub(crate) trait Recipe {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// The files it is told by, for messages.
    fn looks_for(&self) -> &'static str;

    /// The files of the project's own folder that show that the tool is used, relative to it; none when it is not.
    fn detect(&self, project: &Project<'_>) -> Vec<PathBuf>;

    /// Says under which key the caches are kept and where they lie. Looks into no cache, so it is what a restore asks.
    ///
    /// # Errors
    /// When there is nothing to make a key of, or it cannot be read.
    fn identify(&self, project: &Project<'_>) -> Result<Identity>;

    /// Says what of the caches to save, and under which key.
    ///
    /// # Errors
    /// As [`Recipe::identify`].
    fn plan(&self, project: &Project<'_>) -> Result<Plan>;
}

/// Under which key caches are kept, and where they lie here.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The key.
    pub(crate) key: Key,
    /// Beginnings of keys whose newest entry helps when the key has none, best first.
    pub(crate) fallbacks: Vec<String>,
    /// Where each root lies.
    pub(crate) places: Vec<(&'static str, PathBuf)>,
    /// What the key was made from besides the lock files, by name. Holds no secrets.
    pub(crate) settings: BTreeMap<String, String>,
    /// Whether a save replaces what the key has: the content grows with each build under one lock.
    pub(crate) replaces: bool,
    /// Commands by which the tools remove what they themselves hold to be unused.
    pub(crate) clean_up: Vec<&'static [&'static str]>,
    /// What the user should hear of, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// What to save, and under which key.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The key and the places.
    pub(crate) identity: Identity,
    /// What to take from each of [`Identity::places`], in their order.
    pub(crate) listings: Vec<Listing>,
    /// Why there is nothing to save, when there is nothing.
    pub(crate) nothing: Option<String>,
}

/// All recipes, in the order in which `auto` tries them.
pub(crate) fn all() -> Vec<Box<dyn Recipe>> {
    vec![
        Box::new(rust::Rust::default()),
        Box::new(go::RECIPE),
        Box::new(node::RECIPE),
        Box::new(python::RECIPE),
        Box::new(gradle::RECIPE),
        Box::new(maven::RECIPE),
        Box::new(ccache::RECIPE),
    ]
}

/// The recipe of this name.
pub(crate) fn named(name: &str) -> Option<Box<dyn Recipe>> {
    all().into_iter().find(|recipe| recipe.name() == name)
}

/// A tool whose caches are folders of its own.
#[derive(Clone, Copy)]
pub(crate) struct Caches {
    name: &'static str,
    looks_for: &'static str,
    detect: fn(&Project<'_>) -> Vec<PathBuf>,
    describe: fn(&Project<'_>) -> Result<Description>,
}

/// A tool's caches as they are in one project on one machine.
#[derive(Default)]
struct Description {
    /// Readable parts of the key, such as the tool's version.
    parts: Vec<String>,
    /// What else decides whether a cache is of use here, by name.
    settings: BTreeMap<String, String>,
    /// The lock files, relative to the project's folder.
    locks: Vec<PathBuf>,
    /// Lines that count like lock files.
    facts: Vec<String>,
    /// Where the caches lie, and what of them is kept.
    folders: Vec<Folder>,
    replaces: bool,
    clean_up: Vec<&'static [&'static str]>,
    warnings: Vec<String>,
}

/// One cache.
struct Folder {
    name: &'static str,
    path: PathBuf,
    select: Select,
}

/// Adds what is worth keeping below a root; what cannot be read is named in the warnings.
type Select = Box<dyn Fn(&mut Walk, &mut Vec<String>)>;

impl Folder {
    /// A cache of which everything is kept that `wanted` agrees to. It is asked with paths relative to the cache, of a
    /// directory before what that holds.
    fn new(name: &'static str, path: PathBuf, wanted: impl Fn(&Path) -> bool + 'static) -> Self {
        let select = move |walk: &mut Walk, warnings: &mut Vec<String>| walk.add(Path::new(""), &wanted, warnings);
        Self { name, path, select: Box::new(select) }
    }

    fn list(&self, warnings: &mut Vec<String>) -> Listing {
        let mut walk = Walk::new(&self.path);
        (self.select)(&mut walk, warnings);
        let mut listing = walk.finish();
        // A cache that is an empty folder is listed as itself.
        listing.paths.retain(|path| !path.as_os_str().is_empty());
        listing
    }
}

impl Caches {
    fn identity(&self, project: &Project<'_>, description: &Description) -> Result<Identity> {
        let keyed = key::Keyed {
            name: self.name,
            parts: &description.parts,
            settings: &description.settings,
            facts: &description.facts,
            locks: &description.locks,
        };
        let (key, fallbacks) = key::compose(project, &keyed)?;
        Ok(Identity {
            key,
            fallbacks,
            places: description.folders.iter().map(|folder| (folder.name, folder.path.clone())).collect(),
            settings: description.settings.clone(),
            replaces: description.replaces,
            clean_up: description.clean_up.clone(),
            warnings: description.warnings.clone(),
        })
    }
}

impl Recipe for Caches {
    fn name(&self) -> &'static str {
        self.name
    }

    fn looks_for(&self) -> &'static str {
        self.looks_for
    }

    fn detect(&self, project: &Project<'_>) -> Vec<PathBuf> {
        (self.detect)(project)
    }

    fn identify(&self, project: &Project<'_>) -> Result<Identity> {
        self.identity(project, &(self.describe)(project)?)
    }

    fn plan(&self, project: &Project<'_>) -> Result<Plan> {
        let description = (self.describe)(project)?;
        let mut identity = self.identity(project, &description)?;
        let listings: Vec<Listing> =
            description.folders.iter().map(|folder| folder.list(&mut identity.warnings)).collect();
        let nothing = listings.iter().all(|listing| listing.bytes == 0).then(|| {
            let paths: Vec<String> = identity.places.iter().map(|(_, path)| path.display().to_string()).collect();
            format!("nothing to keep in {}", paths.join(", "))
        });
        Ok(Plan { identity, listings, nothing })
    }
}

/// What an explicit recipe says where none of its files are.
fn no_locks(project: &Project<'_>, looked_for: &str) -> Error {
    let directory = project.directory.display();
    Error::invalid("find lock files", format!("there is no {looked_for} in {directory} or below"))
        .with_hint("go to the project's folder, or name it with -C")
}

/// Whether the file was changed within `most`, as far as that can be seen.
fn is_recent(path: &Path, now: larder_base::Timestamp, most: std::time::Duration) -> bool {
    let changed = std::fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    let since_epoch = changed.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let Some(since_epoch) = since_epoch else { return true };
    let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    now.since(larder_base::Timestamp::from_millis(millis)) <= most
}

/// The name of a path's last component, when it is text.
fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
