use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::{Invocation, Project, Selection, run_within, system_release};

#[test]
fn cargos_home_is_found_as_cargo_finds_it() {
    let project = |variables: &[(&str, &str)]| {
        let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        Project::from_environment("/w".into(), environment, String::new(), Selection::default())
            .map(|project| project.cargo_home)
    };
    assert_eq!(project(&[("CARGO_HOME", "/c"), ("HOME", "/h")]).unwrap(), Path::new("/c"));
    assert_eq!(project(&[("CARGO_HOME", "c")]).unwrap(), Path::new("/w/c"));
    assert_eq!(project(&[("CARGO_HOME", ""), ("HOME", "/h")]).unwrap(), Path::new("/h/.cargo"));
    assert!(project(&[]).unwrap_err().hint().is_some());
}

#[test]
fn a_system_is_named_by_its_release_file() {
    assert_eq!(system_release("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"), "debian-12");
    assert_eq!(system_release("ID=arch\nBUILD_ID=rolling\n"), "arch-rolling");
    assert_eq!(system_release("ID=void\n"), "void");
    assert_eq!(system_release(""), "unknown");
}

fn shell<'a>(script: &'a [&'a str], environment: &'a BTreeMap<OsString, OsString>) -> Invocation<'a> {
    Invocation { program: OsStr::new("/bin/sh"), arguments: script, directory: Path::new("/"), environment }
}

#[test]
fn a_program_gives_its_output_and_its_status() {
    let environment = BTreeMap::new();
    let script = ["-c", "echo out; echo err >&2; exit 3"];
    let output = run_within(&shell(&script, &environment), Duration::from_secs(60)).unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let environment = BTreeMap::new();
    let script = ["-c", "exec sleep 600"];
    let error = run_within(&shell(&script, &environment), Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}
