use super::*;

const MANIFEST: &str = "[dependencies]\naxum = \"1\"\n\n# Doors.\ndoor-ci.path = \"../../doors/ci\"\n\
                        door-http.path = \"../../doors/http\"\n\n[dev-dependencies]\n";

fn workspace() -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("crates/app")).unwrap();
    fs::write(folder.path().join(APP), MANIFEST).unwrap();
    let workspace = Workspace::at(folder.path().to_owned());
    (folder, workspace)
}

#[test]
fn the_line_goes_among_the_doors_in_order() {
    let place = |name: &str| {
        let manifest = with_line(MANIFEST, name).unwrap();
        assert_eq!(manifest.lines().count(), MANIFEST.lines().count() + 1);
        manifest.lines().position(|line| line.starts_with(&format!("door-{name}."))).unwrap()
    };
    assert_eq!((place("aaa"), place("gha"), place("web")), (4, 5, 6));
}

#[test]
fn a_manifest_without_doors_is_refused() {
    assert!(with_line("[dependencies]\n", "oci").unwrap_err().contains("no line of a door"));
}

#[test]
fn a_new_door_has_its_files_and_its_name_everywhere() {
    let (_folder, workspace) = workspace();
    make(&workspace, "oci").unwrap();
    for (path, template) in FILES {
        let text = workspace.read(&format!("doors/oci/{path}")).unwrap();
        assert!(!text.contains("NAME"), "{path}");
        assert_eq!(text.lines().count(), template.lines().count());
    }
    assert!(workspace.read(APP).unwrap().contains("door-oci.path = \"../../doors/oci\"\n"));
}

#[test]
fn a_door_that_is_there_is_left_alone() {
    let (_folder, workspace) = workspace();
    make(&workspace, "oci").unwrap();
    fs::write(workspace.path("doors/oci/src/lib.rs"), "mine").unwrap();
    assert!(make(&workspace, "oci").unwrap_err().contains("already"));
    assert_eq!(workspace.read("doors/oci/src/lib.rs").unwrap(), "mine");
    assert_eq!(workspace.read(APP).unwrap().matches("door-oci.").count(), 1);
}

#[test]
fn a_bad_name_changes_nothing() {
    let (_folder, workspace) = workspace();
    for name in ["", "Oci", "../evil", "a b"] {
        assert!(make(&workspace, name).is_err(), "{name:?}");
    }
    assert!(!workspace.path("doors").exists());
    assert_eq!(workspace.read(APP).unwrap(), MANIFEST);
}

#[test]
fn the_page_on_adding_a_door_names_every_file() {
    let page = include_str!("../../../../docs/adding-a-door.md");
    for (path, _) in FILES {
        assert!(page.contains(&format!("| `{path}` |")), "{path}");
    }
    assert!(page.contains("    door-oci.path = \"../../doors/oci\"\n"));
}
