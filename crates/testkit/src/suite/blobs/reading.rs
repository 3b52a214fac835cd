use bytes::Bytes;
use futures_util::StreamExt as _;
use larder_base::chunk::{Cutter, MAX_LEN};
use larder_base::{ByteRange, ContentHash, Digest};

use super::{Subject, namespace};
use crate::content::{noise, text};

pub(super) async fn an_absent_blob_is_none(subject: Subject) {
    subject.assert_absent(&namespace("ns"), ContentHash::of(b"never put"), "a blob never put").await;
    subject.assert_absent(&namespace("ns"), ContentHash::of(b""), "the empty blob, never put,").await;
}

pub(super) async fn an_empty_blob_reads_back(subject: Subject) {
    reads_back(subject, Bytes::new()).await;
}

pub(super) async fn one_byte_reads_back(subject: Subject) {
    reads_back(subject, Bytes::from_static(b"x")).await;
}

pub(super) async fn a_blob_one_byte_below_a_full_chunk_reads_back(subject: Subject) {
    reads_back(subject, noise(1, MAX_LEN - 1)).await;
}

pub(super) async fn a_blob_of_one_full_chunk_reads_back(subject: Subject) {
    reads_back(subject, noise(1, MAX_LEN)).await;
}

pub(super) async fn a_blob_one_byte_above_a_full_chunk_reads_back(subject: Subject) {
    reads_back(subject, noise(1, MAX_LEN + 1)).await;
}

pub(super) async fn a_blob_of_several_chunks_reads_back(subject: Subject) {
    reads_back(subject, noise(1, 3 * MAX_LEN + 7)).await;
}

/// Its chunks are equal to one another and compress to almost nothing.
pub(super) async fn a_blob_that_repeats_itself_reads_back(subject: Subject) {
    reads_back(subject, text(1, 3 * MAX_LEN + 7)).await;
}

pub(super) async fn every_range_of_a_small_blob_is_right(subject: Subject) {
    let content = noise(1, 10);
    subject.put(&namespace("ns"), &content).await;
    let lengths: Vec<_> = (0..=12).chain([u64::MAX]).map(Some).chain([None]).collect();
    for offset in (0..=12).chain([u64::MAX]) {
        for length in &lengths {
            range_is_right(&subject, &content, ByteRange { offset, length: *length }).await;
        }
    }
}

pub(super) async fn every_range_of_an_empty_blob_is_empty(subject: Subject) {
    let content = Bytes::new();
    subject.put(&namespace("ns"), &content).await;
    for offset in [0, 1, u64::MAX] {
        for length in [None, Some(0), Some(1), Some(u64::MAX)] {
            range_is_right(&subject, &content, ByteRange { offset, length }).await;
        }
    }
}

pub(super) async fn ranges_at_every_edge_of_a_large_blob_are_right(subject: Subject) {
    let content = noise(1, 2 * MAX_LEN + 7);
    subject.put(&namespace("ns"), &content).await;
    let edges = edges_of(&content);
    assert!(edges.len() > 9, "the suite's blob has several chunks");
    for (at, offset) in edges.iter().enumerate() {
        let to_edges = edges[at..].iter().map(|end| Some(end - offset));
        for length in to_edges.chain([None, Some(u64::MAX)]) {
            range_is_right(&subject, &content, ByteRange { offset: *offset, length }).await;
        }
    }
}

pub(super) async fn no_piece_is_longer_than_two_mebibytes(subject: Subject) {
    let ns = namespace("ns");
    for content in [noise(1, MAX_LEN), noise(2, 3 * MAX_LEN)] {
        let digest = subject.put(&ns, &content).await;
        let blob = subject.blobs.get(&ns, &digest.hash, ByteRange::ALL).await.expect("a get succeeds");
        let mut body = blob.expect("it was put").body;
        while let Some(piece) = body.next().await {
            let len = piece.expect("the body is whole").len();
            assert!(len <= 2 * 1024 * 1024, "a piece of {len} bytes");
        }
    }
}

pub(super) async fn a_reader_that_leaves_half_way_harms_nobody(subject: Subject) {
    let ns = namespace("ns");
    let content = noise(1, 3 * MAX_LEN);
    let digest = subject.put(&ns, &content).await;
    for _ in 0..20 {
        let blob = subject.blobs.get(&ns, &digest.hash, ByteRange::ALL).await.expect("a get succeeds");
        let mut body = blob.expect("it was put").body;
        body.next().await.expect("the body is not empty").expect("the body is whole");
    }
    assert_eq!(subject.read(&ns, digest, ByteRange::ALL).await, content);
}

async fn reads_back(subject: Subject, content: Bytes) {
    let ns = namespace("ns");
    let digest = subject.put(&ns, &content).await;
    let read = subject.read(&ns, digest, ByteRange::ALL).await;
    // Compared as a whole, megabytes would be printed.
    assert!(read == content, "{} bytes were put and other {} bytes read", content.len(), read.len());
}

async fn range_is_right(subject: &Subject, content: &Bytes, range: ByteRange) {
    let read = subject.read(&namespace("ns"), Digest::of(content), range).await;
    let (offset, length) = range.within(content.len() as u64);
    let asked = content.slice(offset as usize..(offset + length) as usize);
    assert!(read == asked, "{range:?} gives other {} bytes than the {} asked for", read.len(), asked.len());
}

/// The ends of the blob, of its chunks and of the longest pieces, and the bytes beside them, in order.
fn edges_of(content: &Bytes) -> Vec<u64> {
    let mut cutter = Cutter::new();
    cutter.push(content);
    let mut ends = vec![0, MAX_LEN as u64, content.len() as u64];
    let mut at = 0;
    let mut note = |chunk: Bytes| {
        at += chunk.len() as u64;
        ends.push(at);
    };
    while let Some(chunk) = cutter.next_chunk() {
        note(chunk);
    }
    cutter.finish().into_iter().for_each(&mut note);
    let mut edges: Vec<u64> = ends.iter().flat_map(|end| [end.saturating_sub(1), *end, end + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}
