//! A node over a memory, below another memory that breaks and lies when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use larder_base::segment::{Record, SEGMENT_HEADER};
use larder_base::{
    Adopted, Blob, BlobStream, Blobs, BoxFuture, Bulk, ByteRange, ContentHash, Digest, EntryAddress, EntryBody,
    EntryPrefix, Error, ErrorKind, Namespace, NewEntry, PartName, RecordLength, Result, Segments, UploadId, collect,
    stream_of,
};
use larder_testkit::clock::FakeClock;
use larder_testkit::content::noise;
use larder_testkit::faulty::{Fault, Faults, Faulty, Verb};
use larder_testkit::memory::Memory;
use parking_lot::Mutex;

use crate::cache::Tiers;
use crate::jobs::{Job, Next};
use crate::node::push::Pushing;
use crate::node::{Node, NodeOptions, NodeStatus, Upstream};

/// How the memory above lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    /// A bit of each record is flipped.
    Flip,
    /// The records are whole, and those of other content.
    Swap,
    /// The records have right names, lengths and checksums, and other content.
    Forge,
    /// The answer ends early.
    Cut,
    /// The answer is noise.
    Noise,
}

pub(super) struct Pair {
    pub(super) node: Node,
    pub(super) above: Memory,
    pub(super) faults: Faults,
    /// Those of the local store.
    pub(super) here_faults: Faults,
    pub(super) clock: FakeClock,
    here: Memory,
    far: Arc<Far>,
}

impl Pair {
    pub(super) async fn new() -> Self {
        Self::with_spool(1000).await
    }

    pub(super) async fn with_spool(spool_max: usize) -> Self {
        let clock = FakeClock::default();
        let shared = || Arc::new(clock.clone());
        let (here, above) = (Memory::new(shared()), Memory::new(shared()));
        let faults = Faults::none();
        let far = Arc::new(Far {
            tier: Faulty::new(Arc::new(above.clone()), faults.clone()),
            lie: Mutex::default(),
            poison: Mutex::default(),
            refusals: AtomicU32::new(0),
            sent: AtomicU32::new(0),
            fetches: AtomicU32::new(0),
        });
        let here_faults = Faults::none();
        let node = open(&here, &here_faults, &far, &clock, spool_max).await;
        Self { node, above, faults, here_faults, clock, here, far }
    }

    /// Another process on the same data.
    pub(super) async fn reopened(&self) -> Self {
        let Self { above, faults, here_faults, clock, here, far, .. } = self;
        let node = open(here, here_faults, far, clock, 1000).await;
        Self {
            node,
            above: above.clone(),
            faults: faults.clone(),
            here_faults: here_faults.clone(),
            clock: clock.clone(),
            here: here.clone(),
            far: far.clone(),
        }
    }

    pub(super) fn go_away(&self) {
        use Verb::{DeleteEntry, GetBlob, GetEntry, ListEntries, Locate, MissingBlobs, PutBlob, PutEntry};
        for verb in [GetBlob, PutBlob, MissingBlobs, GetEntry, PutEntry, ListEntries, DeleteEntry, Locate] {
            self.faults.add(verb, .., Fault::Fail(ErrorKind::Unavailable));
        }
    }

    pub(super) async fn come_back(&self) {
        self.faults.clear();
        let anywhere = namespace();
        let question = self.far.missing(&anywhere, &[]);
        self.node.inner.circuit.try_now(Duration::from_secs(1), question).await.unwrap();
    }

    /// Removes the spool's lines from the local store, as eviction does; says how many there were.
    pub(super) async fn evict_lines(&self) -> usize {
        let namespace: Namespace = "~node".parse().unwrap();
        let all = EntryPrefix { namespace, scope: None, door: None, prefix: String::new() };
        let lines = larder_base::Entries::list(&self.here, &all, None, 1000).await.unwrap().entries;
        for line in &lines {
            larder_base::Entries::delete(&self.here, &line.address).await.unwrap();
        }
        lines.len()
    }

    /// Has a blob not be taken above.
    pub(super) fn poison(&self, content: &Bytes, kind: ErrorKind) {
        *self.far.poison.lock() = Some((ContentHash::of(content), kind));
    }

    /// How often a blob was not taken.
    pub(super) fn refusals(&self) -> u32 {
        self.far.refusals.load(Ordering::Relaxed)
    }

