//! What a reader got before the node proved it.

use std::time::Duration;

use bytes::Bytes;
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader};
use larder_base::{
    Access, ByteRange, ContentHash, Entries, ErrorKind, PartName, PutIf, PutOutcome, Segments, UploadId, collect,
};
use larder_testkit::content::noise;
use larder_testkit::faulty::{Fault, Gate, Verb};

use super::support::{Lie, Pair, UNPROVED_MAX, address, linked, namespace};
use crate::jobs::{Job, Next};
use crate::node::unproved::{Proving, Unproved};

/// Chunks that are more than a megabyte together, and so a part of their own when they are read at once.
fn large(seed: u64) -> Vec<Bytes> {
    (0..4).map(|n| noise(seed * 100 + n, 400_000)).collect()
}

fn hashes(contents: &[Bytes]) -> Vec<ContentHash> {
    contents.iter().map(|content| ContentHash::of(content)).collect()
}

/// All chunks as one run, as a door reads them that verifies nothing.
async fn read_run(pair: &Pair, contents: &[Bytes]) -> Result<Bytes, ErrorKind> {
    let located = pair.node.locate(&namespace(), &hashes(contents)).await.map_err(|error| error.kind())?;
    let (Some(first), Some(last)) = (located.first(), located.last()) else { return Ok(Bytes::new()) };
    let range = ByteRange { offset: first.offset, length: Some(last.offset + last.length - first.offset) };
    let body = pair.node.read(first.segment, range).await.map_err(|error| error.kind())?;
    collect(body.expect("it was located just now"), 16 << 20).await.map_err(|error| error.kind())
}

/// Whether each record of a run has the content that its name says.
fn are_right(run: &Bytes) -> Vec<bool> {
    let (mut rest, mut right) = (run.clone(), Vec::new());
    while !rest.is_empty() {
        let header = RecordHeader::decode(rest.first_chunk().unwrap()).unwrap();
        let record = rest.split_to(header.record_len() as usize);
        right.push(header.open_chunk(&record.slice(RECORD_HEADER_LEN..)).is_ok());
    }
    right
}

/// Those of the chunks that the local store has, whatever the node says.
async fn missing_in_store(pair: &Pair, contents: &[Bytes]) -> usize {
    pair.node.inner.local.blobs.missing(&namespace(), &hashes(contents)).await.unwrap().len()
}

async fn missing(pair: &Pair, contents: &[Bytes]) -> usize {
    pair.node.tiers().blobs.missing(&namespace(), &hashes(contents)).await.unwrap().len()
}

async fn content(pair: &Pair, hash: &ContentHash) -> Option<Bytes> {
    let blob = pair.node.tiers().blobs.get(&namespace(), hash, ByteRange::ALL).await.unwrap()?;
    Some(collect(blob.body, 4 << 20).await.unwrap())
}

#[tokio::test]
async fn what_came_is_not_here_until_somebody_asks_for_it() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    let run = read_run(&pair, &contents).await.unwrap();
    assert_eq!(are_right(&run), [true; 4]);
    assert_eq!(missing_in_store(&pair, &contents).await, 4);
    assert!(pair.node.status().bytes_unproved > run.len() as u64);
    // A save that asks what it need not send.
    assert_eq!(missing(&pair, &contents).await, 0);
    assert_eq!((missing_in_store(&pair, &contents).await, pair.node.status().bytes_unproved), (0, 0));
    assert_eq!(pair.fetches(), 1);
}

