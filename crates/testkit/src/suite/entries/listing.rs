use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Attributes, Digest, DoorName, EntryAddress, EntryBody, EntryPrefix, ErrorKind, Listed, NewEntry, Scope,
};

use super::{Subject, at, beginning, keys, namespace, numbered};
use crate::content::noise;

const KEYS: [&str; 12] = ["m", "b", "z", "a", "q", "k1", "k10", "k2", "y", "c", "x", "d"];

pub(super) async fn the_newest_comes_first(subject: Subject) {
    for key in KEYS {
        subject.store(&at(key), numbered(1)).await;
        subject.clock.advance(Duration::from_millis(1));
    }
    let listed = subject.list_all(&beginning("")).await;
    assert_eq!(keys(&listed), reversed(&KEYS));
    assert!(listed.windows(2).all(|pair| pair[0].entry.created > pair[1].entry.created));
    assert_eq!(keys(&subject.list_all(&beginning("k")).await), ["k2", "k10", "k1"]);
}

pub(super) async fn of_one_moment_the_later_written_comes_first(subject: Subject) {
    subject.store_all(&KEYS).await;
    assert_eq!(keys(&subject.list_all(&beginning("")).await), reversed(&KEYS));
}

pub(super) async fn a_replaced_entry_is_as_new_as_its_last_write(subject: Subject) {
    for key in ["a", "b", "c", "a"] {
        subject.store(&at(key), numbered(1)).await;
        subject.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(keys(&subject.list_all(&beginning("")).await), ["a", "c", "b"]);
    subject.store(&at("b"), numbered(2)).await;
    assert_eq!(keys(&subject.list_all(&beginning("")).await), ["b", "a", "c"]);
}

pub(super) async fn a_line_has_everything_but_links_and_inline_value(subject: Subject) {
    let links = [subject.put_blob(&namespace("ns"), &noise(1, 10)).await.hash];
    let new = NewEntry {
        body: EntryBody::Value(Bytes::from_static(b"small")),
        attributes: Attributes::from([("name".to_owned(), "text".to_owned())]),
        links: links.into(),
        writer: "someone".to_owned(),
    };
    let mut entry = subject.store(&at("key"), new).await;
    entry.links = [].into();
    entry.inline = None;
    assert_eq!(entry.blob, Digest::of(b"small"));
    assert_eq!(subject.list_all(&beginning("")).await, [Listed { address: at("key"), entry }]);
}

pub(super) async fn pages_of_any_length_give_the_whole_listing_once(subject: Subject) {
    for (number, key) in KEYS.into_iter().enumerate() {
        subject.store(&at(key), numbered(1)).await;
        // Runs of equal times, so that pages end inside of them.
        if number % 5 == 4 {
            subject.clock.advance(Duration::from_secs(1));
        }
    }
    let whole = subject.list_all(&beginning("")).await;
    assert_eq!(whole.len(), KEYS.len());
    for limit in [1, 2, 3, 5, KEYS.len() - 1, KEYS.len(), KEYS.len() + 1] {
        let mut lines = Vec::new();
        let mut next = None;
        // One page for each line, and one that only says that it is the last.
        for _ in 0..=KEYS.len() {
            let page = subject.list(&beginning(""), next.as_deref(), limit).await;
            assert!(!page.entries.is_empty() || page.next.is_none(), "an empty page that is not the last");
            lines.extend(page.entries);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(next, None, "pages of {limit} do not end");
        assert_eq!(lines, whole, "in pages of {limit}");
    }
}

pub(super) async fn pages_are_stable_while_entries_come_and_go(subject: Subject) {
    for key in ["e", "d", "c", "b", "a"] {
        subject.store(&at(key), numbered(1)).await;
        subject.clock.advance(Duration::from_secs(1));
    }
    let first = subject.list(&beginning(""), None, 2).await;
    assert_eq!(keys(&first.entries), ["a", "b"]);
    // The line the page ended with goes, one before it is renewed, and new ones come.
    subject.entries.delete(&at("b")).await.expect("a delete succeeds");
    subject.store_all(&["a", "new", "newer"]).await;
    let second = subject.list(&beginning(""), first.next.as_deref(), 2).await;
    assert_eq!(keys(&second.entries), ["c", "d"]);
    subject.entries.delete(&at("c")).await.expect("a delete succeeds");
    let third = subject.list(&beginning(""), second.next.as_deref(), 2).await;
    assert_eq!(keys(&third.entries), ["e"]);
}

pub(super) async fn a_filter_leaves_out_all_other_scopes_and_doors(subject: Subject) {
    let scopes = [Scope::Trusted, Scope::Pr(1), Scope::Ref("main".into())];
    let doors = [DoorName::new("ci"), DoorName::new("http")];
    let mut all = Vec::new();
    for scope in &scopes {
        for door in &doors {
            for name in ["ns", "other"] {
                for key in ["k1", "k2", "z"] {
                    let place = EntryAddress {
                        namespace: namespace(name),
                        scope: scope.clone(),
                        door: door.clone(),
                        ..at(key)
                    };
                    subject.store(&place, numbered(1)).await;
                    all.push(place);
                }
            }
        }
    }
    all.reverse();
    let scopes: Vec<_> = scopes.into_iter().map(Some).chain([None, Some(Scope::Pr(2))]).collect();
    let doors: Vec<_> = doors.into_iter().map(Some).chain([None, Some(DoorName::new("go"))]).collect();
    for scope in &scopes {
        for door in &doors {
            for prefix in ["", "k", "k2", "x"] {
                let asked = EntryPrefix {
                    namespace: namespace("ns"),
                    scope: scope.clone(),
                    door: door.clone(),
                    prefix: prefix.to_owned(),
                };
                let expected: Vec<_> = all
                    .iter()
                    .filter(|place| place.namespace == asked.namespace && place.key.as_str().starts_with(prefix))
                    .filter(|place| scope.as_ref().is_none_or(|scope| *scope == place.scope))
                    .filter(|place| door.as_ref().is_none_or(|door| *door == place.door))
                    .collect();
                let listed = subject.list_all(&asked).await;
                let found: Vec<_> = listed.iter().map(|line| &line.address).collect();
                assert_eq!(found, expected, "{asked:?}");
            }
        }
    }
}

pub(super) async fn a_cursor_that_no_page_gave_is_invalid(subject: Subject) {
    subject.store_all(&["a", "b"]).await;
    for cursor in ["", "nonsense", "../..", "-1", "ü", "\0"] {
        let refused = subject.entries.list(&beginning(""), Some(cursor), 10).await.map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::Invalid), "{cursor:?}");
    }
}

fn reversed<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    keys.iter().rev().copied().collect()
}
