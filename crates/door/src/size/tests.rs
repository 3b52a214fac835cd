use serde::Deserialize;

use super::ByteCount;

#[test]
fn a_size_is_a_number_with_or_without_a_unit() {
    let sizes = [("0", 0), ("17", 17), ("17 B", 17), ("1KiB", 1024), (" 512 MiB ", 512 << 20), ("1 GiB", 1 << 30)];
    for (text, expected) in sizes {
        assert_eq!(text.parse::<ByteCount>().unwrap(), ByteCount(expected), "{text}");
    }
    for text in ["", "GiB", "-1", "1.5 GiB", "1 GB", "99999999999 TiB", "1 gib"] {
        assert!(text.parse::<ByteCount>().unwrap_err().message().contains("is not a size"), "{text}");
    }
}

#[test]
fn a_size_shows_as_it_may_be_written() {
    for text in ["0 B", "17 B", "3 KiB", "512 MiB", "1 GiB", "1025 B"] {
        assert_eq!(text.parse::<ByteCount>().unwrap().to_string(), text);
    }
}

#[test]
fn a_configuration_may_write_a_number_or_a_text() {
    #[derive(Deserialize)]
    struct Section {
        size: ByteCount,
    }
    let read = |text: &str| toml::from_str::<Section>(text).map(|section| section.size.0);
    assert_eq!(read("size = 5"), Ok(5));
    assert_eq!(read("size = '5 KiB'"), Ok(5120));
    assert!(read("size = -5").unwrap_err().message().contains("not negative"));
    assert!(read("size = 'much'").unwrap_err().message().contains("is not a size"));
}
