use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use larder_base::ErrorKind;
use proptest::prelude::*;

use super::{Run, slot_hash};
use crate::index::{TABLES, Table};
use crate::overlay::Layer;

type Rows = BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>;

fn layer(rows: &Rows) -> Layer {
    let mut layer = Layer::default();
    for ((table, key), row) in rows {
        layer.set(TABLES[*table].0, key, row.clone().map(Bytes::from));
    }
    layer
}

fn rows() -> impl Strategy<Value = Rows> {
    // Few keys, so that those asked for are often there, in this table or in another.
    let key = prop::collection::vec(0..3_u8, 1..4);
    let row = prop::option::of(prop::collection::vec(any::<u8>(), 0..5));
    prop::collection::btree_map((0..TABLES.len(), key), row, 0..60)
}

proptest! {
    #[test]
    fn a_run_has_what_its_layer_had_read_again_or_not(rows in rows(), other in prop::collection::vec(0..3_u8, 1..5)) {
        let made = Run::new(7, b"before", &layer(&rows)).unwrap();
        let read = Run::decode(made.bytes().clone()).unwrap();
        for run in [made, read] {
            prop_assert_eq!((run.number, run.before(), run.len()), (7, &b"before"[..], rows.len()));
            for (at, (table, _)) in TABLES.into_iter().enumerate() {
                let of_table: Vec<_> = rows.iter().filter(|((table, _), _)| *table == at).collect();
                prop_assert_eq!(run.len_of(table), of_table.len());
                prop_assert_eq!(run.deleted_of(table), of_table.iter().filter(|(_, row)| row.is_none()).count());
                for ((_, key), row) in &of_table {
                    prop_assert_eq!(run.find(table, key), Some(row.as_ref().map(|row| Bytes::copy_from_slice(row))));
                }
                prop_assert_eq!(run.find(table, &other).is_some(), rows.contains_key(&(at, other.clone())));
                let bounds = [Bound::Unbounded, Bound::Included(&other[..]), Bound::Excluded(&other[..])];
                for from in bounds {
                    let found: Vec<_> = run.rows_from(table, from).collect();
                    let wanted: Vec<_> = of_table.iter().filter(|((_, key), _)| match from {
                        Bound::Unbounded => true,
                        Bound::Included(from) => &key[..] >= from,
                        Bound::Excluded(from) => &key[..] > from,
                    }).map(|((_, key), row)| (&key[..], row.as_deref())).collect();
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }
}

#[test]
fn a_run_of_which_any_bit_is_wrong_or_the_end_is_missing_is_damaged() {
    let mut layer = Layer::default();
    layer.set(Table::Meta, b"key", Some(Bytes::from_static(b"row")));
    layer.set(Table::Names, b"gone", None);
    let bytes = Run::new(1, b"", &layer).unwrap().bytes().clone();
    let is_damaged = |bytes: Vec<u8>| Run::decode(bytes.into()).is_err_and(|error| error.kind() == ErrorKind::Corrupt);
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(is_damaged(flipped), "byte {at}");
        assert!(is_damaged(bytes[..at].to_vec()), "cut at {at}");
    }
    assert!(is_damaged([&bytes[..], b"more"].concat()));
}

#[test]
fn a_row_of_another_key_with_the_same_hash_is_not_taken_for_it() {
    let mut layer = Layer::default();
    layer.set(Table::Meta, b"key", Some(Bytes::from_static(b"row")));
    let run = Run::new(1, b"", &layer).unwrap();
    let hash = slot_hash(Table::Meta, b"key");
    assert!(run.get(Table::Meta, b"key", hash).is_some());
    assert_eq!(run.get(Table::Meta, b"yek", hash), None);
}
