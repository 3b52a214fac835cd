use proptest::prelude::*;

use super::*;

/// One digest as ccache 4.7.5 and 4.14.2 were seen to write it.
const OLD: &str = "d165gji5jk1c0h6gp8mg404lebt4bppkq";
const HEX: &str = "d16584e459d02c044d0ca2d02009572fa45e734d";

fn key(path: &str) -> Option<String> {
    key_of_path(path).ok().map(|key| key.as_str().to_owned())
}

/// Writes a digest as ccache up to 4.7 does, by another way than the one that reads it.
fn old(digest: &[u8; DIGEST_LEN]) -> String {
    let bits: Vec<u8> = digest[2..].iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let characters = bits.chunks(5).map(|five| {
        let value = (0..5).fold(0, |value, at| value << 1 | five.get(at).copied().unwrap_or(0));
        char::from_digit(u32::from(value), 32).unwrap()
    });
    to_hex(&digest[..2]).chars().chain(characters).collect()
}

#[test]
fn every_form_that_real_clients_write_is_one_key() {
    let forms = [
        format!("{}/{}", &OLD[..2], &OLD[2..]),
        OLD.to_owned(),
        format!("{}/{}", &HEX[..2], &HEX[2..]),
        HEX.to_owned(),
        format!("ac/{HEX}{}", &HEX[..24]),
    ];
    for form in forms {
        assert_eq!(key(&form).as_deref(), Some(HEX), "{form}");
    }
}

#[test]
fn a_path_of_another_form_is_refused() {
    let long = "a".repeat(65);
    let doubled = format!("ac/{}", "A".repeat(64));
    let too_long_in_subdirs = format!("ab/{}", "c".repeat(63));
    let forms = ["", "ab", "ab/", "/", "abcdef", "ab/cdef", &long, &doubled, &too_long_in_subdirs, "ab/cd/ef"];
    for form in forms {
        assert_eq!(key(form), None, "{form}");
    }
    for bad in ["%", "_", "G", "é", " ", ".", "\0"] {
        let form = format!("{}{bad}{}", &HEX[..20], &HEX[21..]);
        assert_eq!(key(&form), None, "{form}");
    }
}

#[test]
fn sixty_four_digits_that_do_not_repeat_are_a_key_of_their_own() {
    let sha = "0123456789abcdef".repeat(4);
    assert_eq!(key(&format!("ac/{sha}")), Some(sha.clone()));
    assert_eq!(key(&sha), Some(sha));
    // "ac" is also how half a percent of all keys begin in the subdirs layout.
    let begins = format!("ac{}", &HEX[2..]);
    assert_eq!(key(&format!("ac/{}", &begins[2..])), Some(begins));
}

#[test]
fn old_text_with_stray_padding_does_not_become_the_digest() {
    let stray = format!("{}r", &OLD[..32]);
    assert_eq!(key(&stray), Some(stray));
}

#[test]
fn a_binary_key_of_16_to_32_bytes_is_its_hexadecimal_digits() {
    assert_eq!(hex_of_digest(&[0xd1; 20]).unwrap(), "d1".repeat(20));
    for length in [0, 15, 33, 255] {
        assert!(hex_of_digest(&vec![0; length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn all_layouts_of_a_digest_are_one_key_and_of_two_digests_are_two(
        one in any::<[u8; DIGEST_LEN]>(),
        other in any::<[u8; DIGEST_LEN]>(),
    ) {
        let forms = |digest: &[u8; DIGEST_LEN]| {
            let (hex, old) = (to_hex(digest), old(digest));
            [
                hex.clone(),
                format!("{}/{}", &hex[..2], &hex[2..]),
                format!("ac/{hex}{}", &hex[..24]),
                old.clone(),
                format!("{}/{}", &old[..2], &old[2..]),
            ]
        };
        for form in forms(&one) {
            prop_assert_eq!(key(&form), Some(to_hex(&one)));
        }
        for (a, b) in forms(&one).iter().zip(&forms(&other)) {
            prop_assert_eq!(key(a) == key(b), one == other);
        }
    }

    #[test]
    fn a_text_becomes_itself_or_the_digest_that_it_writes(text in "[0-9a-z]{32,64}") {
        let key = key(&text).unwrap();
        let of_digest = text.len() == OLD_LEN && digest_of_old(&text).is_some_and(|digest| old(&digest) == text);
        let of_bazel = text.len() == BAZEL_LEN && is_doubled(&text);
        prop_assert_eq!(key == text, !(of_digest || of_bazel));
    }

    #[test]
    fn any_path_is_read_without_a_panic(path in "\\PC{0,80}") {
        let _ = key_of_path(&path);
    }
}
