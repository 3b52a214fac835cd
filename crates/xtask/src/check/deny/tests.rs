use super::*;

#[test]
fn the_first_error_is_shown_without_its_causes() {
    assert_eq!(first_error("1999-01-01 [WARN] old\n1999-01-01 [ERROR] no database: no route: x\nmore"), "no database");
    assert_eq!(first_error("a plain line\nmore"), "a plain line");
    assert_eq!(first_error(""), "");
}
