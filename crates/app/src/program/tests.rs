use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::{Invocation, run_within};

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
