use std::time::Duration;

use bytes::Bytes;
use larder_base::{Digest, Timestamp};

use super::*;
use crate::heat::Heat;

fn epoch(millis: u64) -> Epoch {
    Heat::new(Duration::from_secs(400)).epoch(Timestamp::from_millis(millis))
}

fn entry(revision: u64, value: &[u8]) -> Entry {
    let now = Timestamp::from_millis(1);
    Entry {
        blob: Digest::of(value),
        inline: Some(Bytes::copy_from_slice(value)),
        attributes: Default::default(),
        links: Arc::default(),
        writer: String::new(),
        created: now,
        last_served: now,
        revision,
    }
}

fn revision_of(at_hand: &AtHand, key: &[u8]) -> Option<u64> {
    at_hand.get(key, epoch(1), |_| {}).map(|entry| entry.revision)
}

#[test]
fn an_entry_is_known_by_its_key_in_the_epoch_it_was_found_in() {
    let at_hand = AtHand::default();
    at_hand.keep(b"a", &entry(7, b"value"), epoch(1), at_hand.generation());
    assert_eq!(revision_of(&at_hand, b"a"), Some(7));
    assert_eq!(revision_of(&at_hand, b"b"), None);
    assert!(at_hand.get(b"a", epoch(200_000), |_| {}).is_none(), "another slice is another epoch");
}

#[test]
fn what_was_read_before_a_change_is_not_kept_after_it() {
    let at_hand = AtHand::default();
    let before = at_hand.generation();
    at_hand.forget(std::iter::once(&b"a"[..]));
    at_hand.keep(b"a", &entry(1, b"old"), epoch(1), before);
    assert_eq!(revision_of(&at_hand, b"a"), None);
    at_hand.keep(b"a", &entry(2, b"new"), epoch(1), at_hand.generation());
    assert_eq!(revision_of(&at_hand, b"a"), Some(2));
    at_hand.forget(std::iter::once(&b"a"[..]));
    assert_eq!(revision_of(&at_hand, b"a"), None);
}

#[test]
fn a_change_of_no_entry_forgets_nothing() {
    let at_hand = AtHand::default();
    let before = at_hand.generation();
    at_hand.forget(std::iter::empty());
    assert_eq!(at_hand.generation(), before);
}

#[test]
fn what_the_user_of_an_entry_changes_in_it_stays() {
    let at_hand = AtHand::default();
    at_hand.keep(b"a", &entry(1, b"value"), epoch(1), at_hand.generation());
    let later = Timestamp::from_millis(77);
    assert_eq!(
        at_hand.get(b"a", epoch(1), |entry| entry.last_served = later).map(|entry| entry.last_served),
        Some(later)
    );
    assert_eq!(at_hand.get(b"a", epoch(1), |_| {}).map(|entry| entry.last_served), Some(later));
}

#[test]
fn what_is_kept_is_bounded_and_what_is_used_stays() {
    let mut shard = Shard::default();
    let most = 100 * (ENTRY_BYTES + 1000);
    shard.keep(b"large", entry(1, &vec![0; most]), epoch(1), most);
    assert!(shard.kept.is_empty(), "one that is too large is not kept");
    for number in 0..1000_u32 {
        shard.keep(&number.to_be_bytes(), entry(1, &[0; 900]), epoch(1), most);
        if let Some(first) = shard.kept.get_mut(&0_u32.to_be_bytes()[..]) {
            first.used = true;
        }
        let bytes: usize = shard.kept.iter().map(|(key, kept)| kept.bytes(key)).sum();
        assert_eq!(bytes, shard.bytes);
        assert!(bytes <= most, "{bytes}");
        assert!(shard.kept.contains_key(&number.to_be_bytes()[..]), "the newest is kept");
    }
    assert!(shard.kept.contains_key(&0_u32.to_be_bytes()[..]), "one that is asked for again and again stays");
    assert!(!shard.kept.contains_key(&1_u32.to_be_bytes()[..]));
}

#[test]
fn attributes_and_the_writer_count() {
    let mut plain = Shard::default();
    plain.keep(b"a", entry(1, b"value"), epoch(1), 1 << 20);
    let mut rich = Shard::default();
    let attributes = (0..1000_u32).map(|n| (format!("{n:04}"), String::new())).collect();
    let writer = "w".repeat(100);
    rich.keep(b"a", Entry { attributes, writer, ..entry(1, b"value") }, epoch(1), 1 << 20);
    assert_eq!(rich.bytes - plain.bytes, 1000 * (4 + ATTRIBUTE_BYTES) + 100);
}

#[test]
fn an_entry_that_changes_all_the_time_leaves_nothing_behind() {
    let mut shard = Shard::default();
    for revision in 0..1000 {
        shard.keep(b"a", entry(revision, b"value"), epoch(1), 1 << 20);
        if revision % 2 == 0 {
            shard.remove(b"a");
        }
        assert!(shard.order.len() <= 20, "{}", shard.order.len());
    }
    assert_eq!((shard.kept.len(), shard.bytes), (1, shard.kept[&b"a"[..]].bytes(b"a")));
}
