use std::time::Duration;

use larder_base::{ContentHash, PutIf};

use super::*;
use crate::tests::support::*;
use crate::{Options, Store};

const RETENTION: Duration = Duration::from_secs(3600);

#[test]
fn what_eviction_moves_between_the_look_at_its_row_and_at_its_record_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let options = Options { retention: RETENTION, segment_len: 128 << 10, ..options(dir.path()) };
    let store = Store::open(options, clock.clone()).unwrap();
    let at = address("a", "trusted", "test", "key");
    store.put_entry(&at, value("kept"), PutIf::Always).unwrap();
    let contents: Vec<_> = (0..30).map(|n| noise(n, 30_000)).collect();
    for content in &contents {
        put(&store, "a", content).unwrap();
    }
    clock.advance(RETENTION * 2);
    let [kept, gone] = [0, 1].map(|n| ContentHash::of(&contents[n]));
    assert!(store.missing(&ns("a"), &[kept]).unwrap().is_empty());
    assert!(store.get_entry(&at, larder_base::Access::Check).unwrap().is_some());
    let rows = Rows::new(store.core());
    let key = rows.find_entry_key(&at).unwrap().unwrap();
    let mut evictions = 0;
    let mut evict = |segment| {
        // Whoever asks holds this segment's row in hand.
        if segment == 1 && evictions == 0 {
            evictions += 1;
            assert!(store.evict_segment(1, &mut crate::Evicted::default()).unwrap().is_some());
        }
    };
    let old = rows.get(Table::Entries, &key).unwrap().unwrap();
    let mut looks = 0;
    let found = rows.settled_blob(&kept, |row| {
        looks += 1;
        evict(row.place.segment);
        Ok(Found::of(rows.touch(row.place.segment, row.place.ordinal, &mut MarksDue::new())))
    });
    assert!(found.unwrap().unwrap().place.segment > 1);
    assert_eq!(looks, 2, "it was in one place and then in the other");
    assert_eq!(rows.blob(&gone).unwrap().map(|row| row.place), None);
    let old = EntryRow::decode(&old).unwrap();
    let mut first = Some((old.segment, old.ordinal));
    let found = rows.settled_entry(&key, |row| {
        let (segment, ordinal) = first.take().unwrap_or((row.segment, row.ordinal));
        rows.touch(segment, ordinal, &mut MarksDue::new())
    });
    assert!(found.unwrap().unwrap().segment > 1);
    assert_eq!(rows.settled_blob(&kept, |_| Ok(Found::Moved)).unwrap().map(|row| row.place), None, "it ends");
}
