//! The tier door of a server with a bucket, and its client, whose bytes go straight to the bucket and come straight from
//! it; and what happens when the client alone does not reach it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Adopted, BlobStream, Blobs, BoxFuture, Bulk, ByteRange, Clock, ContentHash, Located, Namespace, PartName, Result,
    SegmentRange, Segments, TransferUrl, UploadId, collect, stream_of,
};
use larder_cache::{Cache, Jobs, Rights, Signer, Tiers};
use larder_door::Section;
use larder_remote::s3::{Bucket, BucketConfig, CredentialChain, CredentialSource, Credentials, Presigned};
use larder_remote::{HttpClient, Policy, UpstreamTier};
use larder_testkit::clock::FakeClock;
use larder_testkit::content::noise;
use larder_testkit::memory::Memory;
use larder_testkit::s3::{ACCESS_KEY_ID, BUCKET, FakeS3, Fault, Lockout, Operation, REGION, SECRET_ACCESS_KEY};
use larder_testkit::segment;

use crate::server::PATIENCE;

/// The part that a node's client has.
fn client_policy() -> Policy {
    let idle = Duration::from_secs(2);
    Policy { tries: 2, total: Duration::from_secs(4), idle, first_pause: Duration::from_millis(1), ..Policy::default() }
}

/// What outlives a server: a memory tier, and a bucket to which it gives URLs.
#[derive(Clone)]
struct World {
    memory: Memory,
    clock: FakeClock,
    store: FakeS3,
    bucket: Bucket,
}

impl World {
    async fn new() -> Self {
        let clock = FakeClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = FakeS3::start(shared.clone()).await;
        let config = BucketConfig {
            endpoint: Some(store.url().to_owned()),
            region: Some(REGION.to_owned()),
            ..BucketConfig::new(format!("s3://{BUCKET}/larder").parse().unwrap())
        };
        let http = HttpClient::new(Policy::default(), 1);
        let keys = CredentialSource::Static(Credentials::lasting(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let chain = CredentialChain::new(vec![keys], http.clone(), shared.clone());
        let bucket = Bucket::new(&config, chain, http, shared.clone()).unwrap();
        Self { memory: Memory::new(shared), clock, store, bucket }
    }

    async fn start(&self) -> Server {
        let tier = Arc::new(self.memory.clone());
        let tiers = Tiers { blobs: tier.clone(), entries: tier, segments: Arc::new(self.clone()) };
        let clock: Arc<FakeClock> = Arc::new(self.clock.clone());
        let jobs = Jobs::new(clock.clone());
        let cache = Cache::new(tiers, Rights::Open, Signer::new(&[7; 32]), jobs.clone(), clock);
        let door = door_tier::DOOR;
        let routes = (door.open)(Section::new(door.name, toml::Table::new()), cache.door(door.door_name())).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Server { url, jobs, task }
    }

    /// The objects that were put by a URL.
    fn uploads(&self) -> Vec<String> {
        self.store.keys().into_iter().filter(|key| key.contains("/uploads/")).collect()
    }
}

fn upload_start(upload: &UploadId) -> String {
    format!("larder/uploads/{upload}.")
}

fn transfer_url(Presigned { url, headers, expires }: Presigned) -> TransferUrl {
    // The length is told by whoever sends the body.
    let headers = headers.into_iter().filter(|(name, _)| *name != "content-length");
    TransferUrl { url, headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(), expires }
}

impl Segments for World {
    fn locate<'a>(&'a self, of: &'a Namespace, hashes: &'a [ContentHash]) -> BoxFuture<'a, Result<Vec<Located>>> {
        self.memory.locate(of, hashes)
    }

    fn read(&self, segment: u64, range: ByteRange) -> BoxFuture<'_, Result<Option<BlobStream>>> {
        self.memory.read(segment, range)
    }

    fn receive<'a>(&'a self, part: &'a PartName, length: u64, body: BlobStream) -> BoxFuture<'a, Result<()>> {
        self.memory.receive(part, length, body)
    }

    fn read_urls<'a>(
        &'a self,
        ranges: &'a [SegmentRange],
        life: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>> {
        Box::pin(async move {
            let mut urls = Vec::new();
            for SegmentRange { segment, offset, length } in ranges {
                let whole = self.memory.read(*segment, ByteRange::ALL).await?.unwrap();
                let key = format!("segments/{segment}");
                self.store.put(&format!("larder/{key}"), collect(whole, 64 << 20).await?);
                urls.push(Some(transfer_url(self.bucket.presign_range(&key, *offset, *length, life).await?)));
            }
            Ok(urls)
        })
    }

    fn receive_url<'a>(
        &'a self,
        part: &'a PartName,
        length: u64,
        life: Duration,
    ) -> BoxFuture<'a, Result<Option<TransferUrl>>> {
        Box::pin(async move {
            let signed = self.bucket.presign_new(&format!("uploads/{part}"), length, life).await?;
            Ok(Some(transfer_url(signed)))
        })
    }

    fn adopt<'a>(
        &'a self,
        of: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>> {
        Box::pin(async move {
            if let Some(body) = self.store.object(&format!("larder/uploads/{part}")) {
                self.memory.receive(part, body.len() as u64, stream_of(body)).await?;
            }
            self.memory.adopt(of, part, length).await
        })
    }

    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>> {
        self.memory.waiting(upload)
    }

    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>> {
        let start = upload_start(upload);
        self.uploads().iter().filter(|key| key.starts_with(&start)).for_each(|key| self.store.forget(key));
        self.memory.discard(upload)
    }
}

