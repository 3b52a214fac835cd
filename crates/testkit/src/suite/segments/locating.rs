use bytes::Bytes;
use larder_base::chunk::MAX_LEN;
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{ByteRange, HashFunction};

use super::{Bench, hashes, namespace, part};
use crate::content::{noise, text};
use crate::segment;

pub(super) async fn what_is_located_can_be_read_and_opened(subject: Bench) {
    let ns = namespace("ns");
    for content in [Bytes::new(), noise(1, 1), text(2, 100_000), noise(3, MAX_LEN), text(4, MAX_LEN)] {
        let digest = subject.put_blob(&ns, &content).await;
        let located = subject.locate(&ns, &[digest.hash]).await;
        assert_eq!(located.len(), 1, "a blob of {} bytes", content.len());
        subject.assert_opens(&located[0], &content).await;
    }
}

pub(super) async fn adopted_chunks_can_be_read_and_opened(subject: Bench) {
    let contents = [noise(1, 3000), Bytes::new(), text(2, 100_000), noise(3, MAX_LEN)];
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    let located = subject.locate(&namespace("ns"), &hashes(&contents)).await;
    assert_eq!(located.len(), contents.len());
    for (located, content) in located.iter().zip(&contents) {
        subject.assert_opens(located, content).await;
    }
}

pub(super) async fn answers_are_in_the_order_asked(subject: Bench) {
    let ns = namespace("ns");
    let put: Vec<_> = (0..6).map(|seed| noise(seed, 500)).collect();
    for content in &put[..3] {
        subject.put_blob(&ns, content).await;
    }
    subject.receive(&part(1, 1), &segment::body(&put[3..])).await;
    assert!(subject.adopt(&ns, &part(1, 1)).await.is_some());
    let absent = HashFunction::TREE.hash(b"never put");
    let order = [4, 0, 5, 2, 3, 1].map(|at: usize| put[at].clone());
    let mut asked = hashes(&order);
    asked.insert(0, absent);
    asked.insert(4, absent);
    asked.push(absent);
    let located = subject.locate(&ns, &asked).await;
    let found: Vec<_> = located.iter().map(|located| located.digest.hash).collect();
    assert_eq!(found, hashes(&order));
    assert_eq!(subject.locate(&ns, &[]).await, []);
    for (located, content) in located.iter().zip(&order) {
        subject.assert_opens(located, content).await;
    }
}

pub(super) async fn a_blob_larger_than_a_chunk_is_left_out(subject: Bench) {
    let ns = namespace("ns");
    let large = subject.put_blob(&ns, &noise(1, MAX_LEN + 1)).await;
    let small = subject.put_blob(&ns, &noise(2, MAX_LEN)).await;
    let located = subject.locate(&ns, &[large.hash, small.hash]).await;
    let found: Vec<_> = located.iter().map(|located| located.digest).collect();
    assert_eq!(found, [small]);
}

pub(super) async fn only_the_namespace_of_a_blob_can_locate_it(subject: Bench) {
    let content = text(1, 3000);
    let digest = subject.put_blob(&namespace("ns"), &content).await;
    assert_eq!(subject.locate(&namespace("ns"), &[digest.hash]).await.len(), 1);
    for other in ["NS", "ns2", "n", "other"] {
        assert_eq!(subject.locate(&namespace(other), &[digest.hash]).await, [], "from {other}");
    }
    subject.put_blob(&namespace("other"), &content).await;
    let located = subject.locate(&namespace("other"), &[digest.hash]).await;
    subject.assert_opens(&located[0], &content).await;
}

pub(super) async fn a_range_of_a_segment_is_right(subject: Bench) {
    let contents = [noise(1, 3000), text(2, 9000)];
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    let located = subject.locate(&namespace("ns"), &hashes(&contents)).await;
    let segment = located[0].segment;
    let header = subject.read(segment, ByteRange { offset: 0, length: Some(SEGMENT_HEADER.len() as u64) }).await;
    assert_eq!(header[..], SEGMENT_HEADER);
    let whole = subject.read(segment, ByteRange::ALL).await;
    let ends = located[0].offset + located[0].length;
    for (offset, length) in [(0, 0), (0, 1), (1, 16), (15, 2), (located[0].offset, 64), (ends - 1, 2), (ends, 10)] {
        let range = ByteRange { offset, length: Some(length) };
        let expected = whole.slice(offset as usize..(offset + length) as usize);
        assert_eq!(subject.read(segment, range).await, expected, "{range:?}");
    }
}

pub(super) async fn a_segment_that_never_was_is_none(subject: Bench) {
    subject.put_blob(&namespace("ns"), &noise(1, 100)).await;
    for segment in [u64::MAX, u64::from(u32::MAX), 1_000_000_000] {
        let body = subject.segments.read(segment, ByteRange::ALL).await.expect("a read succeeds");
        assert!(body.is_none(), "segment {segment}");
    }
}
