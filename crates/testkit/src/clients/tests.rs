use std::os::unix::fs::symlink;

use super::*;

#[test]
fn an_installed_client_is_found_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ccache");
    fs::write(&program, "").unwrap();
    symlink(&program, folder.path().join("ccache-bin")).unwrap();
    symlink(folder.path().join("gone"), folder.path().join("bazel")).unwrap();
    assert_eq!(installed(folder.path(), "ccache-bin"), Some(program));
    assert_eq!(installed(folder.path(), "bazel"), None);
    assert_eq!(installed(folder.path(), "go"), None);
}

#[test]
fn the_first_folder_of_the_search_path_wins() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(two.path().join("go"), "").unwrap();
    let folders = || [one.path().to_owned(), two.path().to_owned()].into_iter();
    assert_eq!(on_path(folders(), "go"), Some(two.path().join("go")));
    fs::write(one.path().join("go"), "").unwrap();
    assert_eq!(on_path(folders(), "go"), Some(one.path().join("go")));
    assert_eq!(on_path(folders(), "bazel"), None);
}

#[test]
fn a_list_names_whole_names_only() {
    assert!(names("ccache,bazel", "bazel") && names("ccache, bazel", "bazel"));
    assert!(!names("ccache-bin", "ccache") && !names("", "ccache"));
}