    /// Has the job work, whatever time that takes, until nothing waits.
    pub(super) async fn work(&self) {
        self.work_until(|status| status.spool_entries == 0).await;
    }

    pub(super) async fn work_until(&self, is_done: impl Fn(NodeStatus) -> bool) {
        let job = Pushing::new(self.node.clone());
        for _ in 0..500 {
            self.work_once(&job).await;
            if is_done(self.node.status()) {
                return;
            }
        }
        panic!("it never comes to that: {:?}", self.node.status());
    }

    pub(super) async fn work_for(&self, time: Duration) {
        let job = Pushing::new(self.node.clone());
        let end = tokio::time::Instant::now() + time;
        for _ in 0..100_000 {
            if tokio::time::Instant::now() >= end {
                return;
            }
            self.work_once(&job).await;
        }
        panic!("time stands still: {:?}", self.node.status());
    }

    async fn work_once(&self, job: &Pushing) {
        if let Next::After(pause) = job.step().await.unwrap() {
            tokio::time::advance(pause).await;
        }
    }

    pub(super) fn lie(&self, lie: Lie) {
        *self.far.lie.lock() = Some(lie);
    }

    pub(super) fn tell_the_truth(&self) {
        *self.far.lie.lock() = None;
    }

    /// How many segments were sent, whatever became of them.
    pub(super) fn sends(&self) -> u32 {
        self.far.sent.load(Ordering::Relaxed)
    }

    /// Has the job take one step.
    pub(super) async fn step(&self) {
        Pushing::new(self.node.clone()).step().await.unwrap();
    }

    /// How often records were fetched.
    pub(super) fn fetches(&self) -> u32 {
        self.far.fetches.load(Ordering::Relaxed)
    }

    /// Sends all that waits, as the job does.
    pub(super) async fn push(&self) -> Result<()> {
        while !self.node.inner.spool.first(1).is_empty() {
            self.node.push(self.node.inner.spool.first(64)).await?;
        }
        Ok(())
    }

    pub(super) async fn put_above(&self, contents: &[Bytes]) {
        put_all(&self.above, contents).await;
    }

    /// Puts blobs through the node, and gives an entry that links to them.
    pub(super) async fn put_here(&self, contents: &[Bytes]) -> NewEntry {
        put_all(&self.node, contents).await;
        linked("value", contents)
    }
}

/// Bytes that may wait to be proved.
pub(super) const UNPROVED_MAX: u64 = 4 << 20;

async fn open(here: &Memory, faults: &Faults, far: &Arc<Far>, clock: &FakeClock, spool_max: usize) -> Node {
    let tier = Arc::new(Faulty::new(Arc::new(here.clone()), faults.clone()));
    let local = Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier };
    let above = Upstream { blobs: far.clone(), entries: Arc::new(far.tier.clone()), bulk: far.clone() };
    static STARTS: AtomicU64 = AtomicU64::new(1);
    let random = STARTS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let touch_every = Duration::from_secs(600);
    let options = NodeOptions { spool_max, touch_every, unproved_max_bytes: UNPROVED_MAX, random };
    Node::open(local, above, Arc::new(clock.clone()), options).await.unwrap()
}

async fn put_all(tier: &dyn Blobs, contents: &[Bytes]) {
    for content in contents {
        tier.put(&namespace(), None, None, stream_of(content.clone())).await.unwrap();
    }
}

pub(super) fn namespace() -> Namespace {
    "acme".parse().unwrap()
}

pub(super) fn address(key: &str) -> EntryAddress {
    address_in("acme", key)
}

pub(super) fn address_in(namespace: &str, key: &str) -> EntryAddress {
    EntryAddress {
        namespace: namespace.parse().unwrap(),
        scope: "trusted".parse().unwrap(),
        door: "ci".parse().unwrap(),
        key: key.parse().unwrap(),
    }
}

pub(super) fn value(text: &str) -> NewEntry {
    linked(text, &[])
}

pub(super) fn linked(text: &str, contents: &[Bytes]) -> NewEntry {
    NewEntry {
        body: EntryBody::Value(Bytes::copy_from_slice(text.as_bytes())),
        attributes: Default::default(),
        links: contents.iter().map(|content| ContentHash::of(content)).collect(),
        writer: "job".into(),
    }
}

/// Chunks of many sizes, none twice.
pub(super) fn contents(count: u64) -> Vec<Bytes> {
    (0..count).map(|n| noise(n + 1, 1000 + 50_000 * n as usize)).collect()
}

