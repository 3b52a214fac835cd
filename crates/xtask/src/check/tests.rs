use super::*;

#[test]
fn a_skip_is_an_error_only_where_skips_are_forbidden() {
    let skipped = Outcome::Skipped("cargo-deny is not installed".into());
    assert!(acceptable(&skipped, Skips::Allowed));
    assert!(!acceptable(&skipped, Skips::Forbidden));
    assert!(line(&CHECKS[0], &skipped, Skips::Allowed, 0.0).starts_with("SKIPPED"));
    assert!(line(&CHECKS[0], &skipped, Skips::Forbidden, 0.0).starts_with("FAILED"));
}

#[test]
fn an_excused_skip_is_loud_and_never_an_error() {
    let excused = Outcome::Excused("no network".into());
    assert!(acceptable(&excused, Skips::Forbidden));
    assert!(line(&CHECKS[0], &excused, Skips::Forbidden, 0.0).contains("SKIPPED"));
}

#[test]
fn a_failure_says_what_to_do_and_lists_each_violation() {
    let failed = Outcome::Failed(vec!["one".into(), "two".into()]);
    let text = line(&CHECKS[0], &failed, Skips::Allowed, 0.0);
    assert!(text.contains(CHECKS[0].remedy));
    assert_eq!(text.lines().count(), 3);
    assert!(!acceptable(&failed, Skips::Allowed));
}

#[test]
fn the_selection_takes_what_is_asked_for_less_what_is_left_out() {
    assert!(Selection::default().takes("layers"));
    assert!(!Selection::only("layers").takes("sizes"));
    let selection = Selection { only: vec![], skip: vec!["deny".into()] };
    assert!(!selection.takes("deny") && selection.takes("layers"));
}
