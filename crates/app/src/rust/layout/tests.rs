use std::fs;

use super::*;

const A: &str = "00000000000000aa";
const B: &str = "00000000000000bb";

fn tree(files: &[String]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for path in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    root
}

fn scanned(files: &[String]) -> Vec<UnitDirectory> {
    let mut warnings = Vec::new();
    let found = scan(tree(files).path(), &mut warnings);
    assert_eq!(warnings, Vec::<String>::new());
    found
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn the_hash_joins_the_files_of_a_unit_whatever_their_names() {
    let mut found = scanned(&[
        format!("debug/.fingerprint/pin-project-lite-{A}/lib-pin_project_lite"),
        format!("debug/deps/libpin_project_lite-{A}.rlib"),
        format!("debug/deps/libpin_project_lite-{A}.rmeta"),
        format!("debug/deps/pin_project_lite-{A}.d"),
        format!("debug/deps/pin_project_lite-{A}.pin_project_lite.0123-cgu.0.rcgu.dwo"),
        format!("debug/deps/libpin_project_lite-{B}.rlib"),
        "debug/deps/libplain.so".to_owned(),
        format!("debug/.fingerprint/libc-{B}/lib-libc"),
        "debug/incremental/app-1/x.bin".to_owned(),
    ]);
    for unit in &mut found {
        unit.parts.sort();
        unit.outputs.sort();
    }
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].package, "pin-project-lite");
    assert_eq!(found[1].profile, Path::new("debug"));
    assert_eq!(found[1].dep_info, paths(&[&format!("debug/deps/pin_project_lite-{A}.d")]));
    assert_eq!(found[1].parts.len(), 5);
    assert_eq!(found[1].outputs.len(), 3);
    // Nothing is told by name: this file has the hash of the other unit.
    assert_eq!(found[0].package, "libc");
    assert_eq!(found[0].outputs, [format!("libpin_project_lite-{B}.rlib")]);
}

#[test]
fn build_scripts_and_what_they_wrote_belong_to_their_units() {
    let found = scanned(&[
        format!("debug/.fingerprint/x-sys-{A}/build-script-build-script-build"),
        format!("debug/build/x-sys-{A}/build-script-build"),
        format!("debug/build/x-sys-{A}/build_script_build-{A}.d"),
        format!("debug/.fingerprint/x-sys-{B}/run-build-script-build-script-build"),
        format!("debug/build/x-sys-{B}/output"),
        format!("debug/build/x-sys-{B}/out/libx.a"),
    ]);
    assert_eq!(found[0].dep_info, paths(&[&format!("debug/build/x-sys-{A}/build_script_build-{A}.d")]));
    assert_eq!(found[0].outputs, ["build-script-build"]);
    let parts = [&*format!("debug/.fingerprint/x-sys-{B}"), &*format!("debug/build/x-sys-{B}")];
    assert_eq!(found[1].parts, paths(&parts));
    assert_eq!(found[1].outputs, ["output"]);
}

#[test]
fn profiles_are_found_below_triples_and_below_what_tools_keep_there() {
    let profiles = [
        "debug",
        "release",
        "x86_64-unknown-linux-gnu/debug",
        "llvm-cov-target/debug",
        "tests/trybuild/wasm32-unknown-unknown/debug",
    ];
    let files: Vec<String> = profiles.iter().map(|profile| format!("{profile}/.fingerprint/x-{A}/lib-x")).collect();
    let mut found: Vec<PathBuf> = scanned(&files).into_iter().map(|unit| unit.profile).collect();
    found.sort();
    let mut expected = paths(&profiles);
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn in_the_new_layout_a_directory_is_a_unit() {
    let found = scanned(&[
        format!("debug/build/x-sys/{A}/fingerprint/build-script-build-script-build"),
        format!("debug/build/x-sys/{A}/out/build_script_build"),
        // Nightly gives it no hash.
        format!("debug/build/x-sys/{A}/out/build_script_build.d"),
        format!("debug/build/x-sys/{B}/fingerprint/run-build-script-build-script-build"),
        format!("debug/build/x-sys/{B}/out/generated.rs"),
        format!("debug/build/x-sys/{B}/run/stdout"),
        "debug/build/x-sys/not-a-unit/readme".to_owned(),
        "debug/.cargo-lock".to_owned(),
    ]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].package, "x-sys");
    assert_eq!(found[0].profile, Path::new("debug"));
    assert_eq!(found[0].parts, paths(&[&format!("debug/build/x-sys/{A}")]));
    assert_eq!(found[0].dep_info, paths(&[&format!("debug/build/x-sys/{A}/out/build_script_build.d")]));
    assert_eq!(found[0].outputs, ["build_script_build"]);
    let mut outputs = found[1].outputs.clone();
    outputs.sort();
    assert_eq!(outputs, ["generated.rs", "stdout"]);
}

#[test]
fn both_layouts_side_by_side_are_both_read() {
    let found = scanned(&[
        format!("debug/.fingerprint/x-{A}/lib-x"),
        format!("debug/build/y/{B}/fingerprint/lib-y"),
        format!("debug/build/y/{B}/out/liby-{B}.rlib"),
    ]);
    let packages: Vec<&str> = found.iter().map(|unit| unit.package.as_str()).collect();
    assert_eq!(packages, ["x", "y"]);
}

#[test]
fn a_directory_that_is_not_there_holds_nothing() {
    let root = tree(&[]);
    let mut warnings = Vec::new();
    assert_eq!(scan(&root.path().join("target"), &mut warnings), Vec::new());
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn links_are_not_followed() {
    let root = tree(&[format!("elsewhere/debug/.fingerprint/x-{A}/lib-x"), "target/keep".to_owned()]);
    std::os::unix::fs::symlink("../elsewhere/debug", root.path().join("target/debug")).unwrap();
    std::os::unix::fs::symlink("..", root.path().join("target/up")).unwrap();
    assert_eq!(scan(&root.path().join("target"), &mut Vec::new()), Vec::new());
}

#[test]
fn hashes_are_told_from_other_endings() {
    assert_eq!(hash_in(&format!("libx-{A}.rmeta")), Some(A));
    assert_eq!(hash_in(&format!("x-{A}")), Some(A));
    for name in ["libx.so", "x-00aa.d", "x-00000000000000AA.d", "x_00000000000000aa.d", ""] {
        assert_eq!(hash_in(name), None, "{name}");
    }
}
