//! Chooses the units worth keeping.
//!
//! A unit is kept when
//! 1. its sources are those of a package that the lock names (`origin`),
//! 2. it is whole: a fingerprint, and at least one output beside it,
//! 3. all units it was built on are kept too: cargo would build it again otherwise, and after a version changes it is
//!    everything built on the old one that is left behind, not just the package itself, and
//! 4. no other kept unit took its place. When the features of a package change, the old unit stays on disk; it is told by
//!    this: the workspace's own units need its sibling, and not it.
//!
//! Rules 3 and 4 are why an entry does not grow when it is restored, built on and saved again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Summary;
use super::layout::UnitDirectory;
use super::origin::{Origin, Sources};

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Paths from the root, of files and whole directories.
    pub(super) paths: Vec<PathBuf>,
    /// Counts of units and packages; the rest is zero.
    pub(super) summary: Summary,
}

/// Chooses among the units found below `root`.
pub(super) fn choose(
    root: &Path,
    directories: Vec<UnitDirectory>,
    sources: &Sources<'_>,
    warnings: &mut Vec<String>,
) -> Chosen {
    let mut graph = Graph::load(root, directories, sources);
    graph.trace_build_scripts();
    let mut kept = graph.whole_to_the_ground();
    graph.drop_superseded(&mut kept);

    let packages: HashSet<_> = kept.iter().map(|at| graph.units[*at].origin.package()).collect();
    let count = |origin| graph.units.iter().filter(|unit| unit.origin == origin).count();
    let (own_units, unknown) = (count(Origin::Own), count(Origin::Unknown));
    if unknown > 0 {
        warnings.push(format!("left out {unknown} units in {}: cargo left no word of their sources", root.display()));
    }
    let summary = Summary {
        units: kept.len(),
        packages: packages.len(),
        own_units,
        stale_units: graph.units.len() - own_units - kept.len(),
        ..Summary::default()
    };
    let paths = kept.iter().flat_map(|at| graph.units[*at].directory.parts.iter().cloned()).collect();
    Chosen { paths, summary }
}

/// A unit with what cargo recorded about it.
#[derive(Debug)]
struct Unit {
    directory: UnitDirectory,
    records: Vec<Record>,
    origin: Origin,
}

/// One fingerprint: `<stem>` holds its hash, `<stem>.json` what went into it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    stem: String,
    hash: u64,
    /// Hashes of the fingerprints of the units it was built on.
    built_on: Vec<u64>,
    /// What sets apart units of a package that are of use side by side: cargo's numbers for target, profile, machine
    /// and compiler.
    kind: [u64; 4],
}

#[derive(Debug, Default)]
struct Graph {
    units: Vec<Unit>,
    by_hash: HashMap<u64, Vec<usize>>,
}

impl Graph {
    fn load(root: &Path, directories: Vec<UnitDirectory>, sources: &Sources<'_>) -> Self {
        let mut graph = Self::default();
        for directory in directories {
            let records = read_records(&root.join(&directory.fingerprint));
            // Cargo makes the directory before it knows whether the unit will be built.
            if records.is_empty() {
                continue;
            }
            for record in &records {
                graph.by_hash.entry(record.hash).or_default().push(graph.units.len());
            }
            let origin = if records.iter().any(Record::is_documentation) {
                // Documentation is written elsewhere and not kept, so its fingerprint is of no use.
                Origin::Unlocked
            } else {
                sources.of(root, &directory)
            };
            graph.units.push(Unit { directory, records, origin });
        }
        graph
    }

    /// Gives the run of a build script the origin of the script: a run has no sources of its own.
    fn trace_build_scripts(&mut self) {
        for at in 0..self.units.len() {
            let unit = &self.units[at];
            if !unit.is_run() {
                continue;
            }
            let script = unit.built_on().filter_map(|hash| self.by_hash.get(hash)).flatten().find(|other| {
                let other = &self.units[**other];
                other.directory.package == unit.directory.package && other.records.iter().any(Record::is_build_script)
            });
            // A script that is gone was built anew under another hash: its run is old.
            let origin = script.map_or(Origin::Unlocked, |script| self.units[*script].origin);
            self.units[at].origin = origin;
        }
    }

