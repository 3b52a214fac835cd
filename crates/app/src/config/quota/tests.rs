use super::Quota;

#[test]
fn a_quota_that_no_save_fits_in_is_refused_and_a_bare_number_is_asked_after() {
    for (text, said) in [
        ("5", "\"5\" is less than a store needs, 16.0 MiB; did you mean \"5 GiB\"?"),
        ("500", "\"500\" is less than a store needs, 16.0 MiB; did you mean \"500 GiB\"?"),
        ("1KiB", "\"1KiB\" is less than a store needs, 16.0 MiB"),
        ("0", "\"0\" is less than a store needs, 16.0 MiB"),
        ("16777215", "\"16777215\" is less than a store needs, 16.0 MiB"),
    ] {
        assert_eq!(text.parse::<Quota>().unwrap_err(), said);
    }
    assert!("lots".parse::<Quota>().unwrap_err().contains("is not a size"));
}

#[test]
fn the_least_quota_is_taken_however_it_is_written() {
    for text in ["16 MiB", "16777216"] {
        assert_eq!(text.parse::<Quota>().unwrap().bytes(), 16 << 20, "{text}");
    }
}
