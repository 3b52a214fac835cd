use std::ops::Bound;

use bytes::Bytes;

use super::{Layer, Overlay};
use crate::index::Table;

fn layer(rows: &[(&str, Option<&'static str>)]) -> Layer {
    let mut layer = Layer::default();
    for (key, row) in rows {
        layer.set(Table::Meta, key.as_bytes(), row.map(|row| Bytes::from_static(row.as_bytes())));
    }
    layer
}

fn get(overlay: &Overlay, key: &str) -> Option<Option<Bytes>> {
    overlay.get(Table::Meta, key.as_bytes())
}

#[test]
fn the_newest_layer_wins_and_a_deleted_row_hides_what_is_below() {
    let overlay = Overlay::default();
    overlay.publish(layer(&[("a", Some("old")), ("b", Some("old"))]), |_| {});
    let flushing = overlay.begin_flush();
    assert_eq!(flushing.len(), 2);
    overlay.publish(layer(&[("a", None), ("c", Some("new"))]), |_| {});
    assert_eq!(get(&overlay, "a"), Some(None));
    assert_eq!(get(&overlay, "b"), Some(Some("old".into())));
    assert_eq!(get(&overlay, "d"), None);
    let rows = overlay.scan(Table::Meta, Bound::Unbounded, b"");
    let keys: Vec<_> = rows.iter().map(|(key, row)| (&key[..], row.is_some())).collect();
    assert_eq!(keys, [(&b"a"[..], false), (b"b", true), (b"c", true)]);
    drop(flushing);
    overlay.end_flush();
    assert_eq!(get(&overlay, "b"), None, "LMDB has it now");
    assert_eq!(overlay.waiting(), 2);
}

#[test]
fn a_flush_that_failed_comes_again_with_what_was_changed_since() {
    let overlay = Overlay::default();
    overlay.publish(layer(&[("a", Some("1")), ("b", Some("1"))]), |_| {});
    let failed = overlay.begin_flush();
    overlay.publish(layer(&[("a", Some("2"))]), |_| {});
    assert!(overlay.changed_since_flush(Table::Meta, b"a"));
    assert_eq!(overlay.waiting(), 1);
    overlay.undo_flush(failed);
    assert_eq!(overlay.waiting(), 2);
    assert_eq!(get(&overlay, "a"), Some(Some("2".into())));
    assert_eq!(get(&overlay, "b"), Some(Some("1".into())));
    let again = overlay.begin_flush();
    assert_eq!(again.get(Table::Meta, b"a"), Some(&Some("2".into())));
    assert_eq!(again.get(Table::Meta, b"b"), Some(&Some("1".into())));
    assert!(!overlay.changed_since_flush(Table::Meta, b"a"));
}

#[test]
fn a_scan_keeps_to_its_beginning() {
    let overlay = Overlay::default();
    overlay.publish(layer(&[("a", Some("")), ("ab", Some("")), ("abc", Some("")), ("b", Some(""))]), |_| {});
    assert_eq!(overlay.scan(Table::Meta, Bound::Included(b"ab"), b"ab").len(), 2);
}
