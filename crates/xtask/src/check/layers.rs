//! Who may depend on whom. The same table stands in ARCHITECTURE.md, and a test compares the two.

mod rules;

use std::collections::BTreeSet;

use super::Outcome;
use crate::graph::{Graph, Kind, Package};
use crate::workspace::Workspace;
use rules::{FORBIDDEN, LAYERS, Layer, OWNERS, SINGLE};

pub(super) fn run(workspace: &Workspace) -> Result<Outcome, String> {
    Ok(Outcome::of(violations(&Graph::load(workspace)?)))
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, package) in graph.members() {
        match layer_of(&package.name) {
            Some(layer) => {
                wrong.extend(unknown_to(graph, package, layer));
                wrong.extend(beyond(graph, place, layer));
            }
            None => wrong.push(format!(
                "{}: the table of layers does not know this crate; add it to crates/xtask/src/check/layers/rules.rs and \
                 ARCHITECTURE.md",
                package.name
            )),
        }
        wrong.extend(not_its_own(graph, package));
    }
    wrong.extend(in_the_lock(graph));
    wrong
}

/// The layer of a crate of ours.
fn layer_of(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.holds(name))
}

/// Crates of ours that the layer may not name.
fn unknown_to(graph: &Graph, package: &Package, layer: &Layer) -> Vec<String> {
    let ours: BTreeSet<(&str, bool)> = graph
        .direct(package)
        .filter(|(needed, _)| needed.member)
        .map(|(needed, kind)| (needed.name.as_str(), kind == Kind::Dev))
        .collect();
    ours.into_iter()
        .filter(|&(needed, for_tests)| {
            let known = layer_of(needed).is_some_and(|found| layer.may_know(found));
            let testing = for_tests && needed == "larder-testkit";
            !known && !testing
        })
        .map(|(needed, for_tests)| {
            let section = if for_tests { "dev-dependencies" } else { "dependencies" };
            let sibling = if needed.starts_with("door-") { "; no crate but the application names a door" } else { "" };
            format!(
                "{}: {needed} is in its {section}, and {} may know {}{sibling}",
                package.name,
                layer.name,
                layer.words()
            )
        })
        .collect()
}

/// Outside crates that the layer must not contain, at any depth.
fn beyond(graph: &Graph, place: usize, layer: &Layer) -> Vec<String> {
    let ways = layer.must_not_contain.iter().filter_map(|outside| graph.way(place, outside, Kind::SHIPPED));
    ways.map(|way| {
        let last = way.last().expect("a way has at least its end");
        format!("{}: {last} must not be part of {}, and is: {}", way[0], layer.name, way.join(" -> "))
    })
    .collect()
}

/// Outside crates with an owner that is another.
fn not_its_own(graph: &Graph, package: &Package) -> Vec<String> {
    let named: BTreeSet<&str> = graph.direct(package).map(|(needed, _)| needed.name.as_str()).collect();
    OWNERS
        .iter()
        .filter(|owner| named.contains(owner.outside))
        .filter(|owner| !layer_of(&package.name).is_some_and(|layer| owner.layers.contains(&layer.name)))
        .map(|owner| {
            format!("{}: only {} may name {} ({})", package.name, owner.layers.join(", "), owner.outside, owner.reason)
        })
        .collect()
}

/// Crates that may not be in the lock file, or only once.
fn in_the_lock(graph: &Graph) -> Vec<String> {
    let count = |name: &str| graph.packages.iter().filter(|package| package.name == name).count();
    let forbidden = FORBIDDEN.iter().filter(|(name, _)| count(name) > 0).map(|(name, reason)| {
        let from = graph.members().find_map(|(place, _)| graph.way(place, name, Kind::ALL));
        let way = from.map_or_else(String::new, |way| way.join(" -> "));
        format!("{name} is in Cargo.lock: {reason} ({way})")
    });
    let doubled = SINGLE.iter().filter(|name| count(name) > 1).map(|name| {
        format!(
            "Cargo.lock holds {} versions of {name}, and there is to be one; see `cargo tree -i {name}`",
            count(name)
        )
    });
    forbidden.chain(doubled).collect()
}

#[cfg(test)]
mod tests;
