//! Running other programs.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The cargo that runs us, so that a pinned toolchain stays the same one.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Standard output of a program that must succeed.
pub(crate) fn output(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let said = finish(Command::new(program).args(arguments).current_dir(folder))?;
    if said.status.success() { Ok(text(&said.stdout)) } else { Err(complaint(program, arguments, &said)) }
}

/// Runs cargo with extra environment; what it printed is the error.
pub(crate) fn run_cargo(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let mut command = Command::new(cargo());
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    command.env("CARGO_TERM_COLOR", "never");
    // A target folder from the environment would be shared with a copy of the workspace, whose crates have the same names.
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    let said = finish(&mut command)?;
    if said.status.success() { Ok(()) } else { Err(complaint("cargo", arguments, &said)) }
}

/// Runs to the end with nothing on standard input.
pub(crate) fn finish(command: &mut Command) -> Result<Output, String> {
    command.stdin(Stdio::null()).output().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        match error.kind() {
            ErrorKind::NotFound => format!("{program} is not installed"),
            _ => format!("cannot run {program}: {error}"),
        }
    })
}

/// Both streams of a program that failed, without cargo's progress lines.
fn complaint(program: &str, arguments: &[&str], said: &Output) -> String {
    let both = text(&said.stdout) + &text(&said.stderr);
    let telling: Vec<&str> = both.lines().filter(|line| !is_progress(line)).collect();
    format!("`{program} {}` failed ({})\n{}", arguments.join(" "), said.status, telling.join("\n"))
}

fn is_progress(line: &str) -> bool {
    ["Compiling ", "Checking ", "Documenting ", "Finished ", "Blocking ", "Fresh "]
        .iter()
        .any(|word| line.trim_start().starts_with(word))
}

/// What a program printed, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
