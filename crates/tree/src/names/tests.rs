use super::*;

#[test]
fn names_that_mean_another_place_are_refused() {
    for name in ["", ".", "..", "a/b", "/", "a\0b", ".larder~1f"] {
        assert!(name_problem(name).is_some(), "{name:?}");
    }
    assert!(name_problem(&"n".repeat(256)).is_some());
    for name in ["a", "...", ".hidden", "with space", "ä", "a\nb", ".larder"] {
        assert_eq!(name_problem(name), None, "{name:?}");
    }
    assert_eq!(name_problem(&"n".repeat(255)), None);
}

#[test]
fn targets_that_may_lead_out_are_refused() {
    for (depth, target) in [
        (0, ".."),
        (0, "../a"),
        (1, "../../a"),
        (2, "./.././../../a"),
        (0, "/"),
        (3, "/etc"),
        (3, "a/.."),
        (3, "../a/../b"),
    ] {
        assert!(target_problem(depth, target).is_some(), "{target} at depth {depth}");
    }
    assert!(target_problem(1, "").is_some());
    assert!(target_problem(1, "a\0").is_some());
    assert!(target_problem(1, &"a".repeat(4096)).is_some());
}

#[test]
fn targets_that_stay_inside_are_allowed() {
    for (depth, target) in [
        (0, "a"),
        (0, "./a//b/"),
        (1, ".."),
        (1, "../a/b"),
        (2, "../../a"),
        (2, ".//../.././a"),
        (0, "..."),
        (0, "a/..b"),
    ] {
        assert_eq!(target_problem(depth, target), None, "{target} at depth {depth}");
    }
}
