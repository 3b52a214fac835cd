use proptest::prelude::*;

use super::*;

fn moment(text: &str) -> Option<(i64, i32)> {
    read_moment(text).map(|moment| (moment.seconds, moment.nanos))
}

#[test]
fn a_moment_is_read_in_any_zone_and_fraction() {
    let read = [
        ("1970-01-01T00:00:00Z", (0, 0)),
        ("1969-12-31T23:59:59.5Z", (-1, 500_000_000)),
        // moon 2.5.5 writes this zone and nine digits.
        ("2026-11-21T08:31:43.184758619+00:00", (1_795_249_903, 184_758_619)),
        ("2026-11-21T10:01:43+01:30", (1_795_249_903, 0)),
        ("2000-02-29t00:00:00z", (951_782_400, 0)),
        ("0001-01-01T00:00:00Z", (FIRST_SECOND, 0)),
        ("9999-12-31T23:59:59.999999999Z", (LAST_SECOND, 999_999_999)),
    ];
    for (text, expected) in read {
        assert_eq!(moment(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_moment_is_refused() {
    let refused = [
        "",
        "now",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+24:00",
        "+970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Zjunk",
        "1970-01-0é00:00:00Z",
        "0000-12-31T23:59:59Z",
    ];
    for text in refused {
        assert_eq!(moment(text), None, "{text}");
    }
}

#[test]
fn a_span_has_seconds_and_a_sign() {
    let read = |text: &str| read_span(text).map(|span| (span.seconds, span.nanos));
    for (text, expected) in [("0s", (0, 0)), ("1.5s", (1, 500_000_000)), ("-0.000000001s", (0, -1)), ("-3s", (-3, 0))] {
        assert_eq!(read(text), Some(expected), "{text}");
        let span = Duration { seconds: expected.0, nanos: expected.1 };
        let written = serde_json::to_string(&span).unwrap();
        assert_eq!(serde_json::from_str::<Duration>(&written).unwrap(), span, "{written}");
    }
    for text in ["", "s", "1", "1.s", "--1s", "1.5.5s", "1e3s", "999999999999s"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn a_span_that_could_not_be_read_is_not_written() {
    let kept = [(SPAN_MAX as i64, 999_999_999), (-(SPAN_MAX as i64), 0), (0, -999_999_999)];
    for (seconds, nanos) in kept {
        let span = Duration { seconds, nanos };
        assert_eq!(read_span(&write_span(span).unwrap()), Some(span));
    }
    for (seconds, nanos) in
        [(14_351, -236_718_094), (-1, 1), (0, 1_000_000_000), (SPAN_MAX as i64 + 1, 0), (i64::MIN, i32::MIN)]
    {
        assert_eq!(write_span(Duration { seconds, nanos }), None, "{seconds} {nanos}");
    }
}

proptest! {
    #[test]
    fn a_moment_is_read_as_it_was_written(
        seconds in FIRST_SECOND..=LAST_SECOND,
        nanos in 0..1_000_000_000_i32,
        digits in 0..4_u32,
    ) {
        // Fractions of 0, 3, 6 and 9 digits all occur.
        let unit = 1000_i32.pow(3 - digits.min(3));
        let moment = Timestamp { seconds, nanos: nanos / unit * unit };
        prop_assert_eq!(read_moment(&write_moment(moment).unwrap()), Some(moment));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,40}") {
        let _ = (read_moment(&text), read_span(&text));
    }
}
