//! Keys and values by number: distinct, incompressible, and the same on every run, so that a reader can tell a wrong answer.

/// The splitmix64 step: a bijection, so that distinct numbers give distinct keys.
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of number `n`: 32 hexadecimal digits.
pub fn key(n: u64) -> String {
    format!("{:016x}{:016x}", mix(n), mix(!n))
}

/// Appends the value of number `n`, `size` bytes of noise.
pub fn append_value(n: u64, size: usize, out: &mut Vec<u8>) {
    let end = out.len() + size;
    let mut state = first_word(n);
    while out.len() < end {
        let word = state.to_le_bytes();
        let take = word.len().min(end - out.len());
        out.extend_from_slice(&word[..take]);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
}

/// Whether `start` can be the beginning of the value of number `n`.
pub fn begins(n: u64, start: &[u8]) -> bool {
    let word = first_word(n).to_le_bytes();
    let take = word.len().min(start.len());
    start[..take] == word[..take]
}

/// Never zero, which would be a fixed point of the generator.
fn first_word(n: u64) -> u64 {
    mix(n ^ 0x5bd1_e995) | 1
}
