use proptest::prelude::*;

use super::{Address, EntryAnswer, EntryRequest, Frame, HASH_LEN, Place};

#[test]
fn a_frame_reads_back_and_no_cut_of_its_parts_does() {
    let head =
        EntryRequest { address: Address { scope: "trusted".into(), door: "ci".into(), key: "ü".into() }, serve: true };
    let hashes = [[1; HASH_LEN], [2; HASH_LEN]];
    let bytes = Frame::write(&head, hashes.iter(), b"value");
    let frame = Frame::read(&bytes).unwrap();
    assert_eq!(frame.head::<EntryRequest>(), Some(head));
    assert_eq!(frame.head::<EntryAnswer>(), None);
    assert!(frame.hashes().eq(hashes.iter()));
    assert_eq!(&bytes[frame.value_at..], b"value");
    for cut in 0..frame.value_at {
        assert_eq!(Frame::read(&bytes[..cut]), None, "cut at {cut}");
    }
}

#[test]
fn places_read_back_and_a_cut_line_is_seen() {
    let places =
        [Place { hash: [7; HASH_LEN], size: 5, length: 69 }, Place { hash: [8; HASH_LEN], size: 0, length: 64 }];
    let mut answer = Vec::new();
    places.iter().for_each(|place| place.write(&mut answer));
    assert!(Place::split(&answer).unwrap().eq(places));
    assert!(Place::split(&answer[1..]).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(frame) = Frame::read(&bytes) {
            prop_assert!(frame.value_at <= bytes.len());
            prop_assert!(frame.hashes().count() * HASH_LEN <= bytes.len());
        }
    }
}
