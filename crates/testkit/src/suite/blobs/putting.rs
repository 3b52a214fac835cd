use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use larder_base::chunk::{Cutter, MAX_LEN};
use larder_base::{ByteRange, ContentHash, Digest, ErrorKind, HashFunction, Namespace};

use super::{Subject, namespace};
use crate::content::noise;
use crate::stream::{counted, in_pieces, then_failing, then_stalling, with_empty_pieces};

pub(super) async fn the_hash_and_the_size_need_not_be_known(subject: Subject) {
    let ns = namespace("ns");
    for (seed, len) in [(1, 0), (2, 1), (3, 5000), (4, MAX_LEN), (5, MAX_LEN + 1)] {
        let content = noise(seed, len);
        let digest = Digest::of(&content);
        for (hash, size) in [(None, None), (None, Some(digest.size)), (Some(&digest.hash), None)] {
            let stored = subject.blobs.put(&ns, hash, size, in_pieces(&content, 100_000)).await;
            assert_eq!(stored.expect("the put is good"), digest, "given {hash:?} and {size:?}");
            assert!(subject.read(&ns, digest, ByteRange::ALL).await == content, "given {hash:?} and {size:?}");
        }
    }
}

pub(super) async fn a_name_is_of_the_function_that_made_it(subject: Subject) {
    let ns = namespace("ns");
    for (seed, len) in [(1, 0), (2, 5000), (3, 2 * MAX_LEN + 7)] {
        let content = noise(seed, len);
        let [sha, blake] = [HashFunction::Sha256, HashFunction::Blake3].map(|by| Digest::by(by, &content));
        let crossed = ContentHash::new(HashFunction::Blake3, *sha.hash.as_bytes());
        let refused = subject.blobs.put(&ns, Some(&crossed), None, in_pieces(&content, 100_000)).await;
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{len} bytes");
        let stored = subject.blobs.put(&ns, Some(&blake.hash), None, in_pieces(&content, 100_000)).await;
        assert_eq!(stored.expect("the put is good"), blake);
        assert!(subject.read(&ns, blake, ByteRange::ALL).await == content);
        subject.assert_absent(&ns, sha.hash, "the same bytes under the other function").await;
    }
}

pub(super) async fn pieces_may_be_of_any_length(subject: Subject) {
    let ns = namespace("ns");
    let single = noise(1, 1000);
    subject.try_put(&ns, &single, in_pieces(&single, 1)).await.expect("pieces of one byte are good");
    assert_eq!(subject.read(&ns, Digest::of(&single), ByteRange::ALL).await, single);
    for (seed, len) in [(2, 7), (3, MAX_LEN), (4, 2 * MAX_LEN + 7)] {
        let content = noise(seed, len);
        let body = with_empty_pieces(&content, 500_009);
        subject.try_put(&ns, &content, body).await.expect("empty pieces mean nothing");
        assert!(subject.read(&ns, Digest::of(&content), ByteRange::ALL).await == content);
    }
    let longest = noise(5, 2 * MAX_LEN);
    subject.try_put(&ns, &longest, in_pieces(&longest, MAX_LEN)).await.expect("pieces of 2 MiB are good");
    assert!(subject.read(&ns, Digest::of(&longest), ByteRange::ALL).await == longest);
}

pub(super) async fn a_wrong_hash_is_invalid_and_leaves_nothing(subject: Subject) {
    let ns = namespace("ns");
    for len in [0, 1, 5000, MAX_LEN, MAX_LEN + 1, 2 * MAX_LEN + 7] {
        let (sent, named) = (noise(1, len), ContentHash::of(b"the name of something else"));
        for size in [None, Some(len as u64)] {
            let refused = subject.blobs.put(&ns, Some(&named), size, in_pieces(&sent, 100_000)).await;
            assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{len} bytes");
            subject.assert_absent(&ns, named, "the blob that was named").await;
            nothing_of(&subject, &ns, &sent).await;
        }
    }
}

pub(super) async fn a_wrong_size_is_invalid_and_leaves_nothing(subject: Subject) {
    let ns = namespace("ns");
    for len in [0, 1, 5000, MAX_LEN, MAX_LEN + 1] {
        let content = noise(1, len);
        let hash = ContentHash::of(&content);
        for size in [0, len as u64 - u64::from(len > 0), len as u64 + 1, u64::MAX] {
            if size == len as u64 {
                continue;
            }
            for expected in [None, Some(&hash)] {
                let refused = subject.blobs.put(&ns, expected, Some(size), in_pieces(&content, 100_000)).await;
                let kind = refused.map_err(|error| error.kind());
                assert_eq!(kind, Err(ErrorKind::Invalid), "{len} bytes announced as {size}");
                nothing_of(&subject, &ns, &content).await;
            }
        }
    }
}

/// Verified as it flows in: who announces little and sends without end must not keep the tier busy without end.
pub(super) async fn a_body_longer_than_announced_is_not_read_to_its_end(subject: Subject) {
    const PIECES: usize = 128;
    let piece = noise(1, 1024 * 1024);
    let sent = (PIECES * piece.len()) as u64;
    let (body, taken) = counted(Box::pin(stream::iter(std::iter::repeat_n(piece, PIECES).map(Ok))));
    let refused = subject.blobs.put(&namespace("ns"), None, Some(10), body).await;
    assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken < sent, "all {taken} bytes were taken of a body announced with 10");
}

