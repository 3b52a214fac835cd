//! What ccache calls a value, over all its layouts and versions.
//!
//! A key is a digest of 20 bytes. ccache up to 4.7 writes it as four hexadecimal digits and 29 digits of base 32, later
//! versions as 40 hexadecimal digits; the `subdirs` layout puts a slash after the second character, and the `bazel`
//! layout appends the first 24 of the 40 hexadecimal digits again so that the whole looks like a SHA-256. All of these
//! become the 40 hexadecimal digits, so that clients with different settings share what they can share. Other texts of
//! the right form are keys of their own.

use larder_base::{Error, Key, Result};

const DIGEST_LEN: usize = 20;
/// Characters of a digest as ccache up to 4.7 writes it: two bytes in base 16, eighteen in base 32.
const OLD_LEN: usize = 33;
const HEX_LEN: usize = 2 * DIGEST_LEN;
const BAZEL_LEN: usize = 64;
const MIN_LEN: usize = 32;
const MAX_LEN: usize = 64;

/// The key that the rest of a path, after the namespace and its slash, means in any layout.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] for a path of another form.
pub(super) fn key_of_path(path: &str) -> Result<Key> {
    let mut text = [0; MAX_LEN];
    let length = parts_of_path(path).and_then(|(first, rest)| join(&mut text, first, rest)).ok_or_else(|| {
        let shown: String = path.chars().take(80).collect();
        Error::invalid("read ccache key", format!("{shown:?} is not a path that ccache makes in any of its layouts"))
    })?;
    let text = std::str::from_utf8(&text[..length]).expect("every character was checked to be ASCII");
    canonical(text)
}

/// The two parts that make up the key's text; the first is empty but in the `subdirs` layout.
fn parts_of_path(path: &str) -> Option<(&str, &str)> {
    if let Some(digits) = path.strip_prefix("ac/").filter(|digits| digits.len() == BAZEL_LEN) {
        return Some(("", digits));
    }
    match path.split_once('/') {
        None => Some(("", path)),
        Some(parts) => Some(parts).filter(|(first, _)| first.len() == 2),
    }
}

/// The key of a digest that ccache's helper protocol carries in binary form.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] for fewer than 16 or more than 32 bytes.
pub(crate) fn hex_of_digest(digest: &[u8]) -> Result<String> {
    if !(MIN_LEN / 2..=MAX_LEN / 2).contains(&digest.len()) {
        let message = format!("a key has 16 to 32 bytes; this one has {}", digest.len());
        return Err(Error::invalid("read ccache key", message));
    }
    Ok(to_hex(digest))
}

/// Joins two parts, checked for form; the length of both.
fn join(text: &mut [u8; MAX_LEN], first: &str, rest: &str) -> Option<usize> {
    let length = first.len() + rest.len();
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    if !(MIN_LEN..=MAX_LEN).contains(&length) || !first.bytes().chain(rest.bytes()).all(is_digit) {
        return None;
    }
    text[..first.len()].copy_from_slice(first.as_bytes());
    text[first.len()..length].copy_from_slice(rest.as_bytes());
    Some(length)
}

fn canonical(text: &str) -> Result<Key> {
    let key = match text.len() {
        OLD_LEN => match digest_of_old(text) {
            Some(digest) => to_hex(&digest).parse(),
            None => text.parse(),
        },
        BAZEL_LEN if is_doubled(text) => text[..HEX_LEN].parse(),
        _ => text.parse(),
    };
    Ok(key?)
}

/// Whether 64 characters are 40 hexadecimal digits and the first 24 of them again.
fn is_doubled(text: &str) -> bool {
    text[HEX_LEN..] == text[..BAZEL_LEN - HEX_LEN] && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The digest that ccache up to 4.7 writes as this text; `None` for a text that it cannot have written.
fn digest_of_old(text: &str) -> Option<[u8; DIGEST_LEN]> {
    let (hex, rest) = text.as_bytes().split_at_checked(4)?;
    let mut digest = [0; DIGEST_LEN];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0], 16)? << 4 | digit(pair[1], 16)?;
    }
    let (mut bits, mut held) = (0_u32, 0);
    let mut at = 2;
    for &character in rest {
        bits = bits << 5 | u32::from(digit(character, 32)?);
        held += 5;
        if held >= 8 {
            held -= 8;
            *digest.get_mut(at)? = (bits >> held) as u8;
            bits &= (1 << held) - 1;
            at += 1;
        }
    }
    // Bits left over are padding. Text with other padding is not the digest's own, and stays a key of its own.
    (at == DIGEST_LEN && bits == 0).then_some(digest)
}

fn digit(character: u8, base: u8) -> Option<u8> {
    let value = match character {
        b'0'..=b'9' => character - b'0',
        b'a'..=b'z' => character - b'a' + 10,
        _ => return None,
    };
    (value < base).then_some(value)
}

fn to_hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests;
