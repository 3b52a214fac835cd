use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use larder_base::*;

use super::{Glance, StoreService};
use crate::tests::support::*;

fn service(dir: &std::path::Path) -> StoreService {
    StoreService::new(open(dir), 4)
}

fn stream(pieces: Vec<Result<Bytes>>) -> BlobStream {
    Box::pin(futures_util::stream::iter(pieces))
}

fn pieces(content: &Bytes, each: usize) -> Vec<Result<Bytes>> {
    let mut pieces = vec![Ok(Bytes::new())];
    pieces.extend(content.chunks(each).map(|piece| Ok(content.slice_ref(piece))));
    pieces
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_of_every_path_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    for size in [0, 10, 64 << 10, (64 << 10) + 1, 2 << 20, (2 << 20) + 1, 9 << 20] {
        let content = noise(size as u64, size);
        let hash = ContentHash::of(&content);
        let body = stream(pieces(&content, 300_000));
        let digest = Blobs::put(&service, &ns("a"), None, None, body).await.unwrap();
        assert_eq!(digest, Digest { hash, size: size as u64 });
        let blob = Blobs::get(&service, &ns("a"), &hash, ByteRange::ALL).await.unwrap().unwrap();
        assert_eq!(blob.digest, digest);
        assert_eq!(collect(blob.body, usize::MAX).await.unwrap(), content, "size {size}");
        assert!(service.missing(&ns("a"), &[hash]).await.unwrap().is_empty());
        assert!(Blobs::get(&service, &ns("b"), &hash, ByteRange::ALL).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_fails_on_its_way_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    for size in [1000, 6 << 20] {
        let content = noise(1, size);
        let mut body = pieces(&content, 500_000);
        body.push(Err(Error::new(ErrorKind::Unavailable, "test", "the client went away")));
        let error = Blobs::put(&service, &ns("a"), None, None, stream(body)).await.unwrap_err();
        assert_eq!(error.operation(), "test");
        assert_eq!(service.missing(&ns("a"), &[ContentHash::of(&content)]).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_puts_at_once_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let service = Arc::new(service(dir.path()));
    let before = service.store().status().unwrap().syncs;
    let puts = (0..200_u64).map(|n| {
        let service = Arc::clone(&service);
        async move {
            let content = noise(n, 500);
            Blobs::put(&*service, &ns("a"), None, Some(500), stream_of(content)).await.unwrap()
        }
    });
    let digests = futures_util::future::join_all(puts).await;
    let syncs = service.store().status().unwrap().syncs - before;
    assert!(syncs < 100, "200 puts at once took {syncs} syncs");
    for digest in digests {
        assert!(Blobs::get(&*service, &ns("a"), &digest.hash, ByteRange::ALL).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_go_through_in_place_and_by_thread() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    for (n, size) in [10, 100_000].into_iter().enumerate() {
        let at = address("a", "trusted", "test", &format!("key-{n}"));
        let content = noise(3, size);
        assert_eq!(Entries::get(&service, &at, Access::Serve).await.unwrap(), None);
        let put = Entries::put(&service, &at, value(content.clone()), PutIf::Absent).await.unwrap();
        let PutOutcome::Stored(entry) = put else { panic!("{put:?}") };
        assert_eq!(entry.blob, Digest::of(&content));
        assert_eq!(Entries::get(&service, &at, Access::Serve).await.unwrap().unwrap(), entry);
        let all = EntryPrefix { namespace: ns("a"), scope: None, door: None, prefix: String::new() };
        assert_eq!(service.list(&all, None, 10).await.unwrap().entries.len(), 1);
        assert!(service.delete(&at).await.unwrap());
        assert_eq!(Entries::get(&service, &at, Access::Serve).await.unwrap(), None);
    }
}

/// A put of a large blob whose client has stalled in the middle of it, polled until it waits for the client.
async fn stalled(service: &StoreService, seed: u64) -> impl Future<Output = Result<Digest>> {
    let (reached, at_the_stall) = tokio::sync::oneshot::channel();
    let mut reached = Some(reached);
    let stall = futures_util::stream::poll_fn(move |_| {
        if let Some(reached) = reached.take() {
            let _ = reached.send(());
        }
        std::task::Poll::Pending
    });
    let body: BlobStream = Box::pin(stream(pieces(&noise(seed, 5 << 20), 500_000)).chain(stall));
    let service = service.clone();
    let mut put: BoxFuture<'static, _> =
        Box::pin(async move { Blobs::put(&service, &ns("a"), None, None, body).await });
    tokio::select! {
        ended = &mut put => panic!("{ended:?}"),
        _ = at_the_stall => put,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stall_stop_nobody_else() {
    let others = async {
        let dir = tempfile::tempdir().unwrap();
        let service = service(dir.path());
        let mut puts = Vec::new();
        for seed in 0..12 {
            puts.push(stalled(&service, seed).await);
        }
        let content = noise(99, 6 << 20);
        let digest = Blobs::put(&service, &ns("a"), None, None, stream(pieces(&content, 1 << 20))).await.unwrap();
        let blob = Blobs::get(&service, &ns("a"), &digest.hash, ByteRange::ALL).await.unwrap().unwrap();
        assert_eq!(collect(blob.body, usize::MAX).await.unwrap(), content);
        let all = EntryPrefix { namespace: ns("a"), scope: None, door: None, prefix: String::new() };
        assert!(service.list(&all, None, 10).await.unwrap().entries.is_empty());
        service.blocking(crate::Store::close).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), others).await.expect("the stalled clients hold no thread");
}

#[tokio::test]
async fn a_store_closes_while_all_threads_are_at_work() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let work = (0..4).map(|_| {
        let held = held.clone();
        service.blocking(move |_| {
            let _ = held.recv();
            Ok(())
        })
    });
    let close = async {
        assert_eq!(service.work.available_permits(), 0);
        service.close().await.unwrap();
        drop(release);
    };
    // The work is polled first and has all permits by then.
    futures_util::future::join(futures_util::future::join_all(work), close).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_value_in_memory_comes_with_the_entry_that_is_to_be_served() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    for (n, size) in [INLINE_MAX_BYTES + 1, AT_HAND_MAX_BYTES, AT_HAND_MAX_BYTES + 1].into_iter().enumerate() {
        let at = address("a", "trusted", "test", &format!("key-{n}"));
        for content in [noise(n as u64, size), Bytes::from(vec![n as u8; size])] {
            Entries::put(&service, &at, value(content.clone()), PutIf::Always).await.unwrap();
            read_first_segment(dir.path());
            let hash = ContentHash::of(&content);
            // Not every file system can tell what it has in memory.
            let at_hand = matches!(service.store().glance(&ns("a"), &hash, u32::MAX).unwrap(), Glance::Content(_));
            let served = Entries::get(&service, &at, Access::Serve).await.unwrap().unwrap();
            assert_eq!(served.inline, Some(content).filter(|_| at_hand && size <= AT_HAND_MAX_BYTES));
            let checked = Entries::get(&service, &at, Access::Check).await.unwrap().unwrap();
            assert_eq!(checked.inline, None, "who only looks has no use for it");
        }
    }
}

/// What the first segment holds; from then on the system has it in memory, which it need not have after a write.
fn read_first_segment(dir: &std::path::Path) -> Vec<u8> {
    std::fs::read(dir.join(crate::files::segment_path(1))).unwrap()
}

/// Flips a byte of a value in the first segment.
fn rot(dir: &std::path::Path, content: &Bytes) {
    let path = dir.join(crate::files::segment_path(1));
    let bytes = read_first_segment(dir);
    let place = bytes.windows(64).position(|window| window == &content[..64]).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[!content[1000]], place as u64 + 1000).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_value_rotted_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let at = address("a", "trusted", "test", "key");
    let content = noise(1, 4096);
    Entries::put(&service, &at, value(content.clone()), PutIf::Always).await.unwrap();
    read_first_segment(dir.path());
    let hash = ContentHash::of(&content);
    let at_hand = matches!(service.store().glance(&ns("a"), &hash, u32::MAX).unwrap(), Glance::Content(_));
    rot(dir.path(), &content);
    // Where records are not read in place, the value tells.
    let served = Entries::get(&service, &at, Access::Serve).await.unwrap();
    assert_eq!(served.map(|entry| entry.inline), (!at_hand).then_some(None));
    assert!(Blobs::get(&service, &ns("a"), &hash, ByteRange::ALL).await.unwrap().is_none());
    assert_eq!(Entries::get(&service, &at, Access::Serve).await.unwrap(), None);
}

/// What a lookup to serve the entry at an address gives.
async fn served(service: &StoreService, at: &EntryAddress) -> Option<Bytes> {
    let entry = Entries::get(service, at, Access::Serve).await.unwrap()?;
    match entry.inline {
        Some(value) => Some(value),
        // Not every file system can tell what it has in memory.
        None => {
            let blob = Blobs::get(service, &at.namespace, &entry.blob.hash, ByteRange::ALL).await.unwrap()?;
            Some(collect(blob.body, usize::MAX).await.unwrap())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_again_is_what_was_put_last() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let at = address("a", "trusted", "test", "key");
    for seed in 0..3 {
        for size in [10, 4096] {
            let content = noise(seed, size);
            Entries::put(&service, &at, value(content.clone()), PutIf::Always).await.unwrap();
            for _ in 0..3 {
                assert_eq!(served(&service, &at).await, Some(content.clone()));
            }
        }
    }
    assert!(service.delete(&at).await.unwrap());
    assert_eq!(served(&service, &at).await, None);
}

#[test]
fn nobody_is_served_what_was_replaced_before_they_asked() {
    use std::sync::atomic::{AtomicU64, Ordering};
    const LAST: u64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = address("a", "trusted", "test", "key");
    let numbered = |number: u64| [&number.to_le_bytes()[..], &noise(number, 4000)].concat();
    let stored = AtomicU64::new(0);
    store.put_entry(&at, value(numbered(0)), PutIf::Always).unwrap();
    let read = || {
        loop {
            let least = stored.load(Ordering::SeqCst);
            let entry = store.glance_entry(&at, Access::Serve, 1).unwrap().flatten();
            if let Some(value) = entry.and_then(|entry| entry.inline) {
                let number = u64::from_le_bytes(*value.first_chunk().unwrap());
                assert!(number >= least, "{number} was served after {least} was stored");
                assert_eq!(value, numbered(number));
            }
            if least == LAST {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(read);
        scope.spawn(read);
        for number in 1..=LAST {
            store.put_entry(&at, value(numbered(number)), PutIf::Always).unwrap();
            stored.store(number, Ordering::SeqCst);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_at_hand_needs_no_disk_until_something_is_found_lost() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let at = address("a", "trusted", "test", "key");
    let content = noise(1, 4096);
    Entries::put(&service, &at, value(content.clone()), PutIf::Always).await.unwrap();
    let hash = ContentHash::of(&content);
    let at_hand = matches!(service.store().glance(&ns("a"), &hash, u32::MAX).unwrap(), Glance::Content(_));
    assert_eq!(served(&service, &at).await, Some(content.clone()));
    rot(dir.path(), &content);
    if at_hand {
        assert_eq!(served(&service, &at).await, Some(content));
    }
    assert!(Blobs::get(&service, &ns("a"), &hash, ByteRange::ALL).await.unwrap().is_none(), "this finds the damage");
    assert_eq!(served(&service, &at).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_does_not_answer_keeps_nobody_from_what_is_on_the_disk() {
    use crate::bucket::faulty::FaultyBucket;
    let dir = tempfile::tempdir().unwrap();
    let bucket = FaultyBucket::default();
    let attached = crate::BucketOptions::new(Arc::new(bucket.clone()), "memory", 1 << 30, [7; 16]);
    let options = crate::Options { segment_len: 1 << 20, bucket: Some(attached), ..options(dir.path()) };
    let service = StoreService::new(crate::Store::open(options, HandClock::new()).unwrap(), 1);
    let (far, near) = (noise(1, 4 << 20), noise(2, 4 << 20));
    let put = async |content: &Bytes| {
        let body = stream(pieces(content, 300_000));
        Blobs::put(&service, &ns("a"), None, None, body).await.unwrap().hash
    };
    let far_hash = put(&far).await;
    let offload = |store: &crate::Store| {
        while store.ship_next()?.is_some() {}
        while store.offload_until(|_| false)? > 0 {}
        Ok(())
    };
    service.remote(offload).await.unwrap();
    let near_hash = put(&near).await;
    // Nobody gets an answer until the other blob was read, with the one thread there is for the disk.
    let (answer, wait) = crossbeam_channel::bounded::<()>(0);
    bucket.on_call(move || assert!(wait.recv().is_err(), "nothing is sent, the other end goes"));
    let get = async |hash| {
        let blob = Blobs::get(&service, &ns("a"), hash, ByteRange::ALL).await.unwrap().unwrap();
        collect(blob.body, usize::MAX).await.unwrap()
    };
    let read_near = async {
        let read = get(&near_hash).await;
        drop(answer);
        read
    };
    let (read_far, read_near) = futures_util::future::join(get(&far_hash), read_near).await;
    assert!(read_far == far && read_near == near);
    assert!(bucket.calls() > 3);
}