    /// Rules 1 to 3: the largest set of whole, locked units that is closed under "built on".
    fn whole_to_the_ground(&self) -> BTreeSet<usize> {
        let is_candidate = |unit: &Unit| matches!(unit.origin, Origin::Locked(_)) && unit.is_whole();
        let mut kept: BTreeSet<usize> = (0..self.units.len()).filter(|at| is_candidate(&self.units[*at])).collect();
        loop {
            let lacks_ground = |at: &usize| {
                let has =
                    |hash: &u64| self.by_hash.get(hash).is_some_and(|units| units.iter().any(|at| kept.contains(at)));
                !self.units[*at].built_on().all(has)
            };
            let fallen: Vec<usize> = kept.iter().copied().filter(lacks_ground).collect();
            if fallen.is_empty() {
                return kept;
            }
            for at in fallen {
                kept.remove(&at);
            }
        }
    }

    /// Rule 4. Without units of the workspace's own nothing is known to be needed, and everything stays.
    fn drop_superseded(&self, kept: &mut BTreeSet<usize>) {
        let mut needed: HashSet<usize> = HashSet::new();
        let mut ahead: Vec<usize> = (0..self.units.len()).filter(|at| self.units[*at].origin == Origin::Own).collect();
        while let Some(at) = ahead.pop() {
            if needed.insert(at) {
                ahead.extend(self.units[at].built_on().filter_map(|hash| self.by_hash.get(hash)).flatten());
            }
        }
        let taken: HashSet<Place<'_>> =
            kept.iter().filter(|at| needed.contains(at)).map(|at| self.units[*at].place()).collect();
        kept.retain(|at| needed.contains(at) || !taken.contains(&self.units[*at].place()));
    }
}

/// What two units have in common when one takes the other's place: package, profile, and kind.
type Place<'a> = (Option<usize>, &'a Path, Vec<(&'a str, [u64; 4])>);

impl Unit {
    fn is_run(&self) -> bool {
        self.records.iter().any(|record| record.stem.starts_with("run-build-script-"))
    }

    fn is_whole(&self) -> bool {
        if self.is_run() {
            // What the script printed: `output`, and `stdout` in the new layout.
            return self.directory.outputs.iter().any(|name| name == "output" || name == "stdout");
        }
        !self.directory.outputs.is_empty()
    }

    fn built_on(&self) -> impl Iterator<Item = &u64> {
        self.records.iter().flat_map(|record| &record.built_on)
    }

    fn place(&self) -> Place<'_> {
        let kinds = self.records.iter().map(|record| (record.stem.as_str(), record.kind)).collect();
        (self.origin.package(), &self.directory.profile, kinds)
    }
}

impl Record {
    fn is_build_script(&self) -> bool {
        self.stem.starts_with("build-script-")
    }

    fn is_documentation(&self) -> bool {
        self.stem.starts_with("doc-")
    }

    fn read(directory: &Path, stem: &str) -> Option<Self> {
        let json = fs::read(directory.join(format!("{stem}.json"))).ok()?;
        // Cargo writes the hash as the hexadecimal of its little-endian bytes, and empties the file before a rebuild.
        let hash =
            fs::read_to_string(directory.join(stem)).ok().and_then(|hash| u64::from_str_radix(&hash, 16).ok())?;
        Self::parse(stem, hash.swap_bytes(), &json)
    }

    fn parse(stem: &str, hash: u64, json: &[u8]) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(json).ok()?;
        let number = |name: &str| json.get(name).and_then(serde_json::Value::as_u64);
        // The last of each is the hash; what stands before it grew over time.
        let built_on = json.get("deps")?.as_array()?.iter().map(|dep| dep.as_array()?.last()?.as_u64());
        Some(Self {
            stem: stem.to_owned(),
            hash,
            built_on: built_on.collect::<Option<_>>()?,
            kind: ["target", "profile", "compile_kind", "rustc"].map(|name| number(name).unwrap_or_default()),
        })
    }
}

/// The fingerprints in a directory; none unless every one of them can be read.
fn read_records(directory: &Path) -> Vec<Record> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut stems: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    stems.sort();
    stems.iter().map(|stem| Record::read(directory, stem)).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests;
