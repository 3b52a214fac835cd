use super::*;

const LOCK: &str = r#"
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["serde"]

[[package]]
name = "serde"
version = "1.0.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aa"

[[package]]
name = "inner"
version = "2.0.0"
source = "sparse+https://user:hush@registry.example.org/index/"
checksum = "bb"

[[package]]
name = "dep"
version = "0.3.0"
source = "git+https://token@example.org/dep.git?branch=main#0123456789abcdef0123456789abcdef01234567"
"#;

#[test]
fn only_packages_from_outside_the_workspace_are_in_it() {
    let lock = Lock::parse(LOCK).unwrap();
    let names: Vec<&str> = lock.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["dep", "inner", "serde"]);
    assert_eq!(lock.packages[2].checksum.as_deref(), Some("aa"));
    assert!(lock.names_registry_package("serde") && !lock.names_registry_package("app"));
    assert!(!lock.names_registry_package("dep"));
}

#[test]
fn sources_carry_no_credentials() {
    let lock = Lock::parse(LOCK).unwrap();
    let url = "https://registry.example.org/index/".to_owned();
    assert_eq!(lock.packages[1].source, Source::Registry { url });
    let (url, revision) = ("https://example.org/dep.git?branch=main", "0123456789abcdef0123456789abcdef01234567");
    assert_eq!(lock.packages[0].source, Source::Git { url: url.to_owned(), revision: revision.to_owned() });
}

#[test]
fn the_first_format_keeps_checksums_apart() {
    let old = r#"
[[package]]
name = "serde"
version = "1.0.1"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "dep"
version = "0.3.0"
source = "git+https://example.org/dep#01"

[metadata]
"checksum serde 1.0.1 (registry+https://github.com/rust-lang/crates.io-index)" = "aa"
"checksum dep 0.3.0 (git+https://example.org/dep#01)" = "<none>"
"#;
    let lock = Lock::parse(old).unwrap();
    assert_eq!(lock.packages[0].checksum, None);
    assert_eq!(lock.packages[1].checksum.as_deref(), Some("aa"));
}

#[test]
fn a_missing_lock_and_a_broken_one_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Cargo.lock");
    let missing = Lock::read(&path).unwrap_err();
    assert!(missing.message().contains("there is no"), "{missing}");
    std::fs::write(&path, "<<<<<<< ours\n").unwrap();
    let broken = Lock::read(&path).unwrap_err();
    assert!(broken.message().contains("is not a lock that cargo wrote") && broken.hint().is_some(), "{broken}");
}

#[test]
fn credentials_are_cut_out_of_every_url() {
    let cases = [
        ("https://a:b@h/p", "https://h/p"),
        ("x ssh://git@h:22/p y http://t@k", "x ssh://h:22/p y http://k"),
        ("https://h/p@1.0", "https://h/p@1.0"),
        ("\"https://a@h\"", "\"https://h\""),
        ("no url @ all", "no url @ all"),
        ("://", "://"),
    ];
    for (text, clean) in cases {
        assert_eq!(without_credentials(text), clean);
    }
}
