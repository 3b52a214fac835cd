//! A node between two memories.

mod early;
mod support;
mod unproved;

use bytes::Bytes;
use larder_base::{Access, ContentHash, Entries, ErrorKind, PutIf, PutOutcome, Segments, collect};
use larder_testkit::faulty::{Fault, Gate, Verb};
use larder_testkit::suite::{blobs, entries, segments};

use support::{Lie, Pair, address, contents, linked, value};

#[test]
fn a_node_keeps_the_promises_of_its_tiers() {
    blobs::check(async || {
        let pair = Pair::new().await;
        blobs::Subject { blobs: pair.node.tiers().blobs, keep: Box::new(pair) }
    });
    entries::check(async || {
        let pair = Pair::new().await;
        let (tiers, clock) = (pair.node.tiers(), pair.clock.clone());
        entries::Subject { entries: tiers.entries, blobs: tiers.blobs, clock, keep: Box::new(pair) }
    });
    segments::check(async || {
        let pair = Pair::new().await;
        let tiers = pair.node.tiers();
        segments::Subject { segments: tiers.segments, blobs: tiers.blobs, keep: Box::new(pair) }
    });
}

#[test]
fn a_node_whose_upstream_is_away_keeps_them_too() {
    entries::check(async || {
        let pair = Pair::new().await;
        pair.go_away();
        let (tiers, clock) = (pair.node.tiers(), pair.clock.clone());
        entries::Subject { entries: tiers.entries, blobs: tiers.blobs, clock, keep: Box::new(pair) }
    });
}