#[tokio::test]
async fn whoever_asks_for_a_chunk_by_name_or_place_has_it_without_another_fetch() {
    let by_name = Pair::new().await;
    let contents = large(1);
    by_name.put_above(&contents).await;
    read_run(&by_name, &contents).await.unwrap();
    by_name.go_away();
    assert_eq!(content(&by_name, &hashes(&contents)[2]).await.as_ref(), Some(&contents[2]));

    let by_place = Pair::new().await;
    by_place.put_above(&contents).await;
    read_run(&by_place, &contents).await.unwrap();
    by_place.go_away();
    for place in by_place.node.locate(&namespace(), &hashes(&contents)).await.unwrap() {
        let range = ByteRange { offset: place.offset, length: Some(place.length) };
        let record = by_place.node.read(place.segment, range).await.unwrap().unwrap();
        assert_eq!(are_right(&collect(record, 4 << 20).await.unwrap()), [true]);
    }
    assert_eq!((by_name.fetches(), by_place.fetches()), (1, 1));
}

#[tokio::test]
async fn an_entry_that_needs_what_came_is_whole() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    read_run(&pair, &contents).await.unwrap();
    pair.go_away();
    let stored = pair.node.put(&address("key"), linked("v", &contents), PutIf::Absent).await.unwrap();
    assert!(matches!(stored, PutOutcome::Stored(_)), "{stored:?}");
}

#[tokio::test]
async fn what_was_forged_above_is_believed_by_nobody_but_who_checks_it() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    pair.lie(Lie::Forge);
    // The reader sees it for what it is.
    assert_eq!(are_right(&read_run(&pair, &contents).await.unwrap()), [false; 4]);
    assert!(pair.node.status().reachable);
    // To a save it is missing, by name it is a miss, and located again it is absent: there is no second try of the same bytes.
    assert_eq!(missing(&pair, &contents).await, 4);
    let status = pair.node.status();
    assert_eq!((status.bad_answers, status.bytes_unproved, status.reachable), (1, 0, false), "{status:?}");
    assert_eq!(content(&pair, &hashes(&contents)[0]).await, None);
    assert_eq!(read_run(&pair, &contents).await.unwrap(), Bytes::new());
    assert!(pair.node.waiting(None).await.unwrap().is_empty(), "the part is gone");
    // An entry that needs it is not taken, and one that was saved with the bytes goes up with the right ones.
    let entry = linked("v", &contents);
    let outcome = pair.node.put(&address("key"), entry.clone(), PutIf::Absent).await.unwrap();
    assert!(matches!(outcome, PutOutcome::Incomplete(_)), "{outcome:?}");
    let others = large(2);
    let entry = pair.put_here(&others).await;
    pair.node.put(&address("key"), entry, PutIf::Absent).await.unwrap();
    pair.tell_the_truth();
    pair.come_back().await;
    pair.push().await.unwrap();
    assert!(pair.above.get(&address("key"), Access::Serve).await.unwrap().is_some());
    // Fetched again, it is what it is to be.
    assert_eq!(are_right(&read_run(&pair, &contents).await.unwrap()), [true; 4]);
    assert_eq!(missing(&pair, &contents).await, 0);
}

#[tokio::test]
async fn bytes_that_a_client_sends_are_not_taken_for_those_that_came_forged() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    pair.lie(Lie::Forge);
    read_run(&pair, &contents).await.unwrap();
    let entry = pair.put_here(&contents).await;
    assert_eq!(missing(&pair, &contents).await, 0, "what was sent is here");
    assert_eq!(pair.node.status().bad_answers, 1);
    for (hash, sent) in hashes(&contents).iter().zip(&contents) {
        assert_eq!(content(&pair, hash).await.as_ref(), Some(sent));
    }
    let stored = pair.node.put(&address("key"), entry, PutIf::Absent).await.unwrap();
    assert!(matches!(stored, PutOutcome::Stored(_)), "{stored:?}");
}

