use super::*;

/// A graph of members (names with `larder`, `door-` or `xtask` in front) and others, from (crate, dependencies); a
/// dependency that begins with `dev:` is of the tests.
pub(crate) fn graph(crates: &[(&str, &[&str])]) -> Graph {
    let mut graph = Graph::default();
    let place = |graph: &mut Graph, name: &str| {
        let found = graph.packages.iter().position(|package| package.name == name);
        found.unwrap_or_else(|| {
            let member = ["larder", "door-", "xtask"].iter().any(|start| name.starts_with(start));
            graph.packages.push(Package { name: name.to_owned(), member, targets: vec![], needs: vec![] });
            graph.packages.len() - 1
        })
    };
    for (name, needs) in crates {
        let from = place(&mut graph, name);
        for need in *needs {
            let (name, kind) = need.strip_prefix("dev:").map_or((*need, Kind::Normal), |name| (name, Kind::Dev));
            let to = place(&mut graph, name);
            graph.packages[from].needs.push((to, kind));
        }
    }
    graph
}

#[test]
fn reads_what_cargo_prints() {
    let json = r#"{
        "workspace_members": ["a"],
        "packages": [
            {"id": "a", "name": "larder-a", "targets": [{"src_path": "/w/src/lib.rs"}]},
            {"id": "b", "name": "bytes", "targets": []}
        ],
        "resolve": {"nodes": [
            {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}, {"kind": "dev"}]}]},
            {"id": "b", "deps": []}
        ]}
    }"#;
    let graph = Graph::parse(json).unwrap();
    let (_, member) = graph.members().next().unwrap();
    assert_eq!((member.name.as_str(), member.targets.as_slice()), ("larder-a", &["/w/src/lib.rs".to_owned()][..]));
    let direct: Vec<_> = graph.direct(member).map(|(package, kind)| (package.name.as_str(), kind)).collect();
    assert_eq!(direct, [("bytes", Kind::Normal), ("bytes", Kind::Dev)]);
}

#[test]
fn output_of_another_form_is_an_error() {
    assert!(Graph::parse("{}").unwrap_err().contains("no crate"));
    assert!(Graph::parse(r#"{"packages": [{"name": "a"}]}"#).is_err());
    assert!(Graph::parse("nonsense").is_err());
}

#[test]
fn the_way_to_a_crate_follows_what_is_shipped_and_not_the_tests() {
    let graph = graph(&[("larder-a", &["b", "dev:d"]), ("b", &["c"]), ("d", &["e"])]);
    assert_eq!(graph.way(0, "c", Kind::SHIPPED).unwrap(), ["larder-a", "b", "c"]);
    assert_eq!(graph.way(0, "e", Kind::SHIPPED), None);
    assert_eq!(graph.way(0, "e", Kind::ALL).unwrap(), ["larder-a", "d", "e"]);
}

#[test]
fn a_circle_through_the_tests_does_not_trap_the_search() {
    let graph = graph(&[("larder-a", &["b"]), ("b", &["larder-a"])]);
    assert_eq!(graph.way(0, "nowhere", Kind::ALL), None);
}
