use bytes::Bytes;
use proptest::prelude::*;

use super::{BadRecord, Codec, RECORD_HEADER_LEN, Record, RecordHeader, RecordKind};
use crate::{ContentHash, chunk};

fn chunk_record(content: &[u8]) -> Record {
    Record::chunk(ContentHash::of(content), Bytes::copy_from_slice(content), 1)
}

#[test]
fn text_is_compressed_and_noise_and_small_content_are_not() {
    let text = b"a line of a log\n".repeat(1000);
    let record = chunk_record(&text);
    assert_eq!(record.header.codec, Codec::Zstd);
    assert!(record.body.len() < text.len() / 10);
    assert_eq!(record.header.open_chunk(&record.body).unwrap(), text);

    assert_eq!(chunk_record(b"short short short short").header.codec, Codec::Raw);
    let noise: Vec<u8> = (0..4096_u32).flat_map(|i| *ContentHash::of(&i.to_le_bytes()).as_bytes()).collect();
    assert_eq!(chunk_record(&noise).header.codec, Codec::Raw);
}

#[test]
fn short_content_is_taken_for_noise_only_if_it_is() {
    let numbers = |make: fn(u32) -> u32| (0..2048).map(make).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let noise: Vec<u8> = (0..256_u32).flat_map(|i| *ContentHash::of(&i.to_le_bytes()).as_bytes()).collect();
    let sparse: Vec<u8> = noise.iter().map(|byte| byte & 0x7f).collect();
    let hex: Vec<u8> = noise.iter().map(|byte| b"0123456789abcdef"[usize::from(byte % 16)]).collect();
    let bytes: Vec<u8> = (0..8192).map(|n| n as u8).collect();
    for len in [1024, 1025, 1700, 4096, 8191, 8192] {
        assert!(super::looks_like_noise(&noise[..len]), "{len} bytes");
        assert_eq!(chunk_record(&noise[..len]).header.codec, Codec::Raw, "{len} bytes");
        for content in [&numbers(|n| n), &numbers(|n| n.wrapping_mul(2_654_435_761) >> 12), &sparse, &hex, &bytes] {
            assert!(!super::looks_like_noise(&content[..len]), "{len} bytes from {:?}", &content[..8]);
        }
    }
    // What repeats itself is compressed however even its bytes are, where that is worth the look.
    assert_eq!(chunk_record(&[&noise[..], &noise].concat()).header.codec, Codec::Zstd);
}

#[test]
fn the_header_is_laid_out_as_the_format_page_says() {
    let record = Record::other(RecordKind::Grant, None, Bytes::from_static(b"body"));
    let bytes = record.header.encode();
    assert_eq!(&bytes[..16], b"LREC\x01\x05\x00\x01\x04\0\0\0\x04\0\0\0");
    assert_eq!(bytes[16..48], [0; 32]);
    assert_eq!(bytes.len(), RECORD_HEADER_LEN);
}

#[test]
fn a_record_has_the_lowest_version_that_knows_its_kind_and_an_unknown_one_is_named() {
    let mut header = Record::other(RecordKind::Touch, None, Bytes::new()).header.encode();
    assert_eq!(header[4], 1);
    assert_eq!(Record::other(RecordKind::Shipment, None, Bytes::new()).header.encode()[4], 2);
    let decode = |header: &mut [u8; RECORD_HEADER_LEN]| {
        let checksum = xxhash_rust::xxh3::xxh3_64(&header[..56]);
        header[56..].copy_from_slice(&checksum.to_le_bytes());
        RecordHeader::decode(header).map(|header| header.kind)
    };
    header[4] = 3;
    assert_eq!(decode(&mut header), Err(BadRecord::Version(3)));
    (header[4], header[5]) = (1, RecordKind::Shipment.code());
    assert_eq!(decode(&mut header), Err(BadRecord::Field("version of this kind")));
    header[4] = 2;
    assert_eq!(decode(&mut header), Ok(RecordKind::Shipment));
}

#[test]
fn any_flipped_byte_is_seen() {
    let content = b"what it serves hashes to its name. ".repeat(20);
    let record = chunk_record(&content);
    let header = record.header.encode();
    for at in 0..header.len() {
        let mut bad = header;
        bad[at] ^= 0x10;
        assert!(RecordHeader::decode(&bad).is_err(), "flip in header byte {at} was not seen");
    }
    for at in 0..record.body.len() {
        let mut bad = record.body.to_vec();
        bad[at] ^= 0x10;
        assert_eq!(record.header.check_body(&bad), Err(BadRecord::Body), "flip in body byte {at} was not seen");
    }
}

#[test]
fn a_record_that_lies_about_its_content_is_refused() {
    let lie = Record::chunk(ContentHash::of(b"something else"), Bytes::from_static(b"content"), 1);
    assert_eq!(lie.header.open_chunk(&lie.body), Err(BadRecord::Content));
}

#[test]
fn a_frame_larger_than_it_says_is_refused_within_bounded_memory() {
    // A bomb: a small frame that opens to 64 MiB, under a header that claims 1000 bytes.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let honest = Record::seal(RecordKind::Chunk, ContentHash::of(b""), vec![7; 1000].into(), None);
    let header = RecordHeader {
        codec: Codec::Zstd,
        stored_len: bomb.len() as u32,
        body_checksum: xxhash_rust::xxh3::xxh3_64(&bomb),
        ..honest.header
    };
    assert_eq!(header.open_chunk(&bomb.into()), Err(BadRecord::Frame));
}

#[test]
fn a_chunk_longer_than_a_chunk_may_be_is_refused() {
    let mut header = chunk_record(b"x").header;
    header.raw_len = chunk::MAX_LEN as u32 + 1;
    header.stored_len = header.raw_len;
    assert_eq!(RecordHeader::decode(&header.encode()), Err(BadRecord::Field("length")));
}

proptest! {
    #[test]
    fn what_was_sealed_opens_again(content in proptest::collection::vec(any::<u8>(), 0..5000), repeat in 1_usize..50, level in -5..4) {
        let content = Bytes::from(content.repeat(repeat));
        let record = Record::chunk(ContentHash::of(&content), content.clone(), level);
        let header = RecordHeader::decode(&record.header.encode()).unwrap();
        prop_assert_eq!(header, record.header);
        prop_assert_eq!(header.open_chunk(&record.body).unwrap(), content);
    }

    #[test]
    fn no_bytes_make_the_header_reader_panic(bytes in proptest::array::uniform32(any::<u8>()), magic in any::<bool>()) {
        let mut header = [0; RECORD_HEADER_LEN];
        header[..32].copy_from_slice(&bytes);
        if magic {
            header[..4].copy_from_slice(b"LREC");
        }
        let _ = RecordHeader::decode(&header);
    }
}
