//! The promises of [`Segments`].

mod adopting;
mod locating;
mod receiving;
mod refusing;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader, RecordKind};
use larder_base::{
    Adopted, Blobs, ByteRange, ContentHash, Digest, ErrorKind, HashFunction, Located, Namespace, PartName, Segments,
    UploadId, collect,
};

use parking_lot::Mutex;

use super::{Case, Keep, cases};
use crate::stream::in_pieces;

/// A fresh tier under test.
pub struct Subject {
    /// The tier; empty.
    pub segments: Arc<dyn Segments>,
    /// The blobs that it moves.
    pub blobs: Arc<dyn Blobs>,
    /// What it stands on.
    pub keep: Keep,
}

/// Runs the suite; `fresh` makes an empty tier for each case.
///
/// # Panics
/// When a promise is broken, naming each such case.
pub fn check(fresh: impl AsyncFn() -> Subject) {
    super::check("segments", CASES, async || Bench::new(fresh().await));
}

/// A tier under test, and how long the parts are that it received last.
struct Bench {
    segments: Arc<dyn Segments>,
    blobs: Arc<dyn Blobs>,
    lengths: Mutex<HashMap<PartName, u64>>,
    _keep: Keep,
}

const CASES: &[Case<Bench>] = cases![
    receiving::a_received_part_waits_and_shows_nothing,
    receiving::a_part_of_another_length_than_announced_is_invalid,
    receiving::a_part_that_fails_half_way_does_not_wait,
    receiving::a_sender_that_hangs_up_leaves_no_part,
    receiving::a_part_received_again_replaces_the_first,
    receiving::a_second_receipt_that_fails_is_not_mixed_with_the_first,
    receiving::waiting_parts_are_listed_by_upload_and_in_all,
    receiving::discarding_forgets_the_parts_of_one_upload,
    adopting::the_chunks_of_an_adopted_part_are_present,
    adopting::every_part_of_an_upload_is_adopted_by_itself,
    adopting::a_part_is_adopted_once,
    adopting::of_two_that_adopt_one_part_one_does,
    adopting::a_part_that_does_not_wait_is_none,
    adopting::only_the_adopting_namespace_sees_the_chunks,
    adopting::chunks_that_are_already_there_may_come_again,
    adopting::discarding_leaves_what_was_adopted,
    refusing::a_flaw_in_any_record_refuses_the_whole_part,
    refusing::a_part_of_another_length_than_announced_is_not_adopted,
    refusing::a_part_without_its_segment_header_is_refused,
    refusing::a_refused_part_waits_and_may_be_replaced,
    locating::what_is_located_can_be_read_and_opened,
    locating::adopted_chunks_can_be_read_and_opened,
    locating::answers_are_in_the_order_asked,
    locating::a_blob_larger_than_a_chunk_is_left_out,
    locating::only_the_namespace_of_a_blob_can_locate_it,
    locating::a_range_of_a_segment_is_right,
    locating::a_segment_that_never_was_is_none,
];

fn namespace(name: &str) -> Namespace {
    name.parse().expect("the suite's names are valid")
}

fn part(upload: u8, number: u32) -> PartName {
    PartName { upload: UploadId::from_random([upload; 16]), number }
}

fn hashes(contents: &[Bytes]) -> Vec<ContentHash> {
    contents.iter().map(|content| HashFunction::TREE.hash(content)).collect()
}

impl Bench {
    fn new(Subject { segments, blobs, keep }: Subject) -> Self {
        Self { segments, blobs, lengths: Mutex::default(), _keep: keep }
    }

    async fn receive(&self, part: &PartName, body: &Bytes) {
        self.lengths.lock().insert(part.clone(), body.len() as u64);
        let received = self.segments.receive(part, body.len() as u64, in_pieces(body, 10_000)).await;
        received.expect("a part of the announced length is received");
    }

    async fn adopt(&self, namespace: &Namespace, part: &PartName) -> Option<Adopted> {
        self.segments.adopt(namespace, part, self.length(part)).await.expect("a good part is adopted")
    }

    /// The length of a part as it was last announced; that of a part that never was is any.
    fn length(&self, part: &PartName) -> u64 {
        self.lengths.lock().get(part).copied().unwrap_or(1000)
    }

    async fn assert_refused(&self, namespace: &Namespace, part: &PartName, why: &str) {
        let refused = self.segments.adopt(namespace, part, self.length(part)).await.map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::Invalid), "{why}");
    }

    /// The parts that wait, in the order of names.
    async fn waiting(&self, upload: Option<&UploadId>) -> Vec<PartName> {
        let mut waiting = self.segments.waiting(upload).await.expect("waiting succeeds");
        waiting.sort_unstable();
        waiting
    }

    async fn locate(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Vec<Located> {
        self.segments.locate(namespace, hashes).await.expect("locate succeeds")
    }

    async fn assert_absent(&self, namespace: &Namespace, contents: &[Bytes], why: &str) {
        let hashes = hashes(contents);
        let missing = self.blobs.missing(namespace, &hashes).await.expect("missing succeeds");
        assert_eq!(missing, hashes, "{why}: present in {namespace}");
        for hash in &hashes {
            let blob = self.blobs.get(namespace, hash, ByteRange::ALL).await.expect("a get succeeds");
            assert!(blob.is_none(), "{why}: readable in {namespace}");
        }
        assert_eq!(self.locate(namespace, &hashes).await, [], "{why}: located in {namespace}");
    }

    async fn assert_present(&self, namespace: &Namespace, contents: &[Bytes]) {
        let missing = self.blobs.missing(namespace, &hashes(contents)).await.expect("missing succeeds");
        assert_eq!(missing, [], "absent in {namespace}");
        for content in contents {
            let digest = Digest::by(HashFunction::TREE, content);
            let blob = self.blobs.get(namespace, &digest.hash, ByteRange::ALL).await.expect("a get succeeds");
            let blob = blob.unwrap_or_else(|| panic!("{digest} cannot be read"));
            assert_eq!(blob.digest, digest);
            let read = collect(blob.body, content.len()).await.expect("the body is whole");
            assert!(read == *content, "{digest} reads back as something else");
        }
    }

    async fn put_blob(&self, namespace: &Namespace, content: &Bytes) -> Digest {
        let name = HashFunction::TREE.hash(content);
        self.blobs.put(namespace, Some(&name), None, in_pieces(content, 100_000)).await.expect("a good put succeeds")
    }

    async fn read(&self, segment: u64, range: ByteRange) -> Bytes {
        let body = self.segments.read(segment, range).await.expect("a read succeeds");
        let body = body.expect("what was located stays there");
        collect(body, 64 * 1024 * 1024).await.expect("the body is whole")
    }

    /// That where the blob is said to lie, its record does, and that it opens.
    async fn assert_opens(&self, located: &Located, content: &Bytes) {
        assert_eq!(located.digest, Digest::by(HashFunction::TREE, content), "another blob was located");
        let record =
            self.read(located.segment, ByteRange { offset: located.offset, length: Some(located.length) }).await;
        assert_eq!(record.len() as u64, located.length, "the record is cut");
        let header = record.first_chunk::<RECORD_HEADER_LEN>().expect("a record has a header");
        let header = RecordHeader::decode(header).expect("the header is whole");
        assert_eq!((header.kind, header.hash), (RecordKind::Chunk, located.digest.hash));
        assert_eq!(header.record_len(), located.length, "the record is longer than it says");
        let opened = header.open_chunk(&record.slice(RECORD_HEADER_LEN..)).expect("the record opens");
        assert!(opened == *content, "the record opens to something else");
    }
}
