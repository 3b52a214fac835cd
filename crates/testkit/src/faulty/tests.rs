use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Access, Attributes, Blobs, ByteRange, ContentHash, DoorName, Entries, EntryAddress, EntryBody, EntryPrefix,
    ErrorKind, Namespace, NewEntry, PartName, PutIf, Scope, Segments as _, UploadId, collect,
};

use super::{Fault, Faults, Faulty, Gate, Verb};
use crate::clock::FakeClock;
use crate::content::noise;
use crate::memory::Memory;
use crate::stream::in_pieces;

const SIZE: usize = 100_000;

struct Bench {
    memory: Memory,
    faults: Faults,
    faulty: Faulty<Memory>,
    namespace: Namespace,
    content: Bytes,
    hash: ContentHash,
}

impl Bench {
    fn new() -> Self {
        let memory = Memory::new(Arc::new(FakeClock::default()));
        let faults = Faults::none();
        let faulty = Faulty::new(Arc::new(memory.clone()), faults.clone());
        let content = noise(1, SIZE);
        let hash = ContentHash::of(&content);
        Self { memory, faults, faulty, namespace: "ns".parse().unwrap(), content, hash }
    }

    async fn put(&self) -> larder_base::Result<()> {
        let body = in_pieces(&self.content, 3000);
        Blobs::put(&self.faulty, &self.namespace, Some(&self.hash), None, body).await.map(|_| ())
    }

    async fn is_kept(&self) -> bool {
        self.memory.missing(&self.namespace, &[self.hash]).await.unwrap().is_empty()
    }
}

#[tokio::test]
async fn only_the_named_calls_of_the_named_verb_fail() {
    let bench = Bench::new();
    bench.faults.add(Verb::MissingBlobs, 2..=3, Fault::Fail(ErrorKind::Unavailable));
    bench.put().await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(bench.faulty.missing(&bench.namespace, &[]).await.map_err(|error| error.kind()).err());
    }
    assert_eq!(kinds, [None, Some(ErrorKind::Unavailable), Some(ErrorKind::Unavailable), None]);
    assert_eq!(bench.faults.calls(Verb::MissingBlobs), 4);
    assert_eq!(bench.faults.calls(Verb::GetBlob), 0);
}

#[tokio::test]
async fn a_failed_call_does_not_reach_the_tier_and_one_with_a_lost_answer_does() {
    let bench = Bench::new();
    bench.faults.add(Verb::PutBlob, 1..=1, Fault::Fail(ErrorKind::Full));
    bench.faults.add(Verb::PutBlob, 2..=2, Fault::LoseAnswer(ErrorKind::Unavailable));
    assert_eq!(bench.put().await.unwrap_err().kind(), ErrorKind::Full);
    assert!(!bench.is_kept().await);
    assert_eq!(bench.put().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(bench.is_kept().await);
}

#[tokio::test]
async fn a_torn_read_gives_exactly_the_bytes_before_the_tear() {
    let bench = Bench::new();
    bench.put().await.unwrap();
    bench.faults.add(Verb::GetBlob, .., Fault::Tear { after: 12_345, kind: ErrorKind::Corrupt });
    let blob = Blobs::get(&bench.faulty, &bench.namespace, &bench.hash, ByteRange::ALL).await.unwrap().unwrap();
    let mut body = blob.body;
    let mut read = Vec::new();
    let failure = loop {
        match std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
            Some(Ok(piece)) => read.extend_from_slice(&piece),
            Some(Err(failure)) => break failure,
            None => panic!("the body ended as if it were whole"),
        }
    };
    assert_eq!(read, bench.content[..12_345]);
    assert_eq!(failure.kind(), ErrorKind::Corrupt);

    bench.faults.clear();
    let blob = Blobs::get(&bench.faulty, &bench.namespace, &bench.hash, ByteRange::ALL).await.unwrap().unwrap();
    assert_eq!(collect(blob.body, SIZE).await.unwrap(), bench.content);
}

