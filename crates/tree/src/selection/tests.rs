use super::*;

fn is_whole(selection: &Selection, path: &str) -> bool {
    let mut at = Some(&selection.top);
    for name in path.split('/') {
        at = at.and_then(|picked| match picked {
            Picked::Whole => Some(picked),
            Picked::Some(children) => children.get(OsStr::new(name)),
        });
    }
    matches!(at, Some(Picked::Whole))
}

#[test]
fn files_and_directories_are_selected_with_all_below_them() {
    let root = Path::new("/no/such/root");
    let selection = Selection::of(root, ["a/b", "./c/../d", "/no/such/root/e/f/", "a/b/c"]).unwrap();
    for path in ["a/b", "a/b/c/d", "d", "d/x", "e/f", "e/f/g"] {
        assert!(is_whole(&selection, path), "{path}");
    }
    for path in ["a", "c", "e", "e/x", "x"] {
        assert!(!is_whole(&selection, path), "{path}");
    }
    assert!(is_whole(&Selection::of(root, ["a", "."]).unwrap(), "anything"));
    assert!(is_whole(&Selection::of(root, ["/no/such/root"]).unwrap(), "anything"));
    assert!(Selection::of(root, [""; 0]).unwrap().is_empty());
}

#[test]
fn paths_that_lead_outside_are_refused_by_name() {
    let root = Path::new("/no/such/root");
    for path in ["..", "a/../../b", "/etc", "/no/such/root/../x", "/no/such/rootless", "/"] {
        let error = Selection::of(root, ["fine", path]).unwrap_err();
        assert!(error.message().contains(path), "{error}");
    }
}

#[test]
fn a_root_behind_a_link_accepts_both_forms_of_absolute_paths() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().canonicalize().unwrap().join("real");
    std::fs::create_dir(&real).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let selection = Selection::of(&link, [link.join("a"), real.join("b")]).unwrap();
    assert!(is_whole(&selection, "a") && is_whole(&selection, "b"));
}
