use std::time::Duration;

use super::{ByteSize, Span};

#[test]
fn sizes_are_read_as_people_write_them() {
    for (text, bytes) in [
        ("0", 0),
        ("17", 17),
        ("1k", 1024),
        ("50 GiB", 50 << 30),
        ("200MB", 200_000_000),
        ("1.5 GiB", 3 << 29),
        ("2tb", 2_000_000_000_000),
    ] {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }
    for text in ["", "GiB", "5 parsecs", "-1", "99999999999999 TiB", "1.2.3k"] {
        let message = text.parse::<ByteSize>().unwrap_err();
        assert!(message.contains("is not a size"), "{message}");
    }
}

#[test]
fn sizes_are_shown_short() {
    let shown = |bytes| ByteSize(bytes).to_string();
    assert_eq!(shown(999), "999 B");
    assert_eq!(shown(1536), "1.5 KiB");
    assert_eq!(shown(3 << 40), "3.0 TiB");
}

#[test]
fn spans_need_a_unit() {
    assert_eq!("3h".parse(), Ok(Span(Duration::from_secs(10_800))));
    assert_eq!("250 ms".parse(), Ok(Span(Duration::from_millis(250))));
    for text in ["", "3", "h", "3 weeks", "99999999999999999999d"] {
        assert!(text.parse::<Span>().unwrap_err().contains("is not a time span"), "{text}");
    }
}