#[tokio::test]
async fn an_entry_is_above_only_after_all_it_links_to() {
    let pair = Pair::new().await;
    let contents = contents(20);
    let entry = pair.put_here(&contents).await;
    pair.node.inner.local.entries.put(&address("key"), entry.clone(), PutIf::Absent).await.unwrap();
    // Nothing was asked of the node yet: what is in the local store by other ways does not wait.
    assert_eq!(pair.node.status().spool_entries, 0);
    pair.node.inner.local.entries.delete(&address("key")).await.unwrap();
    let stored = pair.node.put(&address("key"), entry, PutIf::Absent).await.unwrap();
    assert!(matches!(stored, PutOutcome::Stored(_)));
    assert_eq!(pair.node.status().spool_entries, 1);
    pair.faults.add(Verb::AdoptPart, 1..=1, Fault::Fail(ErrorKind::Unavailable));
    assert!(pair.push().await.is_err());
    assert!(pair.above.get(&address("key"), Access::Check).await.unwrap().is_none());
    pair.push().await.unwrap();
    assert!(pair.above.get(&address("key"), Access::Check).await.unwrap().is_some());
    assert_eq!((pair.node.status().spool_entries, pair.node.status().pushed), (0, 1));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_no_conflict() {
    let pair = Pair::new().await;
    pair.node.put(&address("key"), value("mine"), PutIf::Absent).await.unwrap();
    pair.faults.add(Verb::PutEntry, 1..=1, Fault::LoseAnswer(ErrorKind::Unavailable));
    assert!(pair.push().await.is_err());
    pair.push().await.unwrap();
    let status = pair.node.status();
    assert_eq!((status.spool_entries, status.conflicts, status.refused), (0, 0, 0));
}

#[tokio::test]
async fn what_waits_is_what_an_earlier_process_left() {
    let pair = Pair::new().await;
    pair.go_away();
    for key in ["one", "two", "three"] {
        pair.node.put(&address(key), value(key), PutIf::Absent).await.unwrap();
    }
    pair.node.delete(&address("two")).await.unwrap();
    let later = pair.reopened().await;
    pair.faults.clear();
    assert_eq!(later.node.status().spool_entries, 3);
    later.push().await.unwrap();
    for (key, there) in [("one", true), ("two", false), ("three", true)] {
        assert_eq!(pair.above.get(&address(key), Access::Check).await.unwrap().is_some(), there, "{key}");
    }
}

#[tokio::test]
async fn a_line_that_was_evicted_is_written_again() {
    let pair = Pair::new().await;
    pair.faults.add(Verb::PutEntry, 1..=1, Fault::Fail(ErrorKind::Denied));
    pair.node.put(&address("refused"), value("v"), PutIf::Absent).await.unwrap();
    pair.push().await.unwrap();
    pair.go_away();
    pair.node.put(&address("saved"), value("v"), PutIf::Absent).await.unwrap();
    pair.above.put(&address("purged"), value("v"), PutIf::Absent).await.unwrap();
    pair.node.delete(&address("purged")).await.unwrap();
    assert_eq!((pair.node.status().spool_entries, pair.node.status().refused), (2, 1));
    assert_eq!(pair.evict_lines().await, 3);
    pair.node.inner.spool.touch().await;
    let later = pair.reopened().await;
    pair.faults.clear();
    assert_eq!(later.node.status().spool_entries, 3);
    later.push().await.unwrap();
    for (key, there) in [("refused", true), ("saved", true), ("purged", false)] {
        assert_eq!(pair.above.get(&address(key), Access::Check).await.unwrap().is_some(), there, "{key}");
    }
    // What went up has no line, and gets none.
    later.node.inner.spool.touch().await;
    assert_eq!(later.evict_lines().await, 0);
}

#[tokio::test]
async fn what_waits_is_touched_at_the_start_and_then_in_time() {
    let pair = Pair::new().await;
    pair.go_away();
    pair.node.put(&address("key"), value("v"), PutIf::Absent).await.unwrap();
    let pushing = super::push::Pushing::new(pair.node.clone());
    for (step, written_again) in [("the first", 1), ("the next", 0)] {
        pair.evict_lines().await;
        crate::jobs::Job::step(&pushing).await.unwrap();
        assert_eq!(pair.evict_lines().await, written_again, "{step}");
    }
}

#[tokio::test]
async fn a_line_whose_entry_was_never_written_sends_nothing() {
    let pair = Pair::new().await;
    // A copy of what is above; then somebody replaces that.
    pair.above.put(&address("key"), value("old"), PutIf::Always).await.unwrap();
    let copy = pair.node.get(&address("key"), Access::Serve).await.unwrap().unwrap();
    assert_eq!(copy.inline.as_deref(), Some(&b"old"[..]));
    pair.above.put(&address("key"), value("new"), PutIf::Always).await.unwrap();
    // A write is cut off by a crash between its line and its entry.
    let before = pair.node.inner.local.entries.get(&address("key"), Access::Check).await.unwrap().unwrap().revision;
    pair.node.inner.spool.add(&address("key"), super::spool::Action::PutAlways, Some(before)).await.unwrap();
    let later = pair.reopened().await;
    assert_eq!(later.node.status().spool_entries, 1);
    later.push().await.unwrap();
    assert_eq!(later.node.status().spool_entries, 0);
    let kept = pair.above.get(&address("key"), Access::Check).await.unwrap().unwrap();
    assert_eq!(kept.inline.as_deref(), Some(&b"new"[..]));
}

/// An entry that links to what is nowhere.
fn incomplete() -> larder_base::NewEntry {
    linked("v", &[Bytes::from_static(b"nowhere")])
}

#[tokio::test]
async fn a_write_that_fails_takes_no_purge_from_those_that_wait() {
    for is_cut in [false, true] {
        let pair = Pair::new().await;
        let key = address("key");
        pair.above.put(&key, value("bad"), PutIf::Always).await.unwrap();
        pair.go_away();
        pair.node.delete(&key).await.unwrap();
        for condition in [PutIf::Absent, PutIf::Always, PutIf::Absent] {
            if is_cut {
                // A crash comes between the line and the entry.
                pair.node.inner.spool.add(&key, super::spool::Action::PutAbsent, None).await.unwrap();
            } else {
                let outcome = pair.node.put(&key, incomplete(), condition).await.unwrap();
                assert!(matches!(outcome, PutOutcome::Incomplete(_)));
            }
        }
        let later = pair.reopened().await;
        pair.faults.clear();
        later.push().await.unwrap();
        assert!(!is_above(&pair, &key).await, "cut: {is_cut}");
        assert_eq!((later.node.status().spool_entries, later.node.status().lost), (0, 0));
    }
}

#[tokio::test]
async fn a_write_that_fails_does_not_let_an_earlier_one_win_over_what_was_first() {
    for is_cut in [false, true] {
        let pair = Pair::new().await;
        let key = address("key");
        pair.above.put(&key, value("first"), PutIf::Always).await.unwrap();
        pair.go_away();
        pair.node.put(&key, value("second"), PutIf::Absent).await.unwrap();
        let here = pair.node.get(&key, Access::Check).await.unwrap().unwrap().revision;
        if is_cut {
            pair.node.inner.spool.add(&key, super::spool::Action::PutAlways, Some(here)).await.unwrap();
        } else {
            let outcome = pair.node.put(&key, incomplete(), PutIf::Always).await.unwrap();
            assert!(matches!(outcome, PutOutcome::Incomplete(_)));
        }
        let later = pair.reopened().await;
        pair.faults.clear();
        later.push().await.unwrap();
        let kept = pair.above.get(&key, Access::Check).await.unwrap().unwrap();
        assert_eq!(kept.inline.as_deref(), Some(&b"first"[..]), "cut: {is_cut}");
        assert_eq!(later.node.status().conflicts, 1);
    }
}

#[tokio::test]
async fn what_is_saved_after_a_purge_wins_over_what_was_purged() {
    let pair = Pair::new().await;
    let key = address("key");
    pair.above.put(&key, value("bad"), PutIf::Always).await.unwrap();
    pair.go_away();
    pair.node.delete(&key).await.unwrap();
    pair.node.put(&key, incomplete(), PutIf::Absent).await.unwrap();
    pair.node.put(&key, value("good"), PutIf::Absent).await.unwrap();
    pair.node.put(&key, incomplete(), PutIf::Always).await.unwrap();
    let later = pair.reopened().await;
    pair.faults.clear();
    later.push().await.unwrap();
    let kept = pair.above.get(&key, Access::Check).await.unwrap().unwrap();
    assert_eq!(kept.inline.as_deref(), Some(&b"good"[..]));
}

#[tokio::test]
async fn a_write_that_is_between_its_line_and_its_entry_is_waited_for() {
    let pair = Pair::new().await;
    let inner = &pair.node.inner;
    let key = address("key");
    let lock = inner.spool.lock(&key).await;
    inner.spool.add(&key, super::spool::Action::PutAbsent, None).await.unwrap();
    let (pushed, ()) = tokio::join!(pair.push(), async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        inner.local.entries.put(&key, value("v"), PutIf::Absent).await.unwrap();
        drop(lock);
    });
    pushed.unwrap();
    assert!(pair.above.get(&key, Access::Check).await.unwrap().is_some());
    assert_eq!(pair.node.status().lost, 0);
}

