use super::*;

const ROOT: &str = r#"
too-many-lines-threshold = 100
disallowed-methods = [
    { path = "std::fs::read", reason = "files: through the store" },
    { path = "tokio::spawn", reason = "spawn: as a job" },
]
"#;

fn found(folder: &str, own: &str) -> Vec<String> {
    violations(folder, &ROOT.parse().unwrap(), &own.parse().unwrap())
}

#[test]
fn a_crate_may_leave_out_the_group_it_is_free_of() {
    let own = "too-many-lines-threshold = 100\ndisallowed-methods = [{ path = \"tokio::spawn\" }]\n";
    assert!(found("crates/store", own).is_empty());
}

#[test]
fn a_crate_that_leaves_out_more_is_found() {
    let own = "too-many-lines-threshold = 100\n";
    assert_eq!(found("crates/store", own).len(), 1);
    assert!(found("crates/store", own)[0].contains("tokio::spawn"));
}

#[test]
fn a_looser_threshold_is_found() {
    let own = "too-many-lines-threshold = 900\ndisallowed-methods = [{ path = \"tokio::spawn\" }]\n";
    assert!(found("crates/store", own)[0].contains("too-many-lines-threshold"));
}

#[test]
fn a_crate_that_is_free_of_nothing_has_no_file_of_its_own() {
    assert!(found("doors/ci", ROOT)[0].contains("free of no ban"));
}

#[test]
fn a_ban_without_a_group_is_found() {
    let root = "disallowed-types = [{ path = \"std::fs::File\", reason = \"bad\" }]\n".parse().unwrap();
    assert_eq!(without_group(&root).len(), 1);
}
