//! What goes up before its entry.

use bytes::Bytes;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{
    Access, ContentHash, Digest, Entries, ErrorKind, HashFunction, Located, PartName, PutIf, PutOutcome, Segments,
    UploadId, stream_of,
};
use larder_testkit::content::noise;
use larder_testkit::faulty::{Fault, Verb};
use larder_testkit::segment::{self, Flaw};

use super::support::{Pair, address, linked, namespace};
use crate::node::early::{Names, PART_CHUNKS_MAX};
use crate::node::push::{SEGMENT_BYTES, groups};

fn part(number: u32) -> PartName {
    PartName { upload: UploadId::from_random([3; 16]), number }
}

fn contents() -> Vec<Bytes> {
    (0..4).map(|n| noise(n, 100_000 + n as usize)).collect()
}

fn hashes() -> Vec<ContentHash> {
    contents().iter().map(|content| HashFunction::TREE.hash(content)).collect()
}

async fn receive(pair: &Pair, segment: &Bytes) {
    pair.node.receive(&part(1), segment.len() as u64, stream_of(segment.clone())).await.unwrap();
}

async fn missing_above(pair: &Pair) -> usize {
    larder_base::Blobs::missing(&pair.above, &namespace(), &hashes()).await.unwrap().len()
}

/// The entry of a save that brought these chunks.
async fn put_entry(pair: &Pair) {
    let mut entry = linked("v", &[]);
    entry.links = hashes().into();
    let outcome = pair.node.put(&address("key"), entry, PutIf::Absent).await.unwrap();
    assert!(matches!(outcome, PutOutcome::Stored(_)), "{outcome:?}");
}

async fn is_above(pair: &Pair) -> bool {
    pair.above.get(&address("key"), Access::Serve).await.unwrap().is_some()
}

#[tokio::test]
async fn chunks_go_up_when_their_part_is_verified_and_not_again_with_their_entry() {
    let pair = Pair::new().await;
    let segment = segment::body(&contents());
    receive(&pair, &segment).await;
    pair.step().await;
    assert_eq!((missing_above(&pair).await, pair.sends()), (4, 0), "what is not verified goes nowhere");
    pair.node.adopt(&namespace(), &part(1), segment.len() as u64).await.unwrap().unwrap();
    pair.step().await;
    assert_eq!((missing_above(&pair).await, pair.sends()), (0, 1));
    put_entry(&pair).await;
    pair.push().await.unwrap();
    assert!(is_above(&pair).await);
    assert_eq!(pair.sends(), 1);
}

#[tokio::test]
async fn a_part_that_is_refused_or_given_up_sends_nothing() {
    let pair = Pair::new().await;
    let damaged = segment::damaged(&contents(), 2, Flaw::WrongName);
    receive(&pair, &damaged).await;
    let refused = pair.node.adopt(&namespace(), &part(1), damaged.len() as u64).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    pair.step().await;
    receive(&pair, &segment::body(&contents())).await;
    pair.node.discard(&part(1).upload).await.unwrap();
    pair.step().await;
    assert_eq!((missing_above(&pair).await, pair.sends()), (4, 0));
}

#[tokio::test]
async fn a_head_start_that_fails_costs_the_entry_nothing() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Denied, ErrorKind::Full] {
        let pair = Pair::new().await;
        let segment = segment::body(&contents());
        receive(&pair, &segment).await;
        pair.node.adopt(&namespace(), &part(1), segment.len() as u64).await.unwrap().unwrap();
        pair.faults.add(Verb::MissingBlobs, 1..=1, Fault::Fail(kind));
        pair.step().await;
        assert_eq!(missing_above(&pair).await, 4, "{kind:?}");
        // The next part is not tried at once.
        receive(&pair, &segment).await;
        pair.node.adopt(&namespace(), &part(1), segment.len() as u64).await.unwrap().unwrap();
        pair.step().await;
        assert_eq!(pair.faults.calls(Verb::MissingBlobs), 1, "{kind:?}");
        put_entry(&pair).await;
        pair.come_back().await;
        pair.push().await.unwrap();
        assert!(is_above(&pair).await, "{kind:?}");
        let status = pair.node.status();
        assert_eq!((status.refused, status.conflicts, status.spool_entries), (0, 0, 0), "{kind:?}: {status:?}");
    }
}

#[test]
fn the_names_in_a_segment_are_seen_however_it_comes() {
    let segment = segment::body(&contents());
    for length in [1, 7, 63, 64, 65, 1000, 99_999, segment.len()] {
        let mut names = Names::default();
        segment.chunks(length).for_each(|piece| names.see(piece));
        assert_eq!(names.chunks(), hashes(), "in pieces of {length}");
    }
    for flaw in [Flaw::FlippedHeader, Flaw::GarbageAfter] {
        let mut names = Names::default();
        let damaged = segment::damaged(&contents(), 1, flaw);
        damaged.chunks(5000).for_each(|piece| names.see(piece));
        assert_eq!(names.chunks(), [], "{flaw:?}");
    }
}

#[test]
fn of_a_part_with_more_chunks_than_can_be_adopted_no_name_is_kept() {
    let record = segment::body(&contents()[..1])[SEGMENT_HEADER.len()..].to_vec();
    for (count, kept) in [(PART_CHUNKS_MAX, PART_CHUNKS_MAX), (PART_CHUNKS_MAX + 1, 0)] {
        let mut names = Names::default();
        names.see(&SEGMENT_HEADER);
        (0..count).for_each(|_| names.see(&record));
        assert_eq!(names.chunks().len(), kept);
    }
}

#[test]
fn segments_have_about_equal_shares_and_together_all_records_in_order() {
    for (count, length) in [(0, 64), (1, 64), (1, 2 << 20), (300, 123_456), (9, 2 << 20), (16, 1 << 20), (17, 1 << 20)]
    {
        let record = |number| Located {
            digest: Digest { hash: ContentHash::of(b""), size: length },
            segment: 1,
            offset: number * length,
            length,
        };
        let located: Vec<_> = (0..count).map(record).collect();
        let groups = groups(&located);
        assert_eq!(groups.concat(), located);
        let sizes: Vec<u64> = groups.iter().map(|group| group.len() as u64 * length).collect();
        assert!(sizes.iter().all(|size| (1..SEGMENT_BYTES + length).contains(size)), "{sizes:?}");
        let (least, most) = (sizes.iter().min(), sizes.iter().max());
        assert!(least.zip(most).is_none_or(|(least, most)| most - least <= 2 * length), "{sizes:?}");
        assert_eq!(groups.len() as u64, (count * length).div_ceil(SEGMENT_BYTES));
    }
}
