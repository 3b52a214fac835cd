use super::*;

#[test]
fn the_last_line_that_fits_passes_and_the_next_does_not() {
    assert_eq!(violation("a.rs", &"\n".repeat(MOST)), None);
    assert!(violation("a.rs", &"\n".repeat(MOST + 1)).unwrap().contains("801 lines"));
}

#[test]
fn tests_and_generated_code_may_be_long() {
    assert!(is_production("crates/store/src/index.rs"));
    assert!(is_production("crates/app/build.rs"));
    assert!(!is_production("crates/store/src/index/tests.rs"));
    assert!(!is_production("crates/app/tests/it/http.rs"));
    assert!(!is_production("crates/proto/src/generated/reapi.rs"));
    assert!(!is_production("README.md"));
}
