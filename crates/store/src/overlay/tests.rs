use std::ops::Bound;

use bytes::Bytes;

use super::{Layer, Overlay};
use crate::index::Table;
use crate::merged::Merged;
use crate::run::Run;

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

fn run(number: u64, layer: &Layer) -> Run {
    Run::new(number, b"", layer).unwrap()
}

fn changes(overlay: &Overlay, from: Bound<&[u8]>, start: &str) -> Vec<(String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let changes = overlay.changes(Table::Meta, from, start.as_bytes());
    let rows = Merged::new(changes.sources(Table::Meta, from)).map(Result::unwrap);
    rows.map(|(key, row)| (text(key), row.map(text))).take_while(|(key, _)| key.starts_with(start)).collect()
}

#[test]
fn what_was_changed_last_wins_and_a_deleted_row_hides_what_is_below() {
    let overlay = Overlay::default();
    overlay.publish(layer(&[("a", Some("old")), ("b", Some("old")), ("e", Some("old"))]), |_| {});
    overlay.keep(run(1, &overlay.take()));
    overlay.publish(layer(&[("a", None), ("e", Some("newer"))]), |_| {});
    overlay.keep(run(2, &overlay.take()));
    overlay.publish(layer(&[("a", Some("again")), ("b", None)]), |_| {});
    let taken = overlay.take();
    assert_eq!(taken.len(), 2);
    overlay.publish(layer(&[("a", None), ("c", Some("new"))]), |_| {});
    assert_eq!(get(&overlay, "a"), Some(None));
    assert_eq!(get(&overlay, "b"), Some(None));
    assert_eq!(get(&overlay, "c"), Some(Some("new".into())));
    assert_eq!(get(&overlay, "d"), None);
    assert_eq!(get(&overlay, "e"), Some(Some("newer".into())));
    let rows = changes(&overlay, Bound::Unbounded, "");
    let rows: Vec<_> = rows.iter().map(|(key, row)| (key.as_str(), row.as_deref())).collect();
    assert_eq!(rows, [("a", None), ("b", None), ("c", Some("new")), ("e", Some("newer"))]);
    assert_eq!((overlay.waiting(), overlay.unmerged(), overlay.unmerged_of(Table::Names)), (2, 9, (0, 0)));
    assert_eq!(overlay.unmerged_of(Table::Meta), (6, 3));
    overlay.keep(run(3, &taken));
    drop(taken);
    overlay.drop_runs(2);
    assert_eq!(get(&overlay, "e"), None, "LMDB has it now");
    assert_eq!(get(&overlay, "b"), Some(None), "of a later run");
    assert_eq!((overlay.waiting(), overlay.unmerged()), (2, 4));
}

#[test]
fn what_could_not_be_written_waits_again_beneath_what_was_changed_since() {
    let overlay = Overlay::default();
    overlay.publish(layer(&[("a", Some("1")), ("b", Some("1"))]), |_| {});
    let failed = overlay.take();
    overlay.publish(layer(&[("a", Some("2"))]), |_| {});
    assert_eq!(overlay.waiting(), 1);
    overlay.put_back(failed);
    assert_eq!(overlay.waiting(), 2);
    assert_eq!(get(&overlay, "a"), Some(Some("2".into())));
    assert_eq!(get(&overlay, "b"), Some(Some("1".into())));
    let again = overlay.take();
    assert_eq!(again.get(Table::Meta, b"a"), Some(&Some("2".into())));
    assert_eq!(again.get(Table::Meta, b"b"), Some(&Some("1".into())));
}

#[test]
fn a_row_is_known_to_have_changed_after_the_oldest_runs_wherever_its_change_is() {
    let overlay = Overlay::default();
    for (number, key) in [(1, "merging"), (2, "in a run")] {
        overlay.publish(layer(&[(key, None)]), |_| {});
        overlay.keep(run(number, &overlay.take()));
    }
    overlay.publish(layer(&[("taken", None)]), |_| {});
    let _taken = overlay.take();
    overlay.publish(layer(&[("waiting", None)]), |_| {});
    let changed = |key: &str| overlay.changed_after(1, Table::Meta, key.as_bytes());
    assert_eq!(["merging", "in a run", "taken", "waiting", "never"].map(changed), [false, true, true, true, false]);
}

#[test]
fn changes_keep_to_their_beginning_and_begin_behind_their_bound() {
    let overlay = Overlay::default();
    let rows = [("a", Some("")), ("ab", Some("")), ("abc", Some("")), ("b", Some(""))];
    overlay.publish(layer(&rows), |_| {});
    let keys =
        |from: Bound<&[u8]>, start| changes(&overlay, from, start).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    for _ in ["waiting", "in a run"] {
        assert_eq!(keys(Bound::Included(b"ab"), "ab"), ["ab", "abc"]);
        assert_eq!(keys(Bound::Excluded(b"ab"), ""), ["abc", "b"]);
        overlay.keep(run(1, &overlay.take()));
    }
}
