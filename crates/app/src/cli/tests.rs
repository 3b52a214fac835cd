use clap::{CommandFactory, Parser};

use super::{Cli, with_whole_usage};

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

fn refused(arguments: &[&str]) -> String {
    with_whole_usage(Cli::try_parse_from(arguments).unwrap_err()).to_string()
}

#[test]
fn a_refused_command_line_is_told_its_commands_usage_and_not_what_was_given_as_required() {
    // A variable of the environment counts as the flag does.
    let said = refused(&["larder", "--url", "http://host", "purge"]);
    assert!(!said.contains("--url"), "{said}");
    assert!(said.contains("larder purge [OPTIONS] KEY") && said.contains("<--scope SCOPE|--writer NAME|"), "{said}");
    let said = refused(&["larder", "--url", "http://host", "show"]);
    assert!(said.contains("Usage: larder show [OPTIONS] <KEY>"), "{said}");
    let said = refused(&["larder", "--namespace", "n", "token", "revoke"]);
    assert!(said.contains("Usage: larder token revoke [OPTIONS] <ID>"), "{said}");
    assert!(refused(&["larder", "--no-such-flag"]).contains("Usage: larder [OPTIONS] <COMMAND>"));
}

#[test]
fn what_could_only_mean_nothing_is_refused() {
    assert!(refused(&["larder", "list", "--limit", "0"]).contains("--limit"));
    assert!(refused(&["larder", "token", "revoke", ""]).contains("<ID>"));
}

#[test]
fn the_help_is_as_reviewed() {
    let mut command = Cli::command();
    command.build();
    let mut text = command.render_long_help().to_string();
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let help = sub.render_long_help();
        text += &format!("\n==== larder {} ====\n\n{help}", sub.get_name());
    }
    insta::assert_snapshot!(text);
}
