use super::*;

fn listed(root: &Path, paths: &[&str], wanted: &dyn Fn(&Path) -> bool) -> (Listing, Vec<String>) {
    let (mut walk, mut warnings) = (Walk::new(root), Vec::new());
    for path in paths {
        walk.add(Path::new(path), wanted, &mut warnings);
    }
    (walk.finish(), warnings)
}

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("a/empty")).unwrap();
    fs::create_dir_all(root.path().join("a/full")).unwrap();
    fs::write(root.path().join("a/full/file"), "12345").unwrap();
    std::os::unix::fs::symlink("../nowhere", root.path().join("a/link")).unwrap();
    root
}

#[test]
fn files_links_and_empty_directories_are_listed_once_and_in_order() {
    let root = tree();
    let (listing, warnings) = listed(root.path(), &["a", "a/full/file", "gone"], &|_| true);
    assert_eq!(listing.paths, ["a/empty", "a/full/file", "a/link"].map(PathBuf::from));
    assert_eq!((listing.bytes, warnings.len()), (5, 0));
}

#[test]
fn what_is_not_wanted_is_not_entered() {
    let root = tree();
    let (listing, _) = listed(root.path(), &["a"], &|path| !path.ends_with("full"));
    assert_eq!(listing.paths, ["a/empty", "a/link"].map(PathBuf::from));
}

#[test]
fn what_is_neither_file_link_nor_directory_is_named() {
    let root = tree();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("a/socket")).unwrap();
    let (listing, warnings) = listed(root.path(), &["a"], &|_| true);
    assert_eq!(listing.paths.len(), 3);
    assert!(warnings.len() == 1 && warnings[0].contains("a/socket"), "{warnings:?}");
}