#[tokio::test]
async fn a_torn_write_leaves_nothing_and_a_tear_without_a_body_is_a_failure() {
    let bench = Bench::new();
    bench.faults.add(Verb::PutBlob, .., Fault::Tear { after: 5_000, kind: ErrorKind::Unavailable });
    bench.faults.add(Verb::ListEntries, .., Fault::Tear { after: 5_000, kind: ErrorKind::Failed });
    assert_eq!(bench.put().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!bench.is_kept().await);
    let all = EntryPrefix { namespace: bench.namespace.clone(), scope: None, door: None, prefix: String::new() };
    assert_eq!(bench.faulty.list(&all, None, 10).await.unwrap_err().kind(), ErrorKind::Failed);
}

#[tokio::test]
async fn a_held_call_waits_for_the_gate_and_then_takes_effect() {
    let bench = Arc::new(Bench::new());
    let gate = Gate::closed();
    bench.faults.add(Verb::PutBlob, .., Fault::Hold(gate.clone()));
    let caller = Arc::clone(&bench);
    let call = tokio::spawn(async move { caller.put().await });
    gate.arrivals(1).await;
    assert!(!bench.is_kept().await && !call.is_finished());
    gate.open();
    call.await.unwrap().unwrap();
    assert!(bench.is_kept().await);
}

#[tokio::test]
async fn every_verb_meets_the_faults_of_its_own_name() {
    let verbs = [
        Verb::GetBlob,
        Verb::PutBlob,
        Verb::MissingBlobs,
        Verb::GetEntry,
        Verb::PutEntry,
        Verb::ListEntries,
        Verb::DeleteEntry,
        Verb::Locate,
        Verb::ReadSegment,
        Verb::ReceivePart,
        Verb::ReadUrls,
        Verb::ReceiveUrl,
        Verb::AdoptPart,
        Verb::WaitingParts,
        Verb::DiscardParts,
    ];
    for verb in verbs {
        let bench = Bench::new();
        bench.faults.add(verb, .., Fault::Fail(ErrorKind::Denied));
        let failed = call(&bench, verb).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Denied);
        let counted: Vec<_> = verbs.into_iter().filter(|verb| bench.faults.calls(*verb) > 0).collect();
        assert_eq!(counted, [verb]);
        bench.faults.clear();
        call(&bench, verb).await.unwrap();
        assert_eq!(bench.faults.calls(verb), 2);
    }
}

async fn call(bench: &Bench, verb: Verb) -> larder_base::Result<()> {
    let (faulty, ns) = (&bench.faulty, &bench.namespace);
    let door = DoorName::new("bench");
    let address = EntryAddress { namespace: ns.clone(), scope: Scope::Trusted, door, key: "key".parse().unwrap() };
    let all = EntryPrefix { namespace: ns.clone(), scope: None, door: None, prefix: String::new() };
    let body = EntryBody::Value(Bytes::new());
    let entry = NewEntry { body, attributes: Attributes::new(), links: [].into(), writer: String::new() };
    let part = PartName { upload: UploadId::from_random([1; 16]), number: 1 };
    match verb {
        Verb::GetBlob => Blobs::get(faulty, ns, &bench.hash, ByteRange::ALL).await.map(drop),
        Verb::PutBlob => bench.put().await,
        Verb::MissingBlobs => faulty.missing(ns, &[]).await.map(drop),
        Verb::GetEntry => Entries::get(faulty, &address, Access::Check).await.map(drop),
        Verb::PutEntry => Entries::put(faulty, &address, entry, PutIf::Always).await.map(drop),
        Verb::ListEntries => faulty.list(&all, None, 10).await.map(drop),
        Verb::DeleteEntry => faulty.delete(&address).await.map(drop),
        Verb::Locate => faulty.locate(ns, &[]).await.map(drop),
        Verb::ReadSegment => faulty.read(0, ByteRange::ALL).await.map(drop),
        Verb::ReceivePart => faulty.receive(&part, 0, in_pieces(&Bytes::new(), 1)).await,
        Verb::ReadUrls => faulty.read_urls(&[], Duration::ZERO).await.map(drop),
        Verb::ReceiveUrl => faulty.receive_url(&part, 0, Duration::ZERO).await.map(drop),
        Verb::AdoptPart => faulty.adopt(ns, &part, 0).await.map(drop),
        Verb::WaitingParts => faulty.waiting(None).await.map(drop),
        Verb::DiscardParts => faulty.discard(&part.upload).await,
    }
}
