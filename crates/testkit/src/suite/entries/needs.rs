use bytes::Bytes;
use larder_base::{ContentHash, Digest, EntryBody, PutIf, PutOutcome};

use super::{Subject, at, namespace, numbered, with_links, without_inline};
use crate::content::noise;

pub(super) async fn a_stored_value_that_is_absent_is_incomplete(subject: Subject) {
    let absent = Digest::of(b"never put");
    let outcome = subject.put(&at("key"), with_links(EntryBody::Stored(absent), &[]), PutIf::Always).await;
    incomplete_for(outcome, &[absent.hash]);
    assert_eq!(subject.get(&at("key")).await, None, "an incomplete entry is there");
    assert_eq!(subject.keys_beginning("").await, [""; 0]);
}

pub(super) async fn every_absent_link_is_named_and_no_other(subject: Subject) {
    let present = [subject.put_blob(&namespace("ns"), &noise(1, 10)).await.hash];
    let absent = [2, 3, 4].map(|seed| ContentHash::of(&noise(seed, 10)));
    let value = Digest::of(b"never put");
    let links = [absent[0], present[0], absent[1], absent[2]];
    let body = EntryBody::Value(Bytes::from_static(b"here"));
    for condition in [PutIf::Absent, PutIf::Always] {
        incomplete_for(subject.put(&at("key"), with_links(body.clone(), &links), condition).await, &absent);
        let outcome = subject.put(&at("key"), with_links(EntryBody::Stored(value), &links), condition).await;
        incomplete_for(outcome, &[absent[0], absent[1], absent[2], value.hash]);
    }
    assert_eq!(subject.get(&at("key")).await, None, "an incomplete entry is there");
}

pub(super) async fn a_blob_of_another_namespace_does_not_complete_an_entry(subject: Subject) {
    let elsewhere = subject.put_blob(&namespace("other"), &noise(1, 10)).await;
    let stored = with_links(EntryBody::Stored(elsewhere), &[]);
    incomplete_for(subject.put(&at("key"), stored, PutIf::Always).await, &[elsewhere.hash]);
    let linked = with_links(EntryBody::Value(Bytes::new()), &[elsewhere.hash]);
    incomplete_for(subject.put(&at("key"), linked, PutIf::Always).await, &[elsewhere.hash]);
}

/// Whether the tier calls it incomplete or an error, no entry may name a blob that is not there.
pub(super) async fn a_stored_value_of_another_size_is_not_accepted(subject: Subject) {
    let digest = subject.put_blob(&namespace("ns"), &noise(1, 10)).await;
    for size in [9, 11, 0, u64::MAX] {
        let entry = with_links(EntryBody::Stored(Digest { size, ..digest }), &[]);
        let outcome = subject.entries.put(&at("key"), entry, PutIf::Always).await;
        assert!(!matches!(outcome, Ok(PutOutcome::Stored(_))), "10 bytes were accepted as {size}");
        assert_eq!(subject.get(&at("key")).await, None);
    }
}

pub(super) async fn an_incomplete_put_leaves_what_was_there(subject: Subject) {
    let first = subject.store(&at("key"), numbered(1)).await;
    let absent = ContentHash::of(b"never put");
    for condition in [PutIf::Always, PutIf::Unchanged(first.revision)] {
        let entry = with_links(EntryBody::Value(Bytes::from_static(b"new")), &[absent]);
        incomplete_for(subject.put(&at("key"), entry, condition).await, &[absent]);
        let there = subject.get(&at("key")).await.expect("it was not replaced");
        assert_eq!(without_inline(&there), without_inline(&first));
    }
}

pub(super) async fn what_was_incomplete_is_stored_once_its_blobs_are_there(subject: Subject) {
    let (stored, linked) = (noise(1, 10), noise(2, 10));
    let entry = with_links(EntryBody::Stored(Digest::of(&stored)), &[ContentHash::of(&linked)]);
    let put = async || subject.put(&at("key"), entry.clone(), PutIf::Absent).await;
    incomplete_for(put().await, &[ContentHash::of(&stored), ContentHash::of(&linked)]);
    subject.put_blob(&namespace("ns"), &linked).await;
    incomplete_for(put().await, &[ContentHash::of(&stored)]);
    subject.put_blob(&namespace("ns"), &stored).await;
    let outcome = put().await;
    assert!(matches!(outcome, PutOutcome::Stored(_)), "all is there: {outcome:?}");
    assert_eq!(subject.get(&at("key")).await.expect("it was put").blob, Digest::of(&stored));
}

/// The traits promise which blobs are named, not their order.
fn incomplete_for(outcome: PutOutcome, absent: &[ContentHash]) {
    let PutOutcome::Incomplete(mut named) = outcome else { panic!("blobs are absent, and yet: {outcome:?}") };
    let mut absent = absent.to_vec();
    named.sort_unstable();
    absent.sort_unstable();
    assert_eq!(named, absent);
}
