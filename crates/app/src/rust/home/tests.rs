use super::*;
use crate::rust::Listing;

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

fn registry(name: &str, url: &str, archive: &str) -> LockedPackage {
    let checksum = Some(ContentHash::of(archive.as_bytes()).to_hex());
    let source = Source::Registry { url: url.to_owned() };
    LockedPackage { name: name.to_owned(), version: "1.0.0".to_owned(), source, checksum }
}

fn git(name: &str, url: &str) -> LockedPackage {
    let source = Source::Git { url: url.to_owned(), revision: REVISION.to_owned() };
    LockedPackage { name: name.to_owned(), version: "1.0.0".to_owned(), source, checksum: None }
}

fn chosen(files: &[&str], packages: Vec<LockedPackage>) -> (Vec<String>, Held, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    for path in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "bytes").unwrap();
    }
    let (mut home, mut warnings) = (Walk::new(root.path()), Vec::new());
    let held = choose(&mut home, &Lock { packages }, &mut warnings);
    let Listing { paths, .. } = home.finish();
    (paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect(), held, warnings)
}

#[test]
fn index_entries_are_taken_by_name_at_every_depth() {
    let wanted = [
        "registry/index/index.crates.io-00000000000000aa/.cache/1/a",
        "registry/index/index.crates.io-00000000000000aa/.cache/2/cc",
        "registry/index/index.crates.io-00000000000000aa/.cache/3/l/log",
        "registry/index/index.crates.io-00000000000000aa/.cache/in/fl/inflector",
        "registry/index/index.crates.io-00000000000000aa/config.json",
    ];
    let unwanted = [
        "registry/index/index.crates.io-00000000000000aa/.cache/1/b",
        "registry/index/index.crates.io-00000000000000aa/.cache/3/l/lap",
        "registry/index/index.crates.io-00000000000000aa/.cache/se/rd/serde",
    ];
    let packages = ["a", "cc", "log", "Inflector"].map(|name| registry(name, CRATES_IO, "bytes"));
    let (paths, _, warnings) = chosen(&[&wanted[..], &unwanted].concat(), packages.to_vec());
    assert_eq!(paths, wanted);
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn archives_are_taken_from_the_registry_that_the_lock_names_and_only_when_whole() {
    let files = [
        "registry/cache/index.crates.io-00000000000000aa/serde-1.0.0.crate",
        "registry/cache/index.crates.io-00000000000000aa/serde-0.9.0.crate",
        "registry/cache/registry.example.org-00000000000000bb/inner-1.0.0.crate",
        "registry/cache/registry.example.org-00000000000000bb/serde-1.0.0.crate",
        "registry/cache/registry.example.org-00000000000000bb/torn-1.0.0.crate",
        "registry/cache/github.com-00000000000000cc/serde-1.0.0.crate",
    ];
    let inner = "https://registry.example.org/index/";
    let packages = vec![
        registry("serde", CRATES_IO, "bytes"),
        registry("inner", inner, "bytes"),
        registry("torn", inner, "whole"),
    ];
    let (paths, held, warnings) = chosen(&files, packages);
    assert_eq!(paths, [files[0], files[2]]);
    assert_eq!(held, Held { archives: 2, checkouts: 0 });
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("torn-1.0.0.crate") && warnings[0].contains("delete it"), "{warnings:?}");
}

#[test]
fn an_index_that_is_a_git_repository_is_taken_where_there_is_no_other() {
    let files = [
        "registry/cache/github.com-00000000000000cc/serde-1.0.0.crate",
        "registry/index/github.com-00000000000000cc/.cache/se/rd/serde",
        "registry/index/github.com-00000000000000cc/.git/HEAD",
    ];
    let noise = ["registry/index/github.com-00000000000000cc/.git/FETCH_HEAD"];
    let (paths, held, _) = chosen(&[&files[..], &noise].concat(), vec![registry("serde", CRATES_IO, "bytes")]);
    assert_eq!(paths, files);
    assert_eq!(held.archives, 1);
}

#[test]
fn of_repositories_with_one_name_the_one_with_the_revision_is_taken() {
    let checkout = |hash: &str, short: &str, file: &str| format!("git/checkouts/dep-{hash}/{short}/{file}");
    let (a, b) = ("00000000000000aa", "00000000000000bb");
    let wanted = [
        checkout(a, "0123456", ".cargo-ok"),
        checkout(a, "0123456", ".git/HEAD"),
        checkout(a, "0123456", "hooks/kept-because-it-is-source"),
        checkout(a, "0123456", "src/lib.rs"),
        format!("git/db/dep-{a}/HEAD"),
        format!("git/db/dep-{a}/refs/heads/main"),
    ];
    let unwanted = [
        checkout(a, "0123456", ".git/hooks/pre-commit.sample"),
        checkout(a, "7654321", ".cargo-ok"),
        checkout(b, "7654321", ".cargo-ok"),
        // Torn: cargo did not finish it.
        checkout(b, "0123456", "src/lib.rs"),
        format!("git/db/dep-{a}/FETCH_HEAD"),
        format!("git/db/dep-{a}/hooks/update.sample"),
        format!("git/db/dep-{b}/HEAD"),
    ];
    let files: Vec<&str> = wanted.iter().chain(&unwanted).map(String::as_str).collect();
    let packages = vec![
        git("dep", "https://example.org/x/dep.git?branch=main"),
        git("second", "https://example.org/x/dep.git?branch=main"),
    ];
    let (paths, held, _) = chosen(&files, packages);
    assert_eq!(paths, wanted);
    assert_eq!(held.checkouts, 1);
}

#[test]
fn empty_directories_of_a_repository_are_listed() {
    let root = tempfile::tempdir().unwrap();
    let checkout = root.path().join("git/checkouts/dep-00000000000000aa/0123456");
    fs::create_dir_all(checkout.join(".git/refs/tags")).unwrap();
    fs::write(checkout.join(".cargo-ok"), "").unwrap();
    let mut home = Walk::new(root.path());
    choose(&mut home, &Lock { packages: vec![git("dep", "ssh://git@example.org:x/dep")] }, &mut Vec::new());
    let paths = home.finish().paths;
    assert!(paths.iter().any(|path| path.ends_with(".git/refs/tags")), "{paths:?}");
}

#[test]
fn a_home_that_is_not_there_holds_nothing() {
    let (paths, held, warnings) = chosen(&[], vec![registry("serde", CRATES_IO, "bytes"), git("dep", "https://h/dep")]);
    assert_eq!((paths.len(), held, warnings.len()), (0, Held::default(), 0));
}

#[test]
fn hosts_are_read_as_cargo_reads_them() {
    assert_eq!(host_of("https://index.crates.io/"), "index.crates.io");
    assert_eq!(host_of("ssh://registry.example.org:22/x"), "registry.example.org");
    assert_eq!(host_of("file:///srv/registry"), "");
    assert!(is_named("-00000000000000aa", "") && is_named("github.com-1ecc6299db9ec823", "github.com"));
    assert!(!is_named("github.com-1ecc", "github.com") && !is_named("my-github.com-1ecc6299db9ec823", "github.com"));
}
