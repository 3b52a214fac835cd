use bytes::Bytes;
use larder_base::{Access, ContentHash, EntryAddress, EntryBody, PutIf, PutOutcome};

use super::{Lose, Subject, at, beginning, keys, namespace, with_links};
use crate::content::noise;

pub(super) async fn an_entry_whose_link_is_lost_is_none_and_removed((subject, lose): (Subject, Lose)) {
    for (number, access) in [Access::Check, Access::Serve].into_iter().enumerate() {
        let links = store_with_links(&subject, &at("key"), number as u64).await;
        lose(namespace("ns"), links[1]).await;
        is_none_and_removed(&subject, access).await;
    }
}

pub(super) async fn an_entry_whose_value_is_lost_is_none_and_removed((subject, lose): (Subject, Lose)) {
    for (seed, len) in [(1, 10), (2, 100_000)] {
        for access in [Access::Check, Access::Serve] {
            let blob = subject.put_blob(&namespace("ns"), &noise(seed, len)).await;
            subject.store(&at("key"), with_links(EntryBody::Stored(blob), &[])).await;
            lose(namespace("ns"), blob.hash).await;
            is_none_and_removed(&subject, access).await;
        }
    }
}

pub(super) async fn a_listing_shows_an_incomplete_entry_until_it_is_read((subject, lose): (Subject, Lose)) {
    let links = store_with_links(&subject, &at("key"), 1).await;
    lose(namespace("ns"), links[0]).await;
    for _ in 0..2 {
        assert_eq!(keys(&subject.list_all(&beginning("")).await), ["key"], "completeness is not looked at");
    }
    is_none_and_removed(&subject, Access::Check).await;
}

pub(super) async fn the_place_of_an_incomplete_entry_can_be_written_again((subject, lose): (Subject, Lose)) {
    let links = store_with_links(&subject, &at("key"), 1).await;
    lose(namespace("ns"), links[0]).await;
    is_none_and_removed(&subject, Access::Serve).await;
    let entry = with_links(EntryBody::Value(Bytes::from_static(b"new")), &links[1..]);
    let outcome = subject.put(&at("key"), entry, PutIf::Absent).await;
    assert!(matches!(outcome, PutOutcome::Stored(_)), "its place is free: {outcome:?}");
    assert!(subject.get(&at("key")).await.is_some());
}

async fn store_with_links(subject: &Subject, address: &EntryAddress, seed: u64) -> Vec<ContentHash> {
    let mut links = Vec::new();
    for link in 0..3 {
        links.push(subject.put_blob(&address.namespace, &noise(seed * 10 + link, 50)).await.hash);
    }
    subject.store(address, with_links(EntryBody::Value(Bytes::from_static(b"value")), &links)).await;
    assert!(subject.get(address).await.is_some(), "it was complete");
    links
}

async fn is_none_and_removed(subject: &Subject, access: Access) {
    let read = subject.entries.get(&at("key"), access).await.expect("a get succeeds");
    assert_eq!(read, None, "an incomplete entry was served");
    assert_eq!(keys(&subject.list_all(&beginning("")).await), [""; 0], "an incomplete entry was not removed");
}
