use larder_base::{Digest, KEY_MAX_CHARS};

use super::{Subject, at, numbered};

pub(super) async fn keys_match_exactly(subject: Subject) {
    // Composed and decomposed forms look alike and are two keys.
    let near = ["key", "Key", "KEY", "key ", " key", "ke", "keyy", "kéy", "ke\u{301}y", "key/", "key\\", "k%y", "k_y"];
    for (number, key) in near.into_iter().enumerate() {
        assert_eq!(subject.get(&at(key)).await, None, "{key:?} was found before it was put");
        subject.store(&at(key), numbered(number as u64)).await;
    }
    for (number, key) in near.into_iter().enumerate() {
        let expected = Digest::of(format!("value {number}").as_bytes());
        assert_eq!(subject.get(&at(key)).await.map(|entry| entry.blob), Some(expected), "{key:?}");
    }
}

pub(super) async fn prefixes_mean_themselves_whatever_their_characters(subject: Subject) {
    let all = [
        "a",
        "a%",
        "a%b",
        "a*b",
        "a/b",
        "a?b",
        "a[b]",
        "a\\%b",
        "a\\b",
        "a_b",
        "ab",
        "axb",
        "A%b",
        "b",
        "ü",
        "üb",
        "u",
        "~",
        "\u{10ffff}",
        "\u{10ffff}b",
    ];
    subject.store_all(&all).await;
    let prefixes = ["%", "_", "*", "a%%", "a\\_", "a.", "a[", "u\u{308}", "'", "\"", "\u{10fffe}", ""];
    for prefix in all.into_iter().chain(prefixes) {
        let mut expected: Vec<_> = all.into_iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort_unstable();
        assert_eq!(subject.keys_beginning(prefix).await, expected, "keys that begin with {prefix:?}");
    }
}

/// An index may keep only the start of a key; keys that begin alike for long must not become one.
pub(super) async fn long_keys_that_begin_alike_are_apart(subject: Subject) {
    // 400 bytes in 100 characters, and 512 characters in all.
    let alike = "\u{1f980}".repeat(100);
    let rest = |ends: char| "\u{1f40d}".repeat(KEY_MAX_CHARS - 101) + &ends.to_string();
    let longest = ['\u{10000}', '\u{10001}', '\u{1f40d}'].map(|ends| alike.clone() + &rest(ends));
    let shorter = ["", "\u{1f40d}", "a", "a\u{1f40d}", "b"].map(|more| alike.clone() + more);
    let all: Vec<_> = longest.iter().chain(&shorter).map(String::as_str).collect();
    subject.store_all(&all).await;

    for (number, key) in all.iter().enumerate() {
        let expected = Digest::of(format!("value {number}").as_bytes());
        assert_eq!(subject.get(&at(key)).await.map(|entry| entry.blob), Some(expected), "key {number}");
    }
    let until_the_last = longest[0].strip_suffix('\u{10000}').expect("it ends so");
    let before_the_alike_part_ends = &alike[..alike.len() - 4];
    let more = [until_the_last, before_the_alike_part_ends];
    for prefix in all.iter().chain(&more) {
        let mut expected: Vec<_> = all.iter().copied().filter(|key| key.starts_with(*prefix)).collect();
        expected.sort_unstable();
        let found = subject.keys_beginning(prefix).await;
        assert!(
            found == expected,
            "{} keys begin with a prefix of {} bytes, not these {}",
            expected.len(),
            prefix.len(),
            found.len()
        );
    }

    assert!(subject.entries.delete(&at(&longest[1])).await.expect("a delete succeeds"));
    for key in &all {
        assert_eq!(subject.get(&at(key)).await.is_none(), *key == longest[1], "after one of them was deleted");
    }
}