#[tokio::test]
async fn what_was_passed_on_last_in_a_run_is_checked_by_its_checksum_as_the_first_is() {
    for lie in [Lie::Flip, Lie::Swap, Lie::Cut, Lie::Noise] {
        let pair = Pair::new().await;
        let contents = large(1);
        pair.put_above(&contents).await;
        pair.lie(lie);
        assert!(read_run(&pair, &contents).await.is_err(), "{lie:?}");
        assert_eq!(pair.node.status().bytes_unproved, 0, "{lie:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_is_proved_unasked_once_nothing_is_fetched() {
    let pair = Pair::new().await;
    let (contents, others) = (large(1), large(2));
    pair.put_above(&contents).await;
    pair.put_above(&others).await;
    pair.above.put(&address("key"), linked("v", &contents), PutIf::Absent).await.unwrap();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_some());
    let job = Proving::new(pair.node.clone());
    assert!(matches!(job.step().await.unwrap(), Next::After(_)), "there is nothing to do");
    read_run(&pair, &contents).await.unwrap();
    assert!(pair.node.keep_copies().await, "the entry waits for what is not here yet");
    // As long as another run is on its way nothing is proved.
    let place = pair.node.locate(&namespace(), &hashes(&others)).await.unwrap()[0];
    let mut body = pair.node.read(place.segment, ByteRange::ALL).await.unwrap();
    assert!(body.is_none(), "a plan is read by exact ranges");
    let range = ByteRange { offset: place.offset, length: Some(place.length) };
    body = pair.node.read(place.segment, range).await.unwrap();
    for _ in 0..10 {
        let Next::Soon(pause) = job.step().await.unwrap() else { panic!("it is not left alone") };
        tokio::time::advance(pause).await;
    }
    assert_eq!(missing_in_store(&pair, &contents).await, 4);
    drop(body);
    let Next::Soon(pause) = job.step().await.unwrap() else { panic!("the next question may come at once") };
    tokio::time::advance(pause).await;
    while matches!(job.step().await.unwrap(), Next::Now) {}
    assert_eq!((missing_in_store(&pair, &contents).await, pair.node.status().bytes_unproved), (0, 0));
    // The entry waited for no more than that.
    assert!(!pair.node.keep_copies().await);
    pair.go_away();
    assert!(pair.node.get(&address("key"), Access::Serve).await.unwrap().is_some());
}

#[tokio::test]
async fn no_more_waits_to_be_proved_than_may() {
    let pair = Pair::new().await;
    let mut contents = Vec::new();
    for seed in 0..2 * UNPROVED_MAX / 1_600_000 {
        contents.extend(large(seed));
        pair.put_above(&large(seed)).await;
        read_run(&pair, &large(seed)).await.unwrap();
        assert!(pair.node.status().bytes_unproved <= UNPROVED_MAX);
    }
    let there = contents.len() - missing_in_store(&pair, &contents).await;
    assert!(there >= contents.len() / 4, "{there} of {}", contents.len());
}

#[tokio::test(start_paused = true)]
async fn when_what_waits_is_not_proved_in_time_no_more_is_kept_and_the_reader_gets_its_bytes() {
    let pair = Pair::new().await;
    let gate = Gate::closed();
    pair.here_faults.add(Verb::AdoptPart, 1..=9, Fault::Hold(gate.clone()));
    for seed in 0..2 * UNPROVED_MAX / 1_600_000 {
        pair.put_above(&large(seed)).await;
        let start = tokio::time::Instant::now();
        assert_eq!(are_right(&read_run(&pair, &large(seed)).await.unwrap()), [true; 4]);
        assert!(start.elapsed() <= Duration::from_secs(3));
        assert!(pair.node.status().bytes_unproved <= UNPROVED_MAX);
    }
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_ends_keeps_what_came_from_being_proved_for_a_minute_at_most() {
    let pair = Pair::new().await;
    let (contents, others) = (large(1), large(2));
    pair.put_above(&contents).await;
    pair.put_above(&others).await;
    read_run(&pair, &contents).await.unwrap();
    let place = pair.node.locate(&namespace(), &hashes(&others)).await.unwrap()[0];
    let range = ByteRange { offset: place.offset, length: Some(place.length) };
    let _never_read = pair.node.read(place.segment, range).await.unwrap();
    let job = Proving::new(pair.node.clone());
    let start = tokio::time::Instant::now();
    while pair.node.status().bytes_unproved > 0 {
        if let Next::Soon(pause) = job.step().await.unwrap() {
            tokio::time::advance(pause).await;
        }
        assert!(start.elapsed() <= Duration::from_secs(61));
    }
    assert!(start.elapsed() >= Duration::from_secs(59), "it is left alone while it may be part of a restore");
}

#[test]
fn a_part_whose_fetch_is_given_up_is_left_to_the_sweep() {
    let unproved = Unproved::new(UNPROVED_MAX);
    let part = |number| PartName { upload: UploadId::from_random([7; 16]), number };
    let (given_up, arrived) = (unproved.expect(&part(0)), unproved.expect(&part(1)));
    assert!(unproved.is_ours(&part(0)) && unproved.is_ours(&part(1)));
    drop(given_up);
    arrived.arrived(&namespace(), 9, Vec::new());
    assert!(!unproved.is_ours(&part(0)) && unproved.is_ours(&part(1)));
    assert_eq!(unproved.bytes(), 9);
}

#[tokio::test]
async fn what_a_process_left_unproved_is_nobody_s_and_is_fetched_again() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    read_run(&pair, &contents).await.unwrap();
    assert!(pair.node.waiting(None).await.unwrap().is_empty(), "what is in use is not to be swept");
    let later = pair.reopened().await;
    assert_eq!(later.node.waiting(None).await.unwrap().len(), 1, "what nobody will use is");
    assert_eq!(missing(&later, &contents).await, 4);
    assert_eq!(are_right(&read_run(&later, &contents).await.unwrap()), [true; 4]);
    assert_eq!(later.fetches(), 2);
    assert_eq!(missing(&later, &contents).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_takes_long_keeps_no_client_waiting() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    read_run(&pair, &contents).await.unwrap();
    let gate = Gate::closed();
    pair.here_faults.add(Verb::AdoptPart, 1..=1, Fault::Hold(gate.clone()));
    let start = tokio::time::Instant::now();
    assert_eq!(missing(&pair, &contents).await, 4);
    assert!(start.elapsed() <= Duration::from_secs(3));
    gate.open();
    assert_eq!(missing(&pair, &contents).await, 0);
}

#[tokio::test]
async fn what_cannot_be_put_by_or_proved_is_passed_on_all_the_same() {
    for verb in [Verb::ReceivePart, Verb::AdoptPart] {
        let pair = Pair::new().await;
        let contents = large(1);
        pair.put_above(&contents).await;
        pair.here_faults.add(verb, 1..=1, Fault::Fail(ErrorKind::Full));
        assert_eq!(are_right(&read_run(&pair, &contents).await.unwrap()), [true; 4], "{verb:?}");
        assert_eq!(missing(&pair, &contents).await, 4, "{verb:?}");
        let status = pair.node.status();
        assert_eq!((status.bytes_unproved, status.bad_answers, status.reachable), (0, 0, true), "{verb:?}: {status:?}");
        let there = pair.node.inner.local.segments.waiting(None).await.unwrap();
        assert!(there.is_empty(), "{verb:?}: {there:?}");
        // The next try keeps it.
        read_run(&pair, &contents).await.unwrap();
        assert_eq!(missing(&pair, &contents).await, 0, "{verb:?}");
    }
}

#[tokio::test]
async fn two_who_want_the_same_run_at_once_have_it_fetched_once() {
    let pair = Pair::new().await;
    let contents = large(1);
    pair.put_above(&contents).await;
    let (one, other) = tokio::join!(read_run(&pair, &contents), read_run(&pair, &contents));
    assert_eq!((are_right(&one.unwrap()), are_right(&other.unwrap())), (vec![true; 4], vec![true; 4]));
    assert_eq!(pair.fetches(), 1);
}