#[tokio::test]
async fn a_full_spool_keeps_what_is_put_here() {
    const SPOOL_MAX: usize = 4;
    let pair = Pair::with_spool(SPOOL_MAX).await;
    pair.go_away();
    for number in 0..SPOOL_MAX + 2 {
        let outcome = pair.node.put(&address(&format!("{number}")), value("v"), PutIf::Absent).await.unwrap();
        assert!(matches!(outcome, PutOutcome::Stored(_)));
    }
    pair.come_back().await;
    let status = pair.node.status();
    assert_eq!((status.spool_entries, status.dropped), (SPOOL_MAX, 2));
    for number in 0..SPOOL_MAX + 2 {
        let kept = pair.node.get(&address(&format!("{number}")), Access::Serve).await.unwrap();
        assert!(kept.is_some(), "{number}");
    }
}

#[tokio::test]
async fn what_was_purged_above_is_gone_here() {
    let pair = Pair::new().await;
    pair.node.put(&address("key"), value("v"), PutIf::Absent).await.unwrap();
    pair.push().await.unwrap();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_some());
    pair.above.delete(&address("key")).await.unwrap();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_none());
    pair.go_away();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_none());
}

/// The runs of some chunks as a door reads them.
async fn read_all(pair: &Pair, contents: &[Bytes]) -> Result<Vec<Bytes>, ErrorKind> {
    let hashes: Vec<_> = contents.iter().map(|content| ContentHash::of(content)).collect();
    let located = pair.node.locate(&support::namespace(), &hashes).await.map_err(|error| error.kind())?;
    let mut read = Vec::new();
    for place in located {
        let range = larder_base::ByteRange { offset: place.offset, length: Some(place.length) };
        let body = pair.node.read(place.segment, range).await.map_err(|error| error.kind())?;
        let Some(body) = body else { continue };
        let record = collect(body, 4 << 20).await.map_err(|error| error.kind())?;
        let header = larder_base::segment::RecordHeader::decode(record.first_chunk().unwrap()).unwrap();
        assert_eq!(header.hash, place.digest.hash);
        read.push(header.open_chunk(&record.slice(larder_base::segment::RECORD_HEADER_LEN..)).unwrap());
    }
    Ok(read)
}

#[tokio::test]
async fn chunks_from_above_are_read_once_and_kept() {
    let pair = Pair::new().await;
    let contents = contents(20);
    pair.put_above(&contents).await;
    assert_eq!(read_all(&pair, &contents).await.unwrap(), contents);
    let fetches = pair.fetches();
    assert!(fetches > 0);
    pair.go_away();
    assert_eq!(read_all(&pair, &contents).await.unwrap(), contents);
    assert_eq!(pair.fetches(), fetches);
}

