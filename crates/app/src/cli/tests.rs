use clap::CommandFactory;

use super::Cli;

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
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
