use super::*;

fn found(sources: &[(&str, &str)], targets: &[&str]) -> Vec<String> {
    let sources: Vec<_> = sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let targets: Vec<_> = targets.iter().map(|path| (*path).to_owned()).collect();
    violations(&sources, &targets)
}

#[test]
fn files_named_by_a_mod_line_pass_in_every_layout() {
    let wrong = found(
        &[
            ("crates/a/src/lib.rs", "pub mod one;\nmod two;\n#[cfg(test)]\nmod tests;\n"),
            ("crates/a/src/one.rs", "pub(crate) mod deep;\n#[cfg(test)] mod tests;\n"),
            ("crates/a/src/one/deep.rs", ""),
            ("crates/a/src/one/tests.rs", ""),
            ("crates/a/src/two/mod.rs", "mod leaf;\n"),
            ("crates/a/src/two/leaf.rs", ""),
            ("crates/a/src/tests.rs", ""),
            ("crates/a/tests/it/main.rs", "mod http;\n#[path = \"../shared.rs\"]\nmod shared;\n"),
            ("crates/a/tests/it/http.rs", ""),
            ("crates/a/tests/shared.rs", ""),
        ],
        &["crates/a/src/lib.rs", "crates/a/tests/it/main.rs"],
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn tests_that_nobody_lists_are_found() {
    let wrong = found(
        &[("crates/a/src/lib.rs", "mod one;\n"), ("crates/a/src/one.rs", ""), ("crates/a/src/one/tests.rs", "")],
        &["crates/a/src/lib.rs"],
    );
    assert_eq!(wrong, ["crates/a/src/one/tests.rs: no `mod` line names this file, so it is never compiled"]);
}

#[test]
fn a_mod_line_in_a_comment_lists_nothing() {
    let sources = [("crates/a/src/lib.rs", "// mod one;\n"), ("crates/a/src/one.rs", "")];
    assert_eq!(found(&sources, &["crates/a/src/lib.rs"]).len(), 1);
}

#[test]
fn tests_inside_the_code_are_found() {
    let text = "#[cfg(test)]\nmod tests {\n}\n";
    let wrong = found(&[("crates/a/src/lib.rs", text)], &["crates/a/src/lib.rs"]);
    assert!(wrong[0].starts_with("crates/a/src/lib.rs:2:"), "{wrong:?}");
}

#[test]
fn a_test_ignored_without_a_reason_is_found() {
    let wrong = found(&[("crates/a/src/lib.rs", "#[test]\n#[ignore]\nfn x() {}\n")], &["crates/a/src/lib.rs"]);
    assert!(wrong[0].starts_with("crates/a/src/lib.rs:2:"), "{wrong:?}");
    assert!(found(&[("crates/a/src/lib.rs", "#[ignore = \"slow\"]\n")], &["crates/a/src/lib.rs"]).is_empty());
}

#[test]
fn only_the_code_of_crates_and_doors_is_looked_at() {
    assert!(is_source("doors/ci/src/lib.rs") && is_source("crates/app/tests/it/ci.rs"));
    assert!(!is_source("fuzz/src/main.rs") && !is_source("crates/xtask/templates/door/lib.rs"));
}
