use std::sync::Arc;

use bytes::Bytes;
use larder_base::ErrorKind;
use larder_cache::{Cache, Caller, DoorCache, Jobs, Rights, Signer, Tiers};
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;
use larder_testkit::segment::{self, Flaw};

use super::put_all;
use crate::DOOR;

fn cache() -> (DoorCache, Caller) {
    let clock = Arc::new(FakeClock::default());
    let memory = Arc::new(Memory::new(clock.clone()));
    let tiers = Tiers { blobs: memory.clone(), entries: memory.clone(), segments: memory };
    let cache = Cache::new(tiers, Rights::Open, Signer::new(&[7; 32]), Jobs::new(clock.clone()), clock);
    let door = cache.door(DOOR.door_name());
    let caller = door.authorize(None, "acme").unwrap();
    (door, caller)
}

#[tokio::test]
async fn the_chunks_of_a_small_segment_are_there_and_counted() {
    let (cache, caller) = cache();
    let contents: Vec<Bytes> = (0..100_u8).map(|n| Bytes::from(vec![n; 1 + 20 * usize::from(n)])).collect();
    let segment = segment::body(&contents);
    let put = put_all(&cache, &caller, &segment).await.unwrap();
    let raw = contents.iter().map(Bytes::len).sum::<usize>() as u64;
    assert_eq!((put.records, put.stored_bytes, put.raw_bytes), (100, segment.len() as u64, raw));
    let hashes: Vec<_> = contents.iter().map(|content| segment::record(content).header.hash).collect();
    assert_eq!(cache.missing(&caller, &hashes).await.unwrap(), []);
}

#[tokio::test]
async fn of_a_segment_with_any_flaw_nothing_is_there() {
    let good = Bytes::from_static(b"a chunk before the flaw");
    let bad = Bytes::from(vec![9; 3000]);
    for flaw in Flaw::ALL {
        let (cache, caller) = cache();
        let segment = segment::damaged(&[good.clone(), bad.clone()], 1, flaw);
        let error = put_all(&cache, &caller, &segment).await.expect_err(&format!("{flaw:?}"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{flaw:?}: {error}");
        let hash = segment::record(&good).header.hash;
        assert_eq!(cache.missing(&caller, &[hash]).await.unwrap(), [hash], "{flaw:?}");
    }
}

#[tokio::test]
async fn what_is_no_segment_or_holds_nothing_is_refused() {
    let (cache, caller) = cache();
    for body in [Bytes::new(), segment::body(&[]), Bytes::from_static(b"nonsense nonsense nonsense")] {
        let error = put_all(&cache, &caller, &body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}
