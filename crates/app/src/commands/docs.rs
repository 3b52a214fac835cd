//! `larder completions` and the reference that is generated from the definitions.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use larder_base::{Error, ErrorKind, Result};

use crate::cli::Cli;
use crate::config::SETTINGS;
use crate::exit::Exit;

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit> {
    clap_complete::generate(shell, &mut Cli::command(), "larder", &mut io::stdout());
    Ok(Exit::Success)
}

/// Writes the man pages.
pub fn man(directory: &Path) -> Result<Exit> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .map_err(|error| failed(directory, error))?;
    Ok(Exit::Success)
}

/// Writes the reference of commands and that of settings.
pub fn generate(directory: &Path) -> Result<Exit> {
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(directory.join("commands.md"), commands()))
        .and_then(|()| std::fs::write(directory.join("settings.md"), settings()))
        .map_err(|error| failed(directory, error))?;
    Ok(Exit::Success)
}

fn failed(directory: &Path, source: io::Error) -> Error {
    Error::new(ErrorKind::Failed, "write documentation", directory.display().to_string()).with_source(source)
}

fn commands() -> String {
    let mut text = String::from("# Commands\n\nMade by `cargo xtask gen-docs`; do not edit by hand.\n");
    let mut command = Cli::command().term_width(100);
    command.build();
    let _ = write!(text, "\n## larder\n\n```text\n{}\n```\n", command.render_long_help().to_string().trim_end());
    describe(&mut command, "larder", &mut text);
    trimmed(&text)
}

fn describe(command: &mut clap::Command, path: &str, text: &mut String) {
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        let help = sub.render_long_help().to_string();
        let _ = write!(text, "\n## {path}\n\n```text\n{}\n```\n", help.trim_end());
        describe(sub, &path, text);
    }
}

fn settings() -> String {
    let mut text = String::from(
        "# Settings of the server\n\nMade by `cargo xtask gen-docs`; do not edit by hand.\n\n\
         A setting comes from the command line, else the environment, else the file named by `--config` or \
         `LARDER_CONFIG`, else `$XDG_CONFIG_HOME/larder/larder.toml`, else its default. A key that is not known is an \
         error that names the nearest one. The keys of a door are on its page; in the environment they are \
         `LARDER_DOOR_<DOOR>_<KEY>`. Credentials are described in [operating.md](../operating.md).\n\n\
         | key | environment | default | what it does |\n| --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}` | {} |",
            setting.key,
            setting.variable(),
            setting.default.trim_matches('"'),
            setting.about
        );
    }
    text
}

/// Help pads its lines with spaces; a text in the repository has none at line ends.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
