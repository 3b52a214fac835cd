//! The promises of [`Blobs`].

mod missing;
mod putting;
mod reading;
mod wall;

use std::sync::Arc;

use bytes::Bytes;
use larder_base::{BlobStream, Blobs, ByteRange, ContentHash, Digest, Namespace, Result, collect};

use super::{Case, Keep, cases};
use crate::stream::in_pieces;

/// A fresh tier under test.
pub struct Subject {
    /// The tier; empty.
    pub blobs: Arc<dyn Blobs>,
    /// What it stands on.
    pub keep: Keep,
}

/// Runs the suite; `fresh` makes an empty tier for each case.
///
/// # Panics
/// When a promise is broken, naming each such case.
pub fn check(fresh: impl AsyncFn() -> Subject) {
    super::check("blobs", CASES, fresh);
}

const CASES: &[Case<Subject>] = cases![
    reading::an_absent_blob_is_none,
    reading::an_empty_blob_reads_back,
    reading::one_byte_reads_back,
    reading::a_blob_one_byte_below_a_full_chunk_reads_back,
    reading::a_blob_of_one_full_chunk_reads_back,
    reading::a_blob_one_byte_above_a_full_chunk_reads_back,
    reading::a_blob_of_several_chunks_reads_back,
    reading::a_blob_that_repeats_itself_reads_back,
    reading::every_range_of_a_small_blob_is_right,
    reading::every_range_of_an_empty_blob_is_empty,
    reading::ranges_at_every_edge_of_a_large_blob_are_right,
    reading::no_piece_is_longer_than_two_mebibytes,
    reading::a_reader_that_leaves_half_way_harms_nobody,
    putting::the_hash_and_the_size_need_not_be_known,
    putting::a_name_is_of_the_function_that_made_it,
    putting::pieces_may_be_of_any_length,
    putting::a_wrong_hash_is_invalid_and_leaves_nothing,
    putting::a_wrong_size_is_invalid_and_leaves_nothing,
    putting::a_body_longer_than_announced_is_not_read_to_its_end,
    putting::a_body_that_fails_half_way_leaves_nothing,
    putting::a_sender_that_hangs_up_half_way_leaves_nothing,
    putting::a_refused_blob_may_be_put_again_rightly,
    putting::a_blob_may_be_put_twice,
    putting::wrong_bytes_for_a_kept_blob_are_refused_and_harm_nothing,
    putting::concurrent_puts_of_one_blob_all_succeed,
    putting::a_bad_put_beside_a_good_one_harms_nothing,
    missing::nothing_asked_is_nothing_missing,
    missing::order_and_duplicates_are_kept,
    missing::a_blob_is_present_once_it_was_put,
    wall::a_blob_is_absent_in_every_other_namespace,
    wall::another_namespace_must_bring_the_bytes_itself,
    wall::a_blob_may_be_put_in_several_namespaces,
];

fn namespace(name: &str) -> Namespace {
    name.parse().expect("the suite's names are valid")
}

impl Subject {
    async fn put(&self, namespace: &Namespace, content: &Bytes) -> Digest {
        let stored = self.try_put(namespace, content, in_pieces(content, 100_000)).await.expect("a good put succeeds");
        assert_eq!(stored, Digest::of(content), "a put answers with the digest of what was put");
        stored
    }

    /// Puts `body` under the name of `content`.
    async fn try_put(&self, namespace: &Namespace, content: &Bytes, body: BlobStream) -> Result<Digest> {
        self.blobs.put(namespace, Some(&ContentHash::of(content)), Some(content.len() as u64), body).await
    }

    async fn read(&self, namespace: &Namespace, digest: Digest, range: ByteRange) -> Bytes {
        let blob = self.blobs.get(namespace, &digest.hash, range).await.expect("a get succeeds");
        let blob = blob.unwrap_or_else(|| panic!("{digest} should be present"));
        assert_eq!(blob.digest, digest, "a blob names itself, whatever the range");
        let limit = usize::try_from(digest.size).expect("the suite's blobs fit in memory");
        collect(blob.body, limit).await.expect("the body is whole and no longer than the blob")
    }

    /// That neither reading nor asking shows a blob of this name.
    async fn assert_absent(&self, namespace: &Namespace, hash: ContentHash, what: &str) {
        let blob = self.blobs.get(namespace, &hash, ByteRange::ALL).await.expect("a get succeeds");
        assert!(blob.is_none(), "{what} is there to be read");
        let missing = self.blobs.missing(namespace, &[hash]).await.expect("missing succeeds");
        assert_eq!(missing, [hash], "{what} is said to be present");
    }
}
