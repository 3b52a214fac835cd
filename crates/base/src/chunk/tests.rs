use fastcdc::v2020::{FastCDC, Normalization};
use proptest::prelude::*;

use super::{Cut, Cutter, MAX_LEN, MIN_LEN};

/// Bytes that look random, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

fn chunks_of(blob: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut cutter = Cutter::new();
    let mut chunks = Vec::new();
    for piece in blob.chunks(piece) {
        cutter.push(piece);
        while let Some(chunk) = cutter.next_chunk() {
            chunks.push(chunk.to_vec());
        }
    }
    chunks.extend(cutter.finish().into_iter().map(|chunk| chunk.to_vec()));
    chunks
}

#[test]
fn a_blob_of_the_maximum_is_one_chunk_and_one_byte_more_is_cut() {
    let blob = noise(1, MAX_LEN + 1);
    assert_eq!(chunks_of(&blob[..MAX_LEN], 100_000).len(), 1);
    assert!(chunks_of(&blob, 100_000).len() > 1);
    assert_eq!(chunks_of(&[], 1), [[0_u8; 0]]);
}

#[test]
fn the_cut_is_the_published_one() {
    // Fixed for ever: other tools' chunks and old stores' chunks must keep their names.
    let blob = noise(7, 8 * 1024 * 1024);
    let lengths: Vec<usize> = chunks_of(&blob, 65_536).iter().map(Vec::len).collect();
    assert_eq!(lengths, PUBLISHED);
}

const PUBLISHED: &[usize] =
    &[526524, 684993, 862792, 361385, 593554, 717769, 625919, 634641, 487892, 670288, 554510, 1126890, 541451];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_cut_is_that_of_fastcdc(seed in any::<u64>(), len in 0..MAX_LEN + 2, period in prop::option::of(1_usize..100_000)) {
        let mut blob = noise(seed, len);
        if let Some(period) = period {
            // Content that repeats has cuts in other places, or none.
            for at in period..len {
                blob[at] = blob[at - period];
            }
        }
        for cut in [Cut::BLOB, Cut::TREE] {
            let window = &blob[..len.min(cut.max_len())];
            let average = cut.max_len() / 4;
            let (min, max) = (cut.min_len(), cut.max_len());
            let published = FastCDC::with_level_and_seed(window, min, average, max, Normalization::Level2, 0);
            prop_assert_eq!(cut.next(&blob), published.cut(0, window.len()).1);
        }
    }
}

#[test]
fn an_insertion_changes_few_chunks() {
    let before = noise(3, 16 * 1024 * 1024);
    let mut after = before.clone();
    after.splice(5_000_000..5_000_000, *b"a few bytes more");
    let old = chunks_of(&before, 1 << 20);
    let new = chunks_of(&after, 1 << 20);
    let changed = new.iter().filter(|chunk| !old.contains(chunk)).count();
    assert!(changed <= 3, "{changed} of {} chunks changed", new.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pieces_do_not_move_the_cut(seed in any::<u64>(), len in 0..5 * MAX_LEN / 2, piece in 1_000..3 * MAX_LEN) {
        let blob = noise(seed, len);
        let streamed = chunks_of(&blob, piece);
        prop_assert_eq!(streamed.concat(), blob.clone());
        let mut at = 0;
        for (index, chunk) in streamed.iter().enumerate() {
            if len > MAX_LEN {
                prop_assert_eq!(chunk.len(), Cut::BLOB.next(&blob[at..]));
            }
            prop_assert!(chunk.len() <= MAX_LEN);
            prop_assert!(chunk.len() >= MIN_LEN || index + 1 == streamed.len());
            at += chunk.len();
        }
    }
}
