use super::*;

/// A unit of package `package` whose fingerprint is `hash` and that was built on others.
fn unit(origin: Origin, stem: &str, hash: u64, built_on: &[u64]) -> Unit {
    let output = if stem.starts_with("run-") { "output" } else { "libx.rlib" };
    let directory = UnitDirectory {
        package: format!("{origin:?}"),
        profile: "debug".into(),
        parts: vec![format!("{hash}").into()],
        outputs: vec![output.to_owned()],
        ..UnitDirectory::default()
    };
    let record = Record { stem: stem.to_owned(), hash, built_on: built_on.to_vec(), kind: [0; 4] };
    Unit { directory, records: vec![record], origin }
}

fn library(package: usize, hash: u64, built_on: &[u64]) -> Unit {
    unit(Origin::Locked(package), "lib-x", hash, built_on)
}

fn graph(units: Vec<Unit>) -> Graph {
    let mut graph = Graph { units, by_hash: HashMap::new() };
    for (at, unit) in graph.units.iter().enumerate() {
        for record in &unit.records {
            graph.by_hash.entry(record.hash).or_default().push(at);
        }
    }
    graph
}

/// The hashes of the units that are kept.
fn kept(units: Vec<Unit>) -> Vec<u64> {
    let mut graph = graph(units);
    graph.trace_build_scripts();
    let mut kept = graph.whole_to_the_ground();
    graph.drop_superseded(&mut kept);
    kept.iter().map(|at| graph.units[*at].records[0].hash).collect()
}

#[test]
fn what_was_built_on_something_that_is_not_kept_is_not_kept() {
    let own = unit(Origin::Own, "lib-own", 5, &[]);
    let old = unit(Origin::Unlocked, "lib-x", 6, &[]);
    let units = vec![
        library(0, 1, &[]),
        library(1, 2, &[1]),
        library(2, 3, &[2, 6]),
        library(3, 4, &[3]),
        own,
        old,
        library(4, 7, &[5]),
        library(5, 8, &[99]),
    ];
    assert_eq!(kept(units), [1, 2]);
}

#[test]
fn a_unit_that_is_not_whole_is_not_kept_and_takes_down_what_stands_on_it() {
    let mut torn = library(0, 1, &[]);
    torn.directory.outputs.clear();
    assert_eq!(kept(vec![torn, library(1, 2, &[1]), library(2, 3, &[])]), [3]);
    let mut unfinished = unit(Origin::Unknown, "run-build-script-build-script-build", 2, &[1]);
    let mut script = unit(Origin::Locked(0), "build-script-build-script-build", 1, &[]);
    (unfinished.directory.package, script.directory.package) = ("x".to_owned(), "x".to_owned());
    unfinished.directory.outputs = vec!["generated.rs".to_owned()];
    assert_eq!(kept(vec![script, unfinished]), [1]);
}

#[test]
fn the_run_of_a_build_script_has_the_scripts_origin() {
    let named = |package: &str, mut unit: Unit| {
        unit.directory.package = package.to_owned();
        unit
    };
    let script = |origin, hash| unit(origin, "build-script-build-script-build", hash, &[]);
    let run = |hash, on: &[u64]| unit(Origin::Unknown, "run-build-script-build-script-build", hash, on);
    let units = vec![
        named("x-sys", script(Origin::Locked(0), 1)),
        // Also waits for the script of the library it links.
        named("x-sys", run(2, &[6, 1])),
        named("app", script(Origin::Own, 3)),
        named("app", run(4, &[3])),
        named("y-sys", script(Origin::Locked(1), 5)),
        named("y-sys", run(6, &[5])),
        named("y-sys", run(7, &[99])),
    ];
    assert_eq!(kept(units), [1, 2, 5, 6]);
}

#[test]
fn a_unit_whose_place_was_taken_is_not_kept() {
    let (old, new, other) = (library(0, 1, &[]), library(0, 2, &[]), library(1, 3, &[]));
    let own = unit(Origin::Own, "lib-own", 4, &[2]);
    assert_eq!(kept(vec![old, new, other, own]), [2, 3]);
}

#[test]
fn side_by_side_units_of_one_package_all_stay() {
    let variant = |hash, change: fn(&mut Unit)| {
        let mut unit = library(0, hash, &[]);
        change(&mut unit);
        unit
    };
    let units = vec![
        library(0, 1, &[]),
        variant(2, |unit| unit.records[0].kind = [0, 1, 0, 0]),
        variant(3, |unit| unit.directory.profile = "release".into()),
        variant(4, |unit| unit.records[0].stem = "bin-x".to_owned()),
        library(0, 5, &[]),
        unit(Origin::Own, "bin-app", 6, &[1]),
        unit(Origin::Own, "test-bin-app", 7, &[5]),
    ];
    assert_eq!(kept(units), [1, 2, 3, 4, 5]);
}

#[test]
fn without_units_of_the_workspace_nothing_counts_as_superseded() {
    assert_eq!(kept(vec![library(0, 1, &[]), library(0, 2, &[])]), [1, 2]);
}

#[test]
fn a_fingerprint_is_read_as_cargo_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let json = r#"{"rustc":4,"features":"[]","target":1,"profile":2,"path":9,
        "deps":[[18070707816531966863,"libc",false,11645454675391371747]],
        "local":[{"CheckDepInfo":{"dep_info":"debug/x","checksum":false}}],"rustflags":[],"config":0,"compile_kind":3}"#;
    write("lib-x.json", json);
    write("lib-x", "0100000000000080");
    write("invoked.timestamp", "");
    let expected = Record {
        stem: "lib-x".to_owned(),
        hash: 0x8000_0000_0000_0001,
        built_on: vec![11_645_454_675_391_371_747],
        kind: [1, 2, 3, 4],
    };
    assert_eq!(read_records(directory.path()), [expected]);

    // Cargo empties the hash before it builds anew: an interrupted build leaves that.
    write("lib-x", "");
    assert_eq!(read_records(directory.path()), []);
    write("lib-x", "0100000000000080");
    write("lib-x.json", &json[..40]);
    assert_eq!(read_records(directory.path()), []);
    assert_eq!(read_records(&directory.path().join("gone")), []);
}

#[test]
fn documentation_is_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let fingerprint = root.path().join("debug/.fingerprint/x-00000000000000aa");
    fs::create_dir_all(&fingerprint).unwrap();
    fs::write(fingerprint.join("doc-lib-x"), "0100000000000000").unwrap();
    fs::write(fingerprint.join("doc-lib-x.json"), r#"{"deps":[],"local":[{"Precalculated":"1.0.0"}]}"#).unwrap();
    let mut warnings = Vec::new();
    let directories = crate::rust::layout::scan(root.path(), &mut warnings);
    let lock = crate::rust::lock::Lock::default();
    let chosen = choose(root.path(), directories, &Sources::new(root.path(), root.path(), &lock), &mut warnings);
    assert_eq!((chosen.paths.len(), chosen.summary.stale_units, warnings.len()), (0, 1, 0));
}