pub(super) async fn a_body_that_fails_half_way_leaves_nothing(subject: Subject) {
    let ns = namespace("ns");
    for len in [1, 5000, MAX_LEN, 3 * MAX_LEN] {
        let content = noise(1, len);
        for cut in [0, len / 2, len] {
            let half = content.slice(..cut);
            for expected in [None, Some(ContentHash::of(&content))] {
                let body = then_failing(&half, ErrorKind::Unavailable);
                let failed = subject.blobs.put(&ns, expected.as_ref(), None, body).await;
                assert!(failed.is_err(), "a put succeeded whose body failed at byte {cut} of {len}");
                nothing_of(&subject, &ns, &content).await;
                nothing_of(&subject, &ns, &half).await;
            }
        }
    }
}

pub(super) async fn a_sender_that_hangs_up_half_way_leaves_nothing(subject: Subject) {
    let ns = namespace("ns");
    let subject = Arc::new(subject);
    for len in [5000, 3 * MAX_LEN] {
        let content = noise(1, len);
        let half = content.slice(..len / 2);
        let (body, stalled) = then_stalling(&half);
        let put = tokio::spawn({
            let (subject, ns, content) = (Arc::clone(&subject), ns.clone(), content.clone());
            async move { subject.try_put(&ns, &content, body).await }
        });
        stalled.await.expect("the tier takes what was sent");
        put.abort();
        assert!(put.await.is_err(), "a put ended whose body did not");
        nothing_of(&subject, &ns, &content).await;
        nothing_of(&subject, &ns, &half).await;
        subject.put(&ns, &content).await;
        assert!(subject.read(&ns, Digest::of(&content), ByteRange::ALL).await == content);
    }
}

pub(super) async fn a_refused_blob_may_be_put_again_rightly(subject: Subject) {
    let ns = namespace("ns");
    let content = noise(1, 2 * MAX_LEN);
    subject.try_put(&ns, &content, in_pieces(&noise(2, 2 * MAX_LEN), 70_000)).await.expect_err("other bytes");
    subject.try_put(&ns, &content, then_failing(&content, ErrorKind::Failed)).await.expect_err("a failing body");
    subject.put(&ns, &content).await;
    assert!(subject.read(&ns, Digest::of(&content), ByteRange::ALL).await == content);
}

pub(super) async fn a_blob_may_be_put_twice(subject: Subject) {
    let ns = namespace("ns");
    for len in [0, 5000, MAX_LEN + 1] {
        let content = noise(1, len);
        subject.put(&ns, &content).await;
        let digest = subject.put(&ns, &content).await;
        assert!(subject.read(&ns, digest, ByteRange::ALL).await == content);
    }
}

pub(super) async fn wrong_bytes_for_a_kept_blob_are_refused_and_harm_nothing(subject: Subject) {
    let ns = namespace("ns");
    for len in [5000, MAX_LEN + 1] {
        let content = noise(1, len);
        let digest = subject.put(&ns, &content).await;
        for wrong in [noise(2, len), Bytes::new(), content.slice(1..)] {
            let refused = subject.blobs.put(&ns, Some(&digest.hash), None, in_pieces(&wrong, 100_000)).await;
            assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{} bytes", wrong.len());
        }
        assert!(subject.read(&ns, digest, ByteRange::ALL).await == content);
    }
}

pub(super) async fn concurrent_puts_of_one_blob_all_succeed(subject: Subject) {
    let subject = Arc::new(subject);
    for (seed, len) in [(1, 5000), (2, 2 * MAX_LEN)] {
        let content = noise(seed, len);
        let puts: Vec<_> = (0..8).map(|n| spawn_put(&subject, &content, &content, 50_000 + n)).collect();
        for put in puts {
            let stored = put.await.expect("a put does not panic").expect("a good put succeeds");
            assert_eq!(stored, Digest::of(&content));
        }
        assert!(subject.read(&namespace("ns"), Digest::of(&content), ByteRange::ALL).await == content);
    }
}

pub(super) async fn a_bad_put_beside_a_good_one_harms_nothing(subject: Subject) {
    let subject = Arc::new(subject);
    for seed in 0..10 {
        let (content, wrong) = (noise(seed, MAX_LEN + 1), noise(seed + 100, MAX_LEN + 1));
        let bad = [spawn_put(&subject, &content, &wrong, 50_000), spawn_put(&subject, &content, &wrong, 90_000)];
        let good = spawn_put(&subject, &content, &content, 70_000);
        good.await.expect("a put does not panic").expect("the good put succeeds");
        for put in bad {
            let refused = put.await.expect("a put does not panic").map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::Invalid));
        }
        assert!(subject.read(&namespace("ns"), Digest::of(&content), ByteRange::ALL).await == content);
    }
}

fn spawn_put(
    subject: &Arc<Subject>,
    named: &Bytes,
    sent: &Bytes,
    piece: usize,
) -> tokio::task::JoinHandle<larder_base::Result<Digest>> {
    let (subject, named) = (Arc::clone(subject), named.clone());
    // The senders take turns, so that the puts run into one another on any number of threads.
    let body = in_pieces(sent, piece).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    tokio::spawn(async move { subject.try_put(&namespace("ns"), &named, Box::pin(body)).await })
}

/// That neither the blob nor any of the chunks it would be cut into can be seen.
async fn nothing_of(subject: &Subject, ns: &Namespace, content: &Bytes) {
    subject.assert_absent(ns, ContentHash::of(content), "the blob that was sent").await;
    let mut cutter = Cutter::new();
    cutter.push(content);
    while let Some(chunk) = cutter.next_chunk() {
        subject.assert_absent(ns, ContentHash::of(&chunk), "a chunk of the blob that was sent").await;
    }
    for chunk in cutter.finish() {
        subject.assert_absent(ns, ContentHash::of(&chunk), "a chunk of the blob that was sent").await;
    }
}
