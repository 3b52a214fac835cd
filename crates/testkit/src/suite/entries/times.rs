use larder_base::{Access, Clock as _};

use super::{MINUTE, Subject, at, beginning, numbered};

pub(super) async fn serving_counts_as_use_and_checking_does_not(subject: Subject) {
    let created = subject.clock.now();
    subject.store(&at("key"), numbered(1)).await;
    subject.clock.advance(10 * MINUTE);
    for access in [Access::Check, Access::Check] {
        let read = subject.entries.get(&at("key"), access).await.expect("a get succeeds").expect("it was put");
        assert_eq!((read.created, read.last_served), (created, created), "it was only looked at");
    }
    let mut served = subject.clock.now();
    for _ in 0..3 {
        subject.clock.advance(10 * MINUTE);
        served = subject.clock.now();
        subject.entries.get(&at("key"), Access::Serve).await.expect("a get succeeds").expect("it was put");
    }
    subject.clock.advance(10 * MINUTE);
    let read = subject.get(&at("key")).await.expect("it was put");
    let listed = subject.list_all(&beginning("")).await.remove(0).entry;
    for entry in [read, listed] {
        assert_eq!(entry.created, created, "serving does not make an entry newer");
        let off = entry.last_served.since(served).max(served.since(entry.last_served));
        assert!(off <= MINUTE, "it was last served at {served}, not at {}", entry.last_served);
    }
}

pub(super) async fn listing_touches_nothing(subject: Subject) {
    let created = subject.clock.now();
    subject.store(&at("key"), numbered(1)).await;
    for _ in 0..3 {
        subject.clock.advance(10 * MINUTE);
        assert_eq!(subject.list_all(&beginning("")).await[0].entry.last_served, created);
    }
    assert_eq!(subject.get(&at("key")).await.expect("it was put").last_served, created);
}