#[tokio::test]
async fn two_who_read_the_same_at_once_have_it_fetched_once() {
    let pair = Pair::new().await;
    let contents = contents(1);
    pair.put_above(&contents).await;
    let gate = Gate::closed();
    pair.faults.add(Verb::ReadSegment, 1..=1, Fault::Hold(gate.clone()));
    let (one, other, ()) = tokio::join!(read_all(&pair, &contents), read_all(&pair, &contents), async {
        while pair.faults.calls(Verb::ReadSegment) == 0 {
            tokio::task::yield_now().await;
        }
        gate.open();
    });
    assert_eq!((one.unwrap(), other.unwrap()), (contents.clone(), contents));
    assert_eq!(pair.fetches(), 1);
}

#[tokio::test]
async fn wrong_bytes_from_above_are_never_served() {
    for lie in [Lie::Flip, Lie::Swap, Lie::Forge, Lie::Cut, Lie::Noise] {
        let pair = Pair::new().await;
        let contents = contents(6);
        pair.put_above(&contents).await;
        pair.lie(lie);
        // What does come is checked by `read_all`.
        let read = read_all(&pair, &contents).await;
        assert!(read.as_ref().is_err(), "{lie:?}: {read:?}");
        let hashes: Vec<_> = contents.iter().map(|content| ContentHash::of(content)).collect();
        let local = &pair.node.inner.local;
        let missing = local.blobs.missing(&support::namespace(), &hashes).await.unwrap();
        for (hash, content) in hashes.iter().zip(&contents).filter(|(hash, _)| !missing.contains(hash)) {
            let all = larder_base::ByteRange::ALL;
            let kept = local.blobs.get(&support::namespace(), hash, all).await.unwrap().unwrap();
            assert_eq!(collect(kept.body, 4 << 20).await.unwrap(), *content, "{lie:?}");
        }
        // And a blob that is asked for by name.
        let name = ContentHash::of(b"what it is asked for");
        let served = pair.node.tiers().blobs.get(&support::namespace(), &name, larder_base::ByteRange::ALL).await;
        assert!(matches!(served, Ok(None)), "{lie:?}");
    }
}

