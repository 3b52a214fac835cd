use super::*;

const GOOD: &str = "added: a door for ccache\n\nPoint ccache at /http/ccache/NAMESPACE/.\n";

#[test]
fn a_note_of_the_right_form_passes() {
    assert!(violations("ccache-door.md", GOOD).is_empty());
}

#[test]
fn the_template_itself_does_not_pass_as_a_note() {
    let template = include_str!("../../../../../changes/TEMPLATE.md");
    assert!(!violations("ccache-door.md", template).is_empty());
}

#[test]
fn slips_are_found() {
    for (name, text, telling) in [
        ("CcacheDoor.md", GOOD, "lower-case words"),
        ("ccache-door.txt", GOOD, "lower-case words"),
        ("a.md", "improved: much\n\nText.\n", "the first line is"),
        ("a.md", "added: a door.\n\nText.\n", "without a full stop"),
        ("a.md", "added: \n\nText.\n", "the summary"),
        ("a.md", "added: a door\nText.\n", "after an empty line"),
        ("a.md", "added: a door\n", "after an empty line"),
    ] {
        let wrong = violations(name, text);
        assert!(wrong.iter().any(|found| found.contains(telling)), "{name} {text:?}: {wrong:?}");
    }
}
