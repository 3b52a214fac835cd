use std::sync::Arc;

use bytes::Bytes;
use larder_base::{ByteRange, ContentHash, ErrorKind};

use super::support::*;
use crate::disk::faulty::FaultyDisk;
use crate::{Options, Store};

#[test]
fn a_blob_comes_back_byte_for_byte_at_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [0, 1, 255, 256, 4096, 100_000, 2 << 20, (2 << 20) + 1, 7 << 20] {
        let content = noise(size as u64, size);
        let digest = put(&store, "a", &content).unwrap();
        assert_eq!(digest.size, size as u64);
        assert_eq!(get(&store, "a", &digest.hash).unwrap(), content, "size {size}");
    }
}

#[test]
fn a_range_is_exactly_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = noise(1, 5 << 20);
    let digest = put(&store, "a", &content).unwrap();
    for (offset, length) in
        [(0, Some(1)), (5, Some(0)), (1_000_000, Some(2_000_000)), (5_000_000, None), (9 << 20, None)]
    {
        let range = ByteRange { offset, length };
        let (from, count) = range.within(content.len() as u64);
        let wanted = &content[from as usize..(from + count) as usize];
        assert_eq!(get_range(&store, "a", &digest.hash, range).unwrap(), wanted, "{range:?}");
    }
}

#[test]
fn what_does_not_hash_to_its_name_or_has_another_size_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [10, 3 << 20] {
        let content = noise(2, size);
        let wrong = ContentHash::of(b"something else");
        let mut pieces = [Ok(content.clone())].into_iter();
        let error = store.put(&ns("a"), Some(&wrong), None, &mut pieces).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        for announced in [size as u64 - 1, size as u64 + 1] {
            let mut pieces = [Ok(content.clone())].into_iter();
            let error = store.put(&ns("a"), None, Some(announced), &mut pieces).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        let hashes = [wrong, ContentHash::of(&content)];
        assert_eq!(store.missing(&ns("a"), &hashes).unwrap(), hashes);
    }
}

#[test]
fn a_namespace_has_only_what_it_put_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [1000, 5 << 20] {
        let content = noise(3, size);
        let digest = put(&store, "mine", &content).unwrap();
        assert_eq!(get(&store, "theirs", &digest.hash), None);
        assert_eq!(store.missing(&ns("theirs"), &[digest.hash]).unwrap(), [digest.hash]);
        let mut lie = [Ok(noise(4, size))].into_iter();
        store.put(&ns("theirs"), Some(&digest.hash), None, &mut lie).unwrap_err();
        assert_eq!(get(&store, "theirs", &digest.hash), None);
        let before = store.status().unwrap().bytes;
        put(&store, "theirs", &content).unwrap();
        assert_eq!(get(&store, "theirs", &digest.hash).unwrap(), content);
        let grown = store.status().unwrap().bytes - before;
        assert!(grown < 2000, "the second namespace's copy took {grown} bytes");
    }
}

#[test]
fn what_the_namespace_has_already_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for size in [1000, 5 << 20] {
        let content = noise(5, size);
        put(&store, "a", &content).unwrap();
        let before = store.status().unwrap().bytes;
        put(&store, "a", &content).unwrap();
        assert_eq!(store.status().unwrap().bytes, before);
    }
}

#[test]
fn large_blobs_share_the_chunks_that_are_equal() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut content = noise(6, 16 << 20).to_vec();
    put(&store, "a", &content.clone().into()).unwrap();
    let before = store.status().unwrap().bytes;
    content[8 << 20] ^= 1;
    let digest = put(&store, "a", &content.clone().into()).unwrap();
    let grown = store.status().unwrap().bytes - before;
    assert!(grown < 4 << 20, "one changed byte took {grown} bytes");
    assert_eq!(get(&store, "a", &digest.hash).unwrap(), content);
}

#[test]
fn missing_keeps_the_order_of_the_question() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let there = put(&store, "a", &noise(7, 100)).unwrap().hash;
    let (x, y) = (ContentHash::of(b"x"), ContentHash::of(b"y"));
    assert_eq!(store.missing(&ns("a"), &[y, there, x, y]).unwrap(), [y, x, y]);
}

#[test]
fn many_writers_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::thread::scope(|scope| {
        for writer in 0..16_u64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..40 {
                    put(store, "a", &noise(writer << 32 | n, 300)).unwrap();
                }
            });
        }
    });
    for writer in 0..16_u64 {
        for n in 0..40 {
            let content = noise(writer << 32 | n, 300);
            assert_eq!(get(&store, "a", &ContentHash::of(&content)).unwrap(), content);
        }
    }
    let syncs = store.status().unwrap().syncs;
    assert!(syncs < 600, "640 puts by 16 writers took {syncs} syncs");
}

#[test]
fn what_was_put_is_read_at_once_while_others_write_the_block_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()), HandClock::new()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                let contents: Vec<_> =
                    (0..300).map(|n| noise(thread << 32 | n, 300 + 37 * n as usize % 5000)).collect();
                for (n, content) in contents.iter().enumerate() {
                    let digest = put(store, "a", content).unwrap();
                    assert_eq!(get(store, "a", &digest.hash).as_deref(), Some(&content[..]));
                    let earlier = &contents[n / 2];
                    assert_eq!(get(store, "a", &ContentHash::of(earlier)).as_deref(), Some(&earlier[..]));
                }
            });
        }
    });
    assert_eq!(store.status().unwrap().quarantined, 0);
}

#[test]
fn the_first_who_reads_of_what_went_past_memory_has_its_neighbours_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = Options { segment_len: 1 << 30, ..options(dir.path()) };
    let store = Store::open_on(options, Arc::new(disk.clone()), HandClock::new()).unwrap();
    let contents: Vec<Bytes> = (0..100).map(|seed| noise(seed, 10_000)).collect();
    let hashes: Vec<_> = contents.iter().map(|content| put(&store, "a", content).unwrap().hash).collect();
    assert!(disk.take_fetched().is_empty());

    let window = 256 << 10;
    assert_eq!(get(&store, "a", &hashes[2]).unwrap(), contents[2]);
    let [fetched] = &disk.take_fetched()[..] else { panic!("one window") };
    assert_eq!(*fetched, 0..window);
    assert_eq!(get(&store, "a", &hashes[3]).unwrap(), contents[3]);
    assert_eq!(get(&store, "a", &hashes[99]).unwrap(), contents[99], "in the window in which the log ends");
    assert!(disk.take_fetched().is_empty());
    for hash in &hashes {
        get(&store, "a", hash).unwrap();
    }
    assert_eq!(disk.take_fetched(), [window..2 * window, 2 * window..3 * window]);

    // What is written as files are is in memory already.
    let large = noise(1000, 400_000);
    let large = put(&store, "a", &large).unwrap().hash;
    put(&store, "a", &noise(1001, 10_000)).unwrap();
    get(&store, "a", &large).unwrap();
    assert!(disk.take_fetched().is_empty());
}
