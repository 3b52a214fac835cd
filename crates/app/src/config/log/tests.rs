use tracing::level_filters::LevelFilter;

use super::LogFilter;

fn refusal(text: &str) -> String {
    text.parse::<LogFilter>().unwrap_err()
}

#[test]
fn a_word_that_is_no_level_silences_nothing_but_is_refused_and_the_nearest_named() {
    for (text, meant) in [
        ("inof", "info"),
        ("debgu", "debug"),
        ("warning", "warn"),
        ("info,larder_store=debgu", "debug"),
        ("eror,larder_store=debug", "error"),
    ] {
        let message = refusal(text);
        assert!(message.ends_with(&format!("is no level; did you mean {meant}?")), "{text}: {message}");
    }
    assert!(refusal("loud").starts_with("\"loud\" is no level; write error, warn"), "{}", refusal("loud"));
    for text in ["", " , ", "larder[step{job=quota}]=x"] {
        assert!(refusal(text).contains("is no level"), "{text}: {}", refusal(text));
    }
    assert!(refusal("[[=info").contains("is no filter"), "{}", refusal("[[=info"));
}

#[test]
fn levels_and_filters_by_module_are_taken() {
    for (text, most) in [
        ("info", LevelFilter::INFO),
        ("WARN", LevelFilter::WARN),
        ("off", LevelFilter::OFF),
        ("info,larder_store=debug", LevelFilter::DEBUG),
        // A level that follows a blank is one.
        ("larder_store=debug, info", LevelFilter::DEBUG),
        ("larder_store", LevelFilter::TRACE),
        ("hyper::proto,info", LevelFilter::TRACE),
    ] {
        let filter = text.parse::<LogFilter>().unwrap().filter();
        assert_eq!(filter.max_level_hint(), Some(most), "{text}");
    }
    for text in ["info,larder[step{job=quota}]=trace", "info,[step{job=quota}]", "info,larder[step]"] {
        assert!(text.parse::<LogFilter>().is_ok(), "{text}");
    }
}
