//! Which crate depends on which, as cargo resolved it.

use std::collections::{HashMap, VecDeque};
use std::process::Command;

use serde_json::Value;

use crate::command;
use crate::workspace::Workspace;

/// Why a crate is depended on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is part of the crate.
    Normal,
    /// The build script needs it.
    Build,
    /// The tests need it.
    Dev,
}

impl Kind {
    /// What ends up in the crate itself.
    pub(crate) const SHIPPED: &[Self] = &[Self::Normal];
    /// Everything.
    pub(crate) const ALL: &[Self] = &[Self::Normal, Self::Build, Self::Dev];
}

/// A crate and what it names in its manifest.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is ours.
    pub(crate) member: bool,
    /// Source files of its targets.
    pub(crate) targets: Vec<String>,
    /// Its dependencies, as places in [`Graph::packages`].
    pub(crate) needs: Vec<(usize, Kind)>,
}

/// All crates of the lock file.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// In no particular order.
    pub(crate) packages: Vec<Package>,
}

impl Graph {
    /// The graph of a workspace, as its lock file has it.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self, String> {
        let said = command::finish(
            Command::new(command::cargo())
                .args(["metadata", "--format-version", "1", "--locked"])
                .current_dir(workspace.root()),
        )?;
        if !said.status.success() {
            return Err(format!(
                "cargo metadata --locked failed; if Cargo.lock is stale, run `cargo check` and commit it\n{}",
                command::text(&said.stderr)
            ));
        }
        Self::parse(&command::text(&said.stdout))
    }

    /// Reads what `cargo metadata` prints.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let metadata: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
        let members: Vec<&str> = array(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
        let mut places = HashMap::new();
        let mut packages = Vec::new();
        for package in array(&metadata["packages"]) {
            let id = string(&package["id"])?;
            places.insert(id, packages.len());
            let targets = array(&package["targets"]).map(|target| string(&target["src_path"]).map(str::to_owned));
            packages.push(Package {
                name: string(&package["name"])?.to_owned(),
                member: members.contains(&id),
                targets: targets.collect::<Result<_, _>>()?,
                needs: Vec::new(),
            });
        }
        for node in array(&metadata["resolve"]["nodes"]) {
            let from = place(&places, string(&node["id"])?)?;
            for dependency in array(&node["deps"]) {
                let to = place(&places, string(&dependency["pkg"])?)?;
                for kind in array(&dependency["dep_kinds"]) {
                    packages[from].needs.push((to, kind_of(&kind["kind"])));
                }
            }
        }
        if packages.iter().any(|package| package.member) {
            Ok(Self { packages })
        } else {
            Err("cargo metadata names no crate of the workspace".to_owned())
        }
    }

    /// Our own crates.
    pub(crate) fn members(&self) -> impl Iterator<Item = (usize, &Package)> {
        self.packages.iter().enumerate().filter(|(_, package)| package.member)
    }

    /// Names of a crate's direct dependencies and why they are there.
    pub(crate) fn direct<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = (&'a Package, Kind)> {
        package.needs.iter().map(|&(to, kind)| (&self.packages[to], kind))
    }

    /// The shortest way from a crate to a dependency called `name`, itself included, over dependencies of these kinds.
    pub(crate) fn way(&self, from: usize, name: &str, kinds: &[Kind]) -> Option<Vec<&str>> {
        let mut before: HashMap<usize, usize> = HashMap::from([(from, from)]);
        let mut ahead = VecDeque::from([from]);
        while let Some(at) = ahead.pop_front() {
            if self.packages[at].name == name {
                let mut way = vec![self.packages[at].name.as_str()];
                let mut step = at;
                while before[&step] != step {
                    step = before[&step];
                    way.push(&self.packages[step].name);
                }
                way.reverse();
                return Some(way);
            }
            for &(to, kind) in &self.packages[at].needs {
                if kinds.contains(&kind) && !before.contains_key(&to) {
                    before.insert(to, at);
                    ahead.push_back(to);
                }
            }
        }
        None
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "cargo metadata has another form than this program knows".to_owned())
}

fn place(places: &HashMap<&str, usize>, id: &str) -> Result<usize, String> {
    places.get(id).copied().ok_or_else(|| format!("cargo metadata names {id} and does not describe it"))
}

fn kind_of(value: &Value) -> Kind {
    match value.as_str() {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    }
}

#[cfg(test)]
pub(crate) mod tests;
