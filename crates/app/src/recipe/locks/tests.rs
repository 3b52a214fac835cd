use std::fs;

use super::*;

fn tree(paths: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for path in paths {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    root
}

fn names(found: &[PathBuf]) -> Vec<String> {
    found.iter().map(|path| path.to_string_lossy().into_owned()).collect()
}

#[test]
fn locks_are_found_below_but_not_in_what_was_installed_built_or_hidden() {
    let root = tree(&[
        "lock",
        "b/c/lock",
        "a/lock",
        "a/other",
        ".mvn/lock",
        ".git/lock",
        "node_modules/x/lock",
        "x/target/lock",
    ]);
    std::os::unix::fs::symlink(root.path().join("a"), root.path().join("z")).unwrap();
    assert_eq!(names(&below(root.path(), &|name| name == "lock")), [".mvn/lock", "a/lock", "b/c/lock", "lock"]);
    assert_eq!(names(&here(root.path(), &|name| name == "lock")), ["lock"]);
}

#[test]
fn a_folder_of_that_name_is_no_lock() {
    let root = tree(&["lock/file"]);
    assert_eq!(names(&here(root.path(), &|name| name == "lock")), <[&str; 0]>::default());
}
