use super::*;

fn found(path: &str, text: &str) -> String {
    violations(path, text.as_bytes(), false).join("\n")
}

#[test]
fn a_well_formed_file_passes() {
    assert_eq!(found("docs/a.md", "# A\n\nText.\n"), "");
    assert_eq!(found("docs/empty.md", ""), "");
    assert_eq!(found("a.toml", "a = 1\n"), "");
}

#[test]
fn slips_of_form_are_found_with_their_line() {
    assert_eq!(found("a.md", "one\ntwo \n"), "a.md:2: trailing blank");
    assert_eq!(found("a.md", "one\r\n"), "a.md:1: carriage return");
    assert_eq!(found("a.rs", "\tone\n"), "a.rs:1: tab");
    assert_eq!(found("a.md", "one"), "a.md: does not end in a newline");
    assert_eq!(found("a.md", "one\n\n"), "a.md: ends in an empty line");
}

#[test]
fn a_makefile_has_tabs() {
    assert_eq!(found("Makefile", "run:\n\tcargo run\n"), "");
}

#[test]
fn broken_toml_and_json_are_found() {
    assert!(found("a.toml", "a = = 1\n").starts_with("a.toml: "));
    assert!(found("Cargo.lock", "[[package]\n").starts_with("Cargo.lock: "));
    assert!(found("a.json", "{\"a\": }\n").starts_with("a.json: "));
}

#[test]
fn bytes_that_are_no_text_are_left_alone_or_refused() {
    assert!(violations("a.bin", &[0, 159, 146], false).is_empty());
    assert_eq!(violations("a.txt", &[159, 146], false), ["a.txt: is not UTF-8"]);
}

#[test]
fn a_script_must_be_executable() {
    assert!(found("ci/run", "#!/bin/sh\n").contains("chmod +x ci/run"));
    assert!(violations("ci/run", b"#!/bin/sh\n", true).is_empty());
}

#[test]
fn snapshots_and_old_formats_keep_their_bytes() {
    assert_eq!(found("crates/app/tests/it/help.snap", "a \n"), "");
    assert_eq!(found("crates/store/tests/formats/1/README.md", "a \n"), "");
}