/// A server; ended when dropped.
struct Server {
    url: String,
    jobs: Jobs,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    fn client(&self) -> UpstreamTier {
        self.client_with(client_policy())
    }

    fn client_with(&self, policy: Policy) -> UpstreamTier {
        UpstreamTier::new(HttpClient::new(policy, 1), self.url.parse().unwrap(), None).unwrap()
    }
}

fn acme() -> Namespace {
    "acme".parse().unwrap()
}

fn contents() -> Vec<Bytes> {
    (0..12).map(|seed| noise(seed, 1_000_000)).collect()
}

fn hashes() -> Vec<ContentHash> {
    contents().iter().map(|content| segment::record(content).header.hash).collect()
}

async fn fetch(client: &UpstreamTier) -> Bytes {
    collect(client.fetch(&acme(), &hashes()).await.unwrap(), 64 << 20).await.unwrap()
}

/// What comes when the bucket `changes` while all three requests for it are at the bucket.
async fn fetch_meeting(client: &UpstreamTier, store: &FakeS3, changes: impl FnOnce(&FakeS3)) -> Bytes {
    store.inject(Operation::Get, Fault::Hold, 3);
    let all_are_held = async {
        while store.held() < 3 {
            tokio::task::yield_now().await;
        }
    };
    let (came, ()) = tokio::join!(fetch(client), async {
        tokio::time::timeout(PATIENCE, all_are_held).await.expect("three requests come to the bucket");
        changes(store);
        store.release();
    });
    came
}

/// A server that has the chunks, and what the client that sent them put into the bucket.
async fn with_chunks(world: &World) -> Server {
    let server = world.start().await;
    assert_eq!(server.client().send(&acme(), segment::body(&contents())).await.unwrap().records, 12);
    server
}

#[tokio::test]
async fn bytes_go_up_and_come_down_past_the_server() {
    let world = World::new().await;
    let server = with_chunks(&world).await;
    let segment = segment::body(&contents());
    assert_eq!(world.store.carried(), (segment.len() as u64, 0));
    let client = server.client();
    assert_eq!(fetch(&client).await, segment);
    assert_eq!(world.store.carried(), (segment.len() as u64, segment.len() as u64 - 16));
    let status = client.direct_status();
    assert_eq!((status.bytes_down, status.failed), (segment.len() as u64 - 16, 0));
    assert_eq!(world.store.overwriting_puts("uploads"), 0, "nobody replaces what was verified");
}

#[tokio::test]
async fn a_client_that_does_not_reach_the_bucket_goes_through_the_server() {
    let world = World::new().await;
    let server = world.start().await;
    world.store.lock_clients_out(Some(Lockout::Reset));
    let client = server.client();
    assert_eq!(client.send(&acme(), segment::body(&contents())).await.unwrap().records, 12);
    assert_eq!(fetch(&client).await, segment::body(&contents()));
    let status = client.direct_status();
    assert_eq!((status.bytes_up, status.bytes_down, status.up, status.down), (0, 0, false, false));
    assert_eq!((world.store.carried(), world.uploads()), ((0, 0), vec![]));
    // For now it asks for no URL.
    let requests = world.store.seen().len();
    assert_eq!(fetch(&client).await, segment::body(&contents()));
    assert_eq!(world.store.seen().len(), requests);
}

