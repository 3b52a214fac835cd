use super::*;

#[test]
fn products_of_our_crates_are_told_from_others() {
    let ours = ["larder".to_owned(), "larder-base".to_owned(), "door-ci".to_owned(), "xtask".to_owned()];
    for name in
        ["liblarder_base-0123.rlib", "larder-0123", "door-ci-0123", "libdoor_ci-0.rmeta", "xtask-0.d", "larder.d"]
    {
        assert!(is_ours(name, &ours), "{name}");
    }
    for name in ["libtokio-0123.rlib", "larders-0123", "doors-1", "libdoorstep-0.rlib"] {
        assert!(!is_ours(name, &ours), "{name}");
    }
}

#[test]
fn a_copied_file_keeps_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a"), folder.path().join("deep/b"));
    fs::write(&from, "x").unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&from).unwrap().set_modified(long_ago).unwrap();
    copy_file(&from, &to).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), long_ago);
}

#[test]
fn only_what_is_foreign_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("deps"), folder.path().join("copy"));
    fs::create_dir_all(from.join("build-1/out")).unwrap();
    fs::write(from.join("libtokio-1.rlib"), "").unwrap();
    fs::write(from.join("libxtask-1.rlib"), "").unwrap();
    fs::write(from.join("build-1/out/made.rs"), "").unwrap();
    copy_foreign(&from, &to, &["xtask".to_owned()]).unwrap();
    assert!(to.join("libtokio-1.rlib").exists() && to.join("build-1/out/made.rs").exists());
    assert!(!to.join("libxtask-1.rlib").exists());
}
