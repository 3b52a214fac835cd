use super::*;

const APP: &str = "[dependencies]\ndoor-oci.path = \"../../doors/oci\"\n";

fn oci() -> Found {
    Found {
        name: "oci".into(),
        manifest: "[package]\nname = \"door-oci\"\n".into(),
        page: Some("# OCI\n\nWhat it is.\n\n## Use\n".into()),
        has_tests: true,
    }
}

fn only_violation(door: Found, app: &str) -> String {
    let wrong = violations(&[door], app).unwrap();
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    wrong.into_iter().next().unwrap()
}

#[test]
fn a_folder_and_a_line_pass() {
    assert!(violations(&[oci()], APP).unwrap().is_empty());
}

#[test]
fn a_folder_without_its_line_is_found() {
    assert!(only_violation(oci(), "[dependencies]\n").contains("door-oci.path = \"../../doors/oci\""));
    assert!(only_violation(oci(), "[dependencies]\ndoor-oci.path = \"../oci\"\n").contains("lacks its line"));
}

#[test]
fn a_line_without_its_folder_is_found() {
    let wrong = violations(&[], APP).unwrap();
    assert!(wrong[0].contains("no such door"), "{wrong:?}");
}

#[test]
fn a_door_without_page_or_tests_is_found() {
    assert!(only_violation(Found { page: None, ..oci() }, APP).contains("lacks README.md"));
    assert!(only_violation(Found { page: Some("# OCI\n".into()), ..oci() }, APP).contains("a page has a title"));
    assert!(only_violation(Found { has_tests: false, ..oci() }, APP).contains("has no tests"));
}

#[test]
fn a_package_of_another_name_is_found() {
    let door = Found { manifest: "[package]\nname = \"oci\"\n".into(), ..oci() };
    assert!(only_violation(door, APP).contains("to be called door-oci"));
}

#[test]
fn a_name_is_one_lower_case_word() {
    assert!(is_name("oci") && is_name("s3"));
    assert!(!is_name("OCI") && !is_name("my-door") && !is_name("3s") && !is_name(""));
}
