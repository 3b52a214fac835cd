use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use larder_base::{Access, Clock, DoorName, EntryAddress, ErrorKind, Namespace, Scope, chunk, collect};
use larder_testkit::clock::FakeClock;
use larder_testkit::memory::Memory;

use super::{Cache, Gathered, Tiers, gather};
use crate::counters::Outcome;
use crate::jobs::Jobs;
use crate::rights::Rights;
use crate::signer::Signer;

fn body(pieces: &[usize]) -> larder_base::BlobStream {
    let pieces: Vec<_> = pieces.iter().map(|&len| Ok(Bytes::from(vec![7; len]))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn a_value_of_one_chunk_is_gathered_and_a_larger_one_streams_whole() {
    for pieces in [vec![], vec![1], vec![chunk::MAX_LEN], vec![1000; 2000]] {
        let total: usize = pieces.iter().sum();
        match gather(body(&pieces), u64::MAX).await.unwrap() {
            Gathered::Whole(value) => assert_eq!(value.len(), total),
            Gathered::Rest(_) => panic!("{total} bytes are one chunk"),
        }
    }
    let Gathered::Rest(stream) = gather(body(&[chunk::MAX_LEN, 1, 500]), u64::MAX).await.unwrap() else {
        panic!("one byte more than a chunk streams");
    };
    assert_eq!(collect(stream, usize::MAX).await.unwrap().len(), chunk::MAX_LEN + 501);
}

#[tokio::test]
async fn the_limit_holds_wherever_it_is_crossed() {
    let kind = |result: Result<Gathered, larder_base::Error>| result.err().map(|error| error.kind());
    assert_eq!(kind(gather(body(&[10, 10]), 19).await), Some(ErrorKind::TooLarge));
    assert_eq!(kind(gather(body(&[10, 10]), 20).await), None);
    let limit = chunk::MAX_LEN as u64 + 5;
    let Gathered::Rest(mut stream) = gather(body(&[chunk::MAX_LEN, 5, 1]), limit).await.unwrap() else {
        panic!("larger than a chunk");
    };
    let mut last = None;
    while let Some(piece) = stream.next().await {
        last = Some(piece);
    }
    assert_eq!(last.unwrap().unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn names_of_doors_that_a_client_chooses_are_not_counted_by() {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let tier = Arc::new(Memory::new(clock.clone()));
    let tiers = Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier };
    let jobs = Jobs::new(clock.clone());
    let cache = Cache::new(tiers, Rights::Open, Signer::new(&[7; 32]), jobs, clock);
    let (name, namespace) = (DoorName::new("tier"), "acme".parse::<Namespace>().unwrap());
    let caller = Rights::Open.resolve(None, &namespace, []).unwrap();
    for number in 0..3 {
        let address = EntryAddress {
            namespace: namespace.clone(),
            scope: Scope::Trusted,
            door: format!("door-{number}").parse().unwrap(),
            key: "key".parse().unwrap(),
        };
        let found = cache.door(name.clone()).entry_at(&caller, &address, Access::Serve).await.unwrap();
        assert!(found.is_none());
        assert_eq!(cache.counters().lookups(&address.door, &namespace, Outcome::Miss), 0);
    }
    assert_eq!(cache.counters().lookups(&name, &namespace, Outcome::Miss), 3);
}
