use super::*;

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
const CHECKSUM: &str = "aa";

fn lock() -> Lock {
    let registry = || Source::Registry { url: "https://example.org/".to_owned() };
    let git = || Source::Git { url: "https://example.org/dep".to_owned(), revision: REVISION.to_owned() };
    let package = |name: &str, version: &str, source| {
        let checksum = matches!(source, Source::Registry { .. }).then(|| format!("{CHECKSUM}{version}"));
        LockedPackage { name: name.to_owned(), version: version.to_owned(), source, checksum }
    };
    let packages = vec![
        package("itoa", "0.4.8", registry()),
        package("itoa", "1.0.15", registry()),
        package("dep", "0.3.0", git()),
    ];
    Lock { packages }
}

/// The origin of a unit of `package` whose crate's root is `source`, in a place with these files.
fn origin_among(files: &[(&str, &str)], package: &str, source: &str) -> Origin {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let lock = lock();
    let workspace = root.path().join("w");
    let home = root.path().join("home");
    let source = source.replace("{root}", root.path().to_str().unwrap());
    Sources::new(&home, &workspace, &lock).of_source(package, &workspace.join(source))
}

fn origin(package: &str, source: &str) -> Origin {
    origin_among(&[], package, source)
}

#[test]
fn a_registry_package_is_known_by_the_directory_of_its_sources() {
    let source = |directory: &str| format!("{{root}}/home/registry/src/index.crates.io-0a/{directory}/src/lib.rs");
    assert_eq!(origin("itoa", &source("itoa-0.4.8")), Origin::Locked(0));
    assert_eq!(origin("itoa", &source("itoa-1.0.15")), Origin::Locked(1));
    assert_eq!(origin("itoa", &source("itoa-1.0.14")), Origin::Unlocked);
    assert_eq!(origin("other", &source("itoa-1.0.15")), Origin::Unlocked);
}

#[test]
fn a_git_package_is_known_by_its_checkout() {
    let source = |short: &str| format!("{{root}}/home/git/checkouts/dep-0a/{short}/src/lib.rs");
    assert_eq!(origin("dep", &source("0123456")), Origin::Locked(2));
    assert_eq!(origin("dep", &source("7654321")), Origin::Unlocked);
    assert_eq!(origin("dep", &source("0")), Origin::Unlocked);
    assert_eq!(origin("itoa", &source("0123456")), Origin::Unlocked);
}

#[test]
fn a_member_with_the_name_of_a_locked_package_is_the_workspaces_own() {
    assert_eq!(origin_among(&[("w/itoa/src/lib.rs", "")], "itoa", "itoa/src/lib.rs"), Origin::Own);
    let lookalike = "registry/src/index.crates.io-0a/itoa-1.0.15/src/lib.rs";
    assert_eq!(origin_among(&[(&format!("w/{lookalike}"), "")], "itoa", lookalike), Origin::Own);
}

#[test]
fn rewritten_paths_still_tell() {
    assert_eq!(origin("itoa", "/cargo/registry/src/index.crates.io-0a/itoa-1.0.15/src/lib.rs"), Origin::Locked(1));
    assert_eq!(origin("itoa", "/src/itoa-1.0.15/src/lib.rs"), Origin::Own);
}

#[test]
fn a_home_behind_a_link_is_known_by_both_names() {
    let root = tempfile::tempdir().unwrap();
    let real = root.path().join("real/registry/src/index.crates.io-0a/itoa-1.0.15/src");
    fs::create_dir_all(&real).unwrap();
    fs::write(real.join("lib.rs"), "").unwrap();
    std::os::unix::fs::symlink("real", root.path().join("home")).unwrap();
    let (lock, workspace) = (lock(), root.path().join("w"));
    let sources = Sources::new(&root.path().join("home"), &workspace, &lock);
    let through_link = root.path().join("home/registry/src/index.crates.io-0a/itoa-1.0.15/src/lib.rs");
    assert_eq!(sources.of_source("itoa", &through_link), Origin::Locked(1));
    assert_eq!(sources.of_source("itoa", &fs::canonicalize(through_link).unwrap()), Origin::Locked(1));
}

#[test]
fn a_vendored_package_is_known_by_its_checksum_and_one_from_git_by_its_version() {
    let checksum = |checksum: &str| format!(r#"{{"files":{{}},"package":{checksum}}}"#);
    let manifest = |version: &str| format!("[package]\nname = \"dep\"\nversion = \"{version}\"\n");
    let vendored = |package: &str, checksum: &str, version: &str| {
        let files = [
            ("w/vendor/x/.cargo-checksum.json", checksum),
            ("w/vendor/x/Cargo.toml", &manifest(version)),
            ("w/vendor/x/src/lib.rs", ""),
        ];
        origin_among(&files, package, "vendor/x/src/lib.rs")
    };
    assert_eq!(vendored("itoa", &checksum("\"aa1.0.15\""), "1.0.15"), Origin::Locked(1));
    assert_eq!(vendored("itoa", &checksum("\"bb\""), "1.0.15"), Origin::Unlocked);
    assert_eq!(vendored("dep", &checksum("null"), "0.3.0"), Origin::Locked(2));
    assert_eq!(vendored("dep", &checksum("null"), "0.4.0"), Origin::Unlocked);
    assert_eq!(vendored("itoa", &checksum("null"), "1.0.15"), Origin::Unlocked);
    assert_eq!(vendored("itoa", "not json", "1.0.15"), Origin::Unknown);
}

#[test]
fn the_root_of_a_crate_is_the_first_rust_source() {
    let root = |text: &str| root_source(text).map(|path| path.to_str().unwrap().to_owned());
    assert_eq!(root("/t/x.d: src/lib.rs src/a.rs\n\nsrc/a.rs:\n").as_deref(), Some("src/lib.rs"));
    assert_eq!(root("/t/x.d: /w/clippy.toml src/lib.rs\n").as_deref(), Some("src/lib.rs"));
    assert_eq!(root("/t/x.d: /a\\ b/c\\ d/lib.rs /e.rs\n").as_deref(), Some("/a b/c d/lib.rs"));
    assert_eq!(root("# env-dep:A=b: c\n/t/x.d: lib.txt\n").as_deref(), Some("lib.txt"));
    assert_eq!(root(""), None);
    assert_eq!(root("/t/x.d:\n"), None);
}

#[test]
fn a_unit_without_dep_info_is_of_unknown_origin() {
    let (lock, root) = (lock(), tempfile::tempdir().unwrap());
    let sources = Sources::new(root.path(), root.path(), &lock);
    let mut unit = UnitDirectory { package: "itoa".to_owned(), ..UnitDirectory::default() };
    assert_eq!(sources.of(root.path(), &unit), Origin::Unknown);
    unit.dep_info = vec!["gone.d".into()];
    assert_eq!(sources.of(root.path(), &unit), Origin::Unknown);
}