#[tokio::test]
async fn a_place_that_an_earlier_process_planned_is_none_of_this_one() {
    let pair = Pair::new().await;
    let contents = contents(2);
    pair.put_above(&contents).await;
    let [one, other] = [0, 1].map(|n: usize| ContentHash::of(&contents[n]));
    let before = pair.node.locate(&support::namespace(), &[one]).await.unwrap()[0];
    let later = pair.reopened().await;
    later.node.locate(&support::namespace(), &[other]).await.unwrap();
    assert!(later.node.read(before.segment, larder_base::ByteRange::ALL).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_has_no_upstream_given_up() {
    let pair = Pair::new().await;
    let contents = contents(6);
    pair.put_above(&contents).await;
    let hashes: Vec<_> = contents.iter().map(|content| ContentHash::of(content)).collect();
    let located = pair.node.locate(&support::namespace(), &hashes).await.unwrap();
    let (first, last) = (located.first().unwrap(), located.last().unwrap());
    let length = Some(last.offset + last.length - first.offset);
    let range = larder_base::ByteRange { offset: first.offset, length };
    let mut body = pair.node.read(first.segment, range).await.unwrap().unwrap();
    let mut came = 0;
    while let Some(record) = futures_util::StreamExt::next(&mut body).await {
        came += record.unwrap().len() as u64;
        tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    }
    assert_eq!(Some(came), length);
    assert!(pair.node.status().reachable);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_fails_is_asked_by_no_client_until_the_node_has_tried() {
    let pair = Pair::new().await;
    pair.go_away();
    for _ in 0..10 {
        assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_none());
    }
    assert_eq!(pair.faults.calls(Verb::GetEntry), 1);
    assert!(!pair.node.status().reachable);
    pair.come_back().await;
    assert!(pair.node.status().reachable);
    pair.node.get(&address("key"), Access::Serve).await.unwrap();
    assert_eq!(pair.faults.calls(Verb::GetEntry), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_five_seconds_at_most() {
    let pair = Pair::new().await;
    pair.faults.add(Verb::GetEntry, .., Fault::Hold(Gate::closed()));
    let start = tokio::time::Instant::now();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_none());
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_none());
    assert!(start.elapsed() <= super::ANSWER);
}

#[tokio::test]
async fn a_refusal_above_leaves_an_entry_here() {
    let pair = Pair::new().await;
    pair.faults.add(Verb::PutEntry, 1..=1, Fault::Fail(ErrorKind::Denied));
    pair.node.put(&address("key"), value("v"), PutIf::Absent).await.unwrap();
    pair.push().await.unwrap();
    let status = pair.node.status();
    assert_eq!((status.spool_entries, status.refused, status.pushed), (0, 1, 0));
    assert!(status.notes[0].starts_with("acme key: "), "{status:?}");
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_some());
    // The next start tries it again.
    let later = pair.reopened().await;
    later.push().await.unwrap();
    assert_eq!(later.node.status().pushed, 1);
}

/// Whether an entry is above.
async fn is_above(pair: &Pair, address: &larder_base::EntryAddress) -> bool {
    pair.above.get(address, Access::Check).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_is_not_taken_holds_up_its_own_entry_alone() {
    use ErrorKind::{Corrupt, Denied, Failed, Invalid, TooLarge};
    for kind in [Failed, Corrupt, Invalid, TooLarge, Denied] {
        let pair = Pair::new().await;
        let contents = contents(3);
        pair.put_here(&contents).await;
        for (key, content) in ["first", "bad", "last"].iter().zip(&contents) {
            let entry = linked(key, std::slice::from_ref(content));
            pair.node.put(&address(key), entry, PutIf::Absent).await.unwrap();
        }
        let elsewhere = support::address_in("elsewhere", "key");
        pair.node.put(&elsewhere, value("v"), PutIf::Absent).await.unwrap();
        pair.poison(&contents[1], kind);
        pair.work().await;
        let status = pair.node.status();
        assert_eq!((status.pushed, status.refused), (3, 1), "{kind:?}: {status:?}");
        assert!(status.notes[0].starts_with("acme bad: "), "{kind:?}: {status:?}");
        for (address, there) in [(address("first"), true), (address("bad"), false), (elsewhere, true)] {
            assert_eq!(is_above(&pair, &address).await, there, "{kind:?}: {}", address.key);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_breaks_the_connection_or_does_not_fit_keeps_waiting_behind_all_others() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Full] {
        let pair = Pair::new().await;
        let contents = contents(2);
        pair.put_here(&contents).await;
        pair.poison(&contents[0], kind);
        for (key, content) in ["bad", "good"].iter().zip(&contents) {
            let entry = linked(key, std::slice::from_ref(content));
            pair.node.put(&address(key), entry, PutIf::Absent).await.unwrap();
        }
        let elsewhere = support::address_in("elsewhere", "key");
        pair.node.put(&elsewhere, value("v"), PutIf::Absent).await.unwrap();
        pair.work_until(|status| status.spool_entries == 1).await;
        assert!(is_above(&pair, &address("good")).await && is_above(&pair, &elsewhere).await, "{kind:?}");
        // The times between its tries grow, so that it costs the upstream and the clients little.
        let sends = pair.refusals();
        pair.work_for(std::time::Duration::from_secs(3600)).await;
        let sends = pair.refusals() - sends;
        assert!((4..=70).contains(&sends), "{kind:?}: {sends}");
        let status = pair.node.status();
        assert_eq!((status.spool_entries, status.refused), (1, 0), "{kind:?}: {status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_here_holds_up_nothing_else() {
    for verb in [Verb::ReadSegment, Verb::GetEntry] {
        let pair = Pair::new().await;
        let contents = contents(1);
        let entry = pair.put_here(&contents).await;
        pair.node.put(&address("bad"), entry, PutIf::Absent).await.unwrap();
        let elsewhere = support::address_in("elsewhere", "key");
        pair.node.put(&elsewhere, value("v"), PutIf::Absent).await.unwrap();
        // Its first reading of an entry is of the one that waits first.
        let next = pair.here_faults.calls(verb) + 1;
        let calls = if verb == Verb::GetEntry { next..=next } else { next..=u64::MAX };
        pair.here_faults.add(verb, calls, Fault::Fail(ErrorKind::Failed));
        assert!(pair.node.push(pair.node.inner.spool.first(64)).await.is_err());
        pair.work().await;
        assert!(is_above(&pair, &elsewhere).await);
        let refused = usize::from(verb == Verb::ReadSegment);
        assert_eq!(pair.node.status().refused, refused, "{verb:?}: {:?}", pair.node.status());
    }
}

#[tokio::test]
async fn an_entry_found_above_is_kept_once_its_blobs_have_come() {
    let pair = Pair::new().await;
    let contents = contents(3);
    pair.put_above(&contents).await;
    pair.above.put(&address("key"), linked("v", &contents), PutIf::Absent).await.unwrap();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_some());
    assert_eq!(pair.node.status().copies_waiting, 1);
    read_all(&pair, &contents).await.unwrap();
    assert!(!pair.node.keep_copies().await);
    pair.go_away();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_some());
}