#[tokio::test]
async fn gets_that_fail_are_made_up_for() {
    let world = World::new().await;
    let server = with_chunks(&world).await;
    let forbidden = Fault::Refuse(403, "AccessDenied");
    let torn = Fault::BreakOff(1_500_000);
    for (fault, times, is_given_up) in [
        (forbidden, 1, true),
        (Fault::Refuse(503, "SlowDown"), 1, false),
        (Fault::Refuse(503, "SlowDown"), 100, true),
        (Fault::Reset, 1, false),
        (Fault::Reset, 100, true),
        (torn, 1, false),
        (torn, 100, true),
        (Fault::Stall(1_500_000), 100, true),
        (Fault::IgnoreRange, 1, true),
    ] {
        world.store.heal();
        world.store.inject(Operation::Get, fault, times);
        let client = server.client();
        assert!(fetch(&client).await == segment::body(&contents()), "{fault:?}");
        let status = client.direct_status();
        assert_eq!((!status.down, status.failed > 0), (is_given_up, is_given_up), "{fault:?}: {status:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_falls_silent_leaves_time_to_ask_the_server() {
    let world = World::new().await;
    let server = with_chunks(&world).await;
    world.store.inject(Operation::Get, Fault::Stall(1000), 100);
    // More than a node waits for records in all.
    let patient = server.client_with(Policy { idle: Duration::from_secs(40), ..client_policy() });
    let start = tokio::time::Instant::now();
    let came = patient.fetch(&acme(), &hashes()[..2]).await.unwrap();
    assert!(collect(came, 64 << 20).await.unwrap() == segment::body(&contents()[..2]));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(!patient.direct_status().down);
}

#[tokio::test]
async fn an_object_that_the_bucket_forgot_comes_from_the_server_if_it_has_it() {
    let world = World::new().await;
    let server = with_chunks(&world).await;
    let client = server.client();
    let coming = fetch_meeting(&client, &world.store, |store| {
        store.keys().iter().for_each(|key| store.forget(key));
    });
    let came = coming.await;
    assert!(came == segment::body(&contents()));
    assert_eq!(client.direct_status().bytes_down, 0);
}

#[tokio::test]
async fn bytes_that_the_bucket_changed_are_counted_and_not_passed_on() {
    let world = World::new().await;
    let server = with_chunks(&world).await;
    let client = server.client();
    let coming = fetch_meeting(&client, &world.store, |store| {
        for key in store.keys().iter().filter(|key| key.contains("/segments/")) {
            let mut changed = store.object(key).unwrap().to_vec();
            changed.iter_mut().skip(500).step_by(1_000_000).for_each(|byte| *byte ^= 1);
            store.put(key, changed);
        }
    });
    let came = coming.await;
    assert!(came == segment::body(&contents()));
    let status = client.direct_status();
    assert_eq!((status.bytes_down, status.wrong, status.down), (0, 3, false));
}

#[tokio::test]
async fn a_put_that_the_bucket_refuses_or_whose_url_expired_goes_through_the_server() {
    let world = World::new().await;
    let server = world.start().await;
    let segment = segment::body(&contents());
    world.store.inject(Operation::Put, Fault::Refuse(403, "AccessDenied"), 1);
    let client = server.client();
    assert_eq!(client.send(&acme(), segment.clone()).await.unwrap().records, 12);
    assert_eq!((client.direct_status().up, world.uploads().len()), (false, 0));

    world.store.inject(Operation::Put, Fault::Hold, 1);
    let (client, acme) = (server.client(), acme());
    let (sent, ()) = tokio::join!(client.send(&acme, segment.clone()), async {
        while world.store.held() == 0 {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_secs(1801));
        world.store.release();
    });
    assert_eq!(sent.unwrap().records, 12);
    assert_eq!((client.direct_status().up, world.uploads().len()), (false, 0));
    assert!(world.memory.missing(&acme, &hashes()).await.unwrap().is_empty());

    // One whose answer is lost was put, and is not put twice.
    world.store.inject(Operation::Put, Fault::ResetAfter, 1);
    let client = server.client();
    assert_eq!(client.send(&acme, segment).await.unwrap().records, 12);
    assert_eq!((client.direct_status().failed, world.uploads().len()), (0, 1));
}

#[tokio::test]
async fn what_a_node_put_before_it_was_killed_is_swept() {
    let world = World::new().await;
    let server = world.start().await;
    world.store.inject(Operation::Put, Fault::HoldAnswer, 1);
    let (client, acme) = (server.client(), acme());
    {
        let sending = client.send(&acme, segment::body(&contents()));
        tokio::pin!(sending);
        while world.store.held() == 0 {
            tokio::select! {
                sent = &mut sending => panic!("{sent:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert_eq!(world.uploads().len(), 1);
    drop(server);
    let server = world.start().await;
    server.jobs.run("tier-sweep").await.unwrap();
    assert_eq!(world.uploads().len(), 1, "its node may still come back");
    world.clock.advance(Duration::from_secs(3601));
    let swept = server.jobs.run("tier-sweep").await.unwrap();
    assert!(swept.last_error().is_none(), "{swept:?}");
    assert_eq!(world.uploads(), [""; 0]);
    assert_eq!(world.memory.missing(&acme, &hashes()).await.unwrap().len(), 12);
}
