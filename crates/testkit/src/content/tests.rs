use larder_base::segment::{Codec, Record};
use larder_base::{ContentHash, chunk};

use super::{noise, text};

#[test]
fn noise_stays_as_it_is_in_a_record_and_text_is_compressed() {
    let codec = |content| Record::chunk(ContentHash::of(b"unread"), content, 1).header.codec;
    assert_eq!(codec(noise(1, 100_000)), Codec::Raw);
    assert_eq!(codec(text(1, 100_000)), Codec::Zstd);
}

#[test]
fn lengths_are_exact_and_seeds_differ_and_repeat() {
    for len in [0, 1, 7, 8, 9, chunk::MAX_LEN] {
        assert_eq!((noise(3, len).len(), text(3, len).len()), (len, len));
    }
    assert_eq!(noise(3, 100), noise(3, 100));
    assert_ne!(noise(3, 8), noise(4, 8));
    assert_ne!(text(3, 100), text(4, 100));
}
