use super::nearest;

#[test]
fn a_slip_is_told_from_another_word() {
    let known = ["list", "restore", "save"];
    assert_eq!(nearest(known, "rstore"), Some("restore"));
    assert_eq!(nearest(known, "sve"), Some("save"));
    assert_eq!(nearest(known, "evil"), None);
    assert_eq!(nearest(known, ""), None);
    assert_eq!(nearest([], "list"), None);
}
