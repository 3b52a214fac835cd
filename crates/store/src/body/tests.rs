use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::{Codec, RecordKind};
use larder_base::{ContentHash, Digest, Entry, Timestamp, UploadId};
use proptest::prelude::*;

use super::*;
use crate::tests::support::{address, ns};

fn hash(number: u64) -> ContentHash {
    ContentHash::of(&number.to_le_bytes())
}

fn placed(links: usize, inline: Option<Bytes>, text: &str) -> Placed {
    let links: Arc<[ContentHash]> = (0..links as u64).map(hash).collect();
    let entry = Entry {
        blob: Digest { hash: hash(7), size: 99 },
        inline,
        attributes: [(text.to_owned(), "value".to_owned()), (String::new(), text.to_owned())].into(),
        links,
        writer: text.to_owned(),
        created: Timestamp::from_millis(5),
        last_served: Timestamp::from_millis(6),
        revision: u64::MAX,
    };
    Placed { address: address("ns", "ref/a b", "door", "a key"), entry }
}

#[test]
fn every_body_reads_back_as_it_was_written() {
    let recipe = Recipe { size: 30, chunks: vec![(hash(1), 10), (hash(2), 20)] };
    assert_eq!(Recipe::decode(&recipe.to_record(hash(3)).body).unwrap(), recipe);
    let removal = Removal { revision: 9, address: address("ns", "pr/7", "door", "key") };
    assert_eq!(Removal::decode(&removal.to_record().body).unwrap(), removal);
    let grant = Grant { namespace: ns("ns"), hashes: vec![hash(1), hash(2)] };
    for is_local in [false, true] {
        let record = grant.to_record(is_local);
        assert_eq!(Grant::decode(&record.body).unwrap(), grant);
        assert_eq!(record.header.hash == Grant::LOCAL, is_local);
    }
    let part = PartName { upload: UploadId::from_random([3; 16]), number: 4 };
    let time = Timestamp::from_millis(8);
    let adoption = Adoption { segment: 5, length: 6, time, namespace: ns("ns"), part };
    assert_eq!(Adoption::decode(&adoption.to_record().body).unwrap(), adoption);
    let line = TrailerLine { kind: RecordKind::Chunk, codec: Codec::Zstd, stored_len: 1, raw_len: 2, hash: hash(1) };
    let trailer = Trailer { origin: Origin::Adopted, lines: vec![line; 3] };
    assert_eq!(Trailer::decode(&trailer.to_record(77).body).unwrap(), trailer);
    let commit = Commit { start: 1, synced: 2, time };
    assert_eq!(Commit::decode(&commit.to_record().body).unwrap(), commit);
    assert_eq!(decode_eviction(&eviction_record(9).body).unwrap(), 9);
    let mark = TouchMark { time, held: true, segments: vec![1, 2] };
    assert_eq!(TouchMark::decode(&mark.to_record().body).unwrap(), mark);
}

#[test]
fn a_recipe_whose_chunks_do_not_add_up_is_refused() {
    let recipe = Recipe { size: 31, chunks: vec![(hash(1), 10), (hash(2), 20)] };
    assert!(Recipe::decode(&recipe.to_record(hash(3)).body).is_err());
}

#[test]
fn a_trailer_tells_the_place_of_every_record() {
    let line = |stored_len| TrailerLine {
        kind: RecordKind::Chunk,
        codec: Codec::Raw,
        stored_len,
        raw_len: stored_len,
        hash: hash(1),
    };
    let trailer = Trailer { origin: Origin::Log, lines: vec![line(10), line(0), line(5)] };
    let places: Vec<_> = trailer.placed().map(|(ordinal, offset, _)| (ordinal, offset)).collect();
    assert_eq!(places, [(0, 16), (1, 16 + 74), (2, 16 + 74 + 64)]);
}

type Decoder = fn(&[u8]) -> bool;

const DECODERS: [Decoder; 9] = [
    |body| Recipe::decode(body).is_ok(),
    |body| Placed::decode(body).is_ok(),
    |body| Removal::decode(body).is_ok(),
    |body| Grant::decode(body).is_ok(),
    |body| Adoption::decode(body).is_ok(),
    |body| Trailer::decode(body).is_ok(),
    |body| Commit::decode(body).is_ok(),
    |body| decode_eviction(body).is_ok(),
    |body| TouchMark::decode(body).is_ok(),
];

proptest! {
    #[test]
    fn entries_of_any_shape_read_back(links in 0_usize..50, inline in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..1024)), text in "\\PC{0,60}") {
        let placed = placed(links, inline.map(Bytes::from), &text);
        let body = placed.to_record().body;
        prop_assert_eq!(Placed::decode(&body).unwrap(), placed);
        for end in 0..body.len() {
            prop_assert!(Placed::decode(&body[..end]).is_err());
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_ask_for_much_memory(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for decode in DECODERS {
            decode(&bytes);
        }
    }
}
