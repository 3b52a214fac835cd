use bytes::Bytes;
use larder_base::segment::{Codec, RecordKind};
use larder_base::{ContentHash, Digest, Timestamp};

use super::*;

fn entry_row(long_key: &str) -> EntryRow {
    EntryRow {
        last_served: Timestamp::from_millis(1),
        revision: 2,
        created: Timestamp::from_millis(3),
        segment: 4,
        ordinal: 5,
        links: 6,
        blob: Digest::of(b"value"),
        writer: "writer".into(),
        attributes: [("a".into(), "b".into())].into(),
        inline: Some(Bytes::from_static(b"value")),
        long_key: long_key.into(),
    }
}

#[test]
fn every_row_reads_back_as_it_was_written() {
    let place = Place { segment: 1, offset: 2, ordinal: 3 };
    let blob = BlobRow {
        kind: RecordKind::Recipe,
        codec: Codec::Raw,
        place,
        stored_len: 4,
        size: 1 << 40,
        namespaces: vec![7, 8],
    };
    assert_eq!(BlobRow::decode(&blob.encode()).unwrap(), blob);
    let entry = entry_row("");
    assert_eq!(EntryRow::decode(&entry.encode()).unwrap(), entry);
    let served = EntryRow::with_last_served(&entry.encode(), Timestamp::from_millis(99));
    assert_eq!(EntryRow::decode(&served).unwrap(), EntryRow { last_served: Timestamp::from_millis(99), ..entry });
    let position = Position { segment: 1, offset: 1 << 33, ordinal: 2 };
    assert_eq!(Position::decode(&position.encode()).unwrap(), position);
    let times = (Timestamp::from_millis(5), Timestamp::from_millis(6));
    let segment =
        SegmentRow { origin: Origin::Adopted, sealed: true, length: 9, records: 8, touched: times.0, held: times.1 };
    assert_eq!(SegmentRow::decode(&segment.encode()).unwrap(), segment);
}

#[test]
fn entry_keys_fit_lmdb_and_tell_themselves() {
    for key in ["k".to_owned(), "x".repeat(400), "x".repeat(401), "\u{1f600}".repeat(512)] {
        let index_key = EntryKey::new(1, 2, 3, &key);
        assert!(index_key.len() <= 511, "{} bytes", index_key.len());
        assert!(index_key.starts_with(&entry_scan_start(&[1, 2, 3], &key[..0])));
        let row = entry_row(&long_key(&key));
        assert_eq!(split_entry_key(&index_key, &row).unwrap(), ([1, 2, 3], key));
    }
    assert_ne!(EntryKey::new(1, 2, 3, &"x".repeat(400)), EntryKey::new(1, 2, 3, &"x".repeat(401)));
    let long = EntryKey::new(1, 2, 3, &format!("{}a", "x".repeat(500)));
    assert!(long.starts_with(&entry_scan_start(&[1, 2, 3], &"x".repeat(450))), "a long prefix finds longer keys");
}

#[test]
fn cut_rows_are_errors() {
    let row = entry_row("key").encode();
    for end in 0..row.len() {
        assert!(EntryRow::decode(&row[..end]).is_err());
    }
    assert!(BlobRow::decode(&ContentHash::of(b"").to_key()[..20]).is_err());
}
