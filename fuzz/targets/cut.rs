//! The cut: the same wherever the pieces end in which a blob arrives, and the same as the published algorithm's.
#![no_main]

use fastcdc::v2020::{FastCDC, Normalization};
use larder_base::chunk::{Cut, Cutter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, Vec<u16>, &[u8])| {
    let (repeats, pieces, seed) = input;
    let blob = blob(repeats as usize % (6 << 20), seed);
    let published: Vec<usize> = if blob.len() <= Cut::BLOB.max_len() {
        vec![blob.len()]
    } else {
        let (least, most) = (Cut::BLOB.min_len(), Cut::BLOB.max_len());
        let cuts = FastCDC::with_level_and_seed(&blob, least, 4 * least, most, Normalization::Level2, 0);
        cuts.map(|chunk| chunk.length).collect()
    };
    let mut cutter = Cutter::new();
    let mut found = Vec::new();
    let mut rest = blob.as_slice();
    for piece in pieces.iter().cycle().take(64) {
        let (now, after) = rest.split_at(rest.len().min(usize::from(*piece) * 64));
        cutter.push(now);
        rest = after;
        while let Some(chunk) = cutter.next_chunk() {
            found.push(chunk.len());
        }
    }
    cutter.push(rest);
    while let Some(chunk) = cutter.next_chunk() {
        found.push(chunk.len());
    }
    found.extend(cutter.finish().iter().map(bytes::Bytes::len));
    assert_eq!(found, published);
});

/// A long blob of a short seed: the seed, with a counter in it so that it does not merely repeat.
fn blob(length: usize, seed: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(length + seed.len() + 8);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while blob.len() < length {
        blob.extend_from_slice(seed);
        state = state.wrapping_mul(0xd129_0d3b_3a2b_5c4d).wrapping_add(seed.len() as u64 | 1);
        blob.extend_from_slice(&state.to_le_bytes()[..1 + seed.len() % 8]);
    }
    blob.truncate(length);
    blob
}
