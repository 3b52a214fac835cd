use std::time::Duration;

use larder_base::Timestamp;

use super::*;
use crate::heat::Heat;

fn links(count: usize) -> Arc<[ContentHash]> {
    vec![ContentHash::of(b"link"); count].into()
}

#[test]
fn an_entry_is_known_by_its_key_its_revision_and_the_epoch() {
    let heat = Heat::new(Duration::from_secs(400));
    let now = Timestamp::from_millis(1_000_000);
    let epoch = heat.epoch(now);
    let mut whole = WholeEntries::default();
    whole.keep(b"a", 7, epoch, &links(3));
    assert_eq!(whole.get(b"a", 7, heat.epoch(now)).map(|links| links.len()), Some(3));
    assert!(whole.get(b"b", 7, epoch).is_none());
    assert!(whole.get(b"a", 8, epoch).is_none());
    let later = heat.epoch(now.plus(Duration::from_secs(100)));
    assert!(whole.get(b"a", 7, later).is_none(), "the next slice begins another epoch");
}

#[test]
fn every_loss_begins_another_epoch() {
    let heat = Heat::new(Duration::from_secs(400));
    let now = Timestamp::from_millis(1_000_000);
    heat.add(1);
    type Loss = (&'static str, fn(&Heat));
    let losses: [Loss; 5] = [
        ("a bad record", |heat| assert!(heat.condemn(1, 0))),
        ("chunks that the bucket lost", |heat| heat.condemn_all(1, [1, 2].into_iter())),
        ("an eviction", |heat| assert!(heat.freeze(1, Timestamp::from_millis(1_000_000)))),
        ("an eviction in spite of promises", |heat| assert!(heat.freeze_lost(1, Timestamp::from_millis(1_000_000)))),
        ("a segment that is no more", |heat| heat.remove(1)),
    ];
    for (what, lose) in losses {
        let before = heat.epoch(now);
        lose(&heat);
        assert!(heat.epoch(now) != before, "{what}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let epoch = Heat::new(Duration::from_secs(400)).epoch(Timestamp::from_millis(1));
    let mut whole = WholeEntries::default();
    whole.keep(b"large", 1, epoch, &links(LINKS_KEPT));
    assert!(whole.get(b"large", 1, epoch).is_none(), "one that is too large is not kept");
    for number in 0..100_u32 {
        whole.keep(&number.to_be_bytes(), 1, epoch, &links(LINKS_KEPT / 10));
        let kept: usize = whole.entries.values().map(|found| found.links.len() + ENTRY_COST).sum();
        assert_eq!(kept, whole.cost);
        assert!(kept <= LINKS_KEPT, "{kept}");
        assert!(whole.get(&number.to_be_bytes(), 1, epoch).is_some(), "the newest is kept");
    }
    // An entry that is found again replaces itself.
    let cost = whole.cost;
    whole.keep(&99_u32.to_be_bytes(), 2, epoch, &links(LINKS_KEPT / 10));
    assert!(whole.cost <= cost);
}