/// The memory above, as a client of the tier door sees it.
struct Far {
    tier: Faulty<Memory>,
    lie: Mutex<Option<Lie>>,
    /// A blob that is not taken, and how that is said.
    poison: Mutex<Option<(ContentHash, ErrorKind)>>,
    refusals: AtomicU32,
    sent: AtomicU32,
    fetches: AtomicU32,
}

impl Far {
    fn check(&self, is_there: impl Fn(&ContentHash) -> bool) -> Result<()> {
        match &*self.poison.lock() {
            Some((hash, kind)) if is_there(hash) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
                Err(Error::new(*kind, "put blob", "it is not taken"))
            }
            _ => Ok(()),
        }
    }

    fn twist(&self, record: Bytes) -> Bytes {
        let Some(lie) = *self.lie.lock() else { return record };
        let mut twisted = BytesMut::from(&record[..]);
        match lie {
            Lie::Flip => *twisted.last_mut().unwrap() ^= 1,
            Lie::Swap => {
                let other = noise(99, record.len() - larder_base::segment::RECORD_HEADER_LEN);
                let record = Record::chunk(ContentHash::of(&other), other, 1);
                twisted = BytesMut::from(&record.header.encode()[..]);
                twisted.extend_from_slice(&record.body);
            }
            Lie::Forge => {
                let head = record.first_chunk().unwrap();
                let name = larder_base::segment::RecordHeader::decode(head).unwrap().hash;
                let other = noise(97, record.len() - larder_base::segment::RECORD_HEADER_LEN);
                let record = Record::chunk(name, other, 1);
                twisted = BytesMut::from(&record.header.encode()[..]);
                twisted.extend_from_slice(&record.body);
            }
            Lie::Cut => twisted.truncate(record.len() / 2),
            Lie::Noise => twisted = BytesMut::from(&noise(98, record.len())[..]),
        }
        twisted.freeze()
    }
}

impl Blobs for Far {
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(async move {
            if self.lie.lock().is_some() {
                let content = Bytes::from_static(b"what it is not");
                let digest = Digest { hash: *hash, size: content.len() as u64 };
                return Ok(Some(Blob { digest, body: stream_of(content) }));
            }
            self.tier.get(namespace, hash, range).await
        })
    }

    fn put<'a>(
        &'a self,
        namespace: &'a Namespace,
        expected: Option<&'a ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> BoxFuture<'a, Result<Digest>> {
        Box::pin(async move {
            self.check(|hash| expected == Some(hash))?;
            self.tier.put(namespace, expected, size, body).await
        })
    }

    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>> {
        self.tier.missing(namespace, hashes)
    }
}

impl Bulk for Far {
    fn records<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<RecordLength>>> {
        Box::pin(async move {
            let located = self.tier.locate(namespace, hashes).await?;
            Ok(located.iter().map(|place| RecordLength { digest: place.digest, length: place.length }).collect())
        })
    }

    fn fetch<'a>(&'a self, namespace: &'a Namespace, hashes: &'a [ContentHash]) -> BoxFuture<'a, Result<BlobStream>> {
        Box::pin(async move {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            let mut segment = BytesMut::from(&SEGMENT_HEADER[..]);
            for place in self.tier.locate(namespace, hashes).await? {
                let range = ByteRange { offset: place.offset, length: Some(place.length) };
                let record = self.tier.read(place.segment, range).await?.unwrap();
                segment.extend_from_slice(&self.twist(collect(record, 4 << 20).await?));
            }
            // Each piece is waited for, as those of a network are.
            let pieces: Vec<_> = segment.chunks(64 << 10).map(Bytes::copy_from_slice).collect();
            let body = futures_util::stream::iter(pieces).then(|piece| async {
                tokio::task::yield_now().await;
                Ok(piece)
            });
            Ok(body.boxed())
        })
    }

    fn send<'a>(&'a self, namespace: &'a Namespace, segment: Bytes) -> BoxFuture<'a, Result<Adopted>> {
        Box::pin(async move {
            self.check(|hash| segment.windows(32).any(|window| window == hash.as_bytes()))?;
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            let part = PartName { upload: UploadId::from_random([7; 16]), number };
            let length = segment.len() as u64;
            self.tier.receive(&part, length, stream_of(segment)).await?;
            Ok(self.tier.adopt(namespace, &part, length).await?.unwrap())
        })
    }
}
