//! Bytes to store: the same every time, so that a failure repeats.

use bytes::Bytes;

/// `len` bytes that do not compress; another `seed` gives other bytes.
pub fn noise(seed: u64, len: usize) -> Bytes {
    // Xorshift: any state but zero will do, and neighbouring seeds must not give shifted copies of one another.
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// `len` bytes that compress well; another `seed` gives other bytes, as long as `len` has room for its digits.
pub fn text(seed: u64, len: usize) -> Bytes {
    let line = format!("{seed}: compiling crate after crate, warning about nothing\n");
    line.bytes().cycle().take(len).collect()
}

#[cfg(test)]
mod tests;
