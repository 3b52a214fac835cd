use std::sync::Arc;

use larder_base::{Digest, Entry, PutIf, PutOutcome};

use super::{Subject, at, numbered, without_inline};

pub(super) async fn the_first_write_wins_where_nothing_may_be_there(subject: Subject) {
    let PutOutcome::Stored(first) = subject.put(&at("key"), numbered(1), PutIf::Absent).await else {
        panic!("nothing was there, and yet it was not stored");
    };
    kept_is(subject.put(&at("key"), numbered(2), PutIf::Absent).await, Some(&first));
    is_there(&subject, &first).await;
}

pub(super) async fn always_replaces(subject: Subject) {
    subject.store(&at("key"), numbered(1)).await;
    let second = subject.store(&at("key"), numbered(2)).await;
    assert_eq!(second.blob, Digest::of(b"value 2"));
    is_there(&subject, &second).await;
}

pub(super) async fn unchanged_replaces_the_revision_it_names(subject: Subject) {
    let first = subject.store(&at("key"), numbered(1)).await;
    let outcome = subject.put(&at("key"), numbered(2), PutIf::Unchanged(first.revision)).await;
    let PutOutcome::Stored(second) = outcome else { panic!("it had not changed: {outcome:?}") };
    is_there(&subject, &second).await;
}

pub(super) async fn unchanged_keeps_what_has_changed(subject: Subject) {
    let first = subject.store(&at("key"), numbered(1)).await;
    // The same bytes again are a change too: whoever wrote them may rely on it.
    for second in [numbered(2), numbered(1)] {
        let second = subject.store(&at("key"), second).await;
        kept_is(subject.put(&at("key"), numbered(3), PutIf::Unchanged(first.revision)).await, Some(&second));
        is_there(&subject, &second).await;
    }
}

pub(super) async fn unchanged_keeps_nothing_where_nothing_is(subject: Subject) {
    for revision in [0, 1, u64::MAX] {
        kept_is(subject.put(&at("key"), numbered(1), PutIf::Unchanged(revision)).await, None);
    }
    let first = subject.store(&at("key"), numbered(1)).await;
    subject.entries.delete(&at("key")).await.expect("a delete succeeds");
    kept_is(subject.put(&at("key"), numbered(2), PutIf::Unchanged(first.revision)).await, None);
    assert_eq!(subject.get(&at("key")).await, None);
}

pub(super) async fn no_revision_comes_twice_at_one_address(subject: Subject) {
    let mut revisions = Vec::new();
    for number in 0..6 {
        // Every second write has the bytes of the one before; every third finds the place empty.
        revisions.push(subject.store(&at("key"), numbered(number / 2)).await.revision);
        if number % 3 == 2 {
            subject.entries.delete(&at("key")).await.expect("a delete succeeds");
        }
    }
    let written = revisions.len();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), written, "{written} writes had {} revisions", revisions.len());
}

pub(super) async fn of_racing_first_writes_one_wins_and_the_others_learn_which(subject: Subject) {
    let subject = Arc::new(subject);
    for round in 0..10 {
        let (key, outcomes) = race(&subject, round, PutIf::Absent).await;
        one_wins(&subject, &key, outcomes).await;
    }
}

pub(super) async fn of_racing_changes_to_one_revision_one_wins(subject: Subject) {
    let subject = Arc::new(subject);
    for round in 0..10 {
        let first = subject.store(&at(&format!("race {round}")), numbered(1000)).await;
        let (key, outcomes) = race(&subject, round, PutIf::Unchanged(first.revision)).await;
        one_wins(&subject, &key, outcomes).await;
    }
}

pub(super) async fn a_deleted_entry_is_gone_and_only_once(subject: Subject) {
    let delete = async |key| subject.entries.delete(&at(key)).await.expect("a delete succeeds");
    assert!(!delete("key").await, "nothing was there");
    subject.store_all(&["key", "key2", "ke"]).await;
    assert!(delete("key").await, "it was there");
    assert_eq!(subject.get(&at("key")).await, None);
    assert_eq!(subject.keys_beginning("").await, ["ke", "key2"]);
    assert!(!delete("key").await, "it was deleted before");
    let again = subject.put(&at("key"), numbered(2), PutIf::Absent).await;
    assert!(matches!(again, PutOutcome::Stored(_)), "its place is free: {again:?}");
}

async fn race(subject: &Arc<Subject>, round: u64, condition: PutIf) -> (String, Vec<PutOutcome>) {
    let key = format!("race {round}");
    let writers: Vec<_> = (0..8_u64)
        .map(|writer| {
            let (subject, address) = (Arc::clone(subject), at(&key));
            tokio::spawn(async move { subject.put(&address, numbered(writer), condition).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.push(writer.await.expect("a put does not panic"));
    }
    (key, outcomes)
}

async fn one_wins(subject: &Subject, key: &str, outcomes: Vec<PutOutcome>) {
    let won = |outcome: &PutOutcome| match outcome {
        PutOutcome::Stored(entry) => Some(entry.clone()),
        _ => None,
    };
    let winners: Vec<_> = outcomes.iter().filter_map(won).collect();
    assert_eq!(winners.len(), 1, "of racing writes {} were stored", winners.len());
    for outcome in outcomes.into_iter().filter(|outcome| won(outcome).is_none()) {
        kept_is(outcome, Some(&winners[0]));
    }
    let there = subject.get(&at(key)).await.expect("one has won");
    assert_eq!(without_inline(&there), without_inline(&winners[0]));
}

fn kept_is(outcome: PutOutcome, expected: Option<&Entry>) {
    let PutOutcome::Kept(kept) = outcome else { panic!("the condition did not hold, and yet: {outcome:?}") };
    assert_eq!(kept.as_ref().map(without_inline), expected.map(without_inline));
}

async fn is_there(subject: &Subject, entry: &Entry) {
    let there = subject.get(&at("key")).await.expect("it was put");
    assert_eq!(without_inline(&there), without_inline(entry));
    let content = subject.read_blob(&at("key").namespace, entry.blob).await;
    assert_eq!(Digest::of(&content), entry.blob, "its value is another");
}
