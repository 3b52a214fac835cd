use super::*;

#[test]
fn a_window_is_fetched_once_and_only_when_the_log_is_beyond_it() {
    let ahead = ReadAhead::default();
    ahead.wrote(7, 16..WINDOW - 1);
    assert_eq!(ahead.take(7, 16..100), None, "the log goes on in it");
    ahead.wrote(7, WINDOW - 1..WINDOW + 1);
    assert_eq!(ahead.take(6, 16..100), None);
    assert_eq!(ahead.take(7, WINDOW..WINDOW + 1), None);
    assert_eq!(ahead.take(7, 100..200), Some(0..WINDOW));
    assert_eq!(ahead.take(7, 16..100), None, "it is in memory, or was");
}

#[test]
fn a_range_over_several_windows_fetches_those_that_are_due() {
    let ahead = ReadAhead::default();
    ahead.wrote(1, 0..WINDOW * 100);
    assert_eq!(ahead.take(1, WINDOW * 63..WINDOW * 63 + 1), Some(WINDOW * 63..WINDOW * 64));
    assert_eq!(ahead.take(1, WINDOW * 64 - 1..WINDOW * 65 + 1), Some(WINDOW * 64..WINDOW * 66));
    assert_eq!(
        ahead.take(1, WINDOW * 99..WINDOW * 300),
        Some(WINDOW * 99..WINDOW * 100),
        "the rest was not written so"
    );
}

#[test]
fn a_window_written_again_is_fetched_again() {
    let ahead = ReadAhead::default();
    for _ in 0..2 {
        ahead.wrote(1, WINDOW..WINDOW * 2);
        assert_eq!(ahead.take(1, WINDOW..WINDOW + 1), Some(WINDOW..WINDOW * 2));
    }
}

#[test]
fn the_oldest_segments_are_forgotten() {
    let ahead = ReadAhead::default();
    (0..=SEGMENTS_MAX as u32).for_each(|segment| ahead.wrote(segment, 0..WINDOW));
    assert_eq!(ahead.take(0, 0..1), None);
    assert_eq!(ahead.take(1, 0..1), Some(0..WINDOW));
    assert_eq!(ahead.take(SEGMENTS_MAX as u32, 0..1), Some(0..WINDOW));
}
