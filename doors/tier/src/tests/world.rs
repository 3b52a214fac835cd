//! A server of the door over a memory tier that has a bucket, and callers of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use larder_base::{
    Adopted, BlobStream, BoxFuture, ByteRange, ContentHash, DoorName, Located, Namespace, PartName, Result, Scope,
    SegmentRange, Segments, Timestamp, TransferUrl, UploadId, stream_of,
};
use larder_cache::{Cache, Grant, Job, Jobs, Rights, Signer, Tiers, TokenHash};
use larder_door::golden::exchange;
use larder_testkit::clock::FakeClock;
use larder_testkit::faulty::{Faults, Faulty};
use larder_testkit::memory::Memory;

use crate::sweep::Sweep;
use crate::uploads::Uploads;
use crate::{Tier, routes};

/// What outlives a server.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) clock: FakeClock,
    pub(crate) faults: Faults,
    pub(crate) has_bucket: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = FakeClock::default();
        let memory = Memory::new(Arc::new(clock.clone()));
        Self { memory, clock, faults: Faults::none(), has_bucket: true }
    }

    pub(crate) fn start(&self) -> Server {
        let grant = |token: &str, namespace: &str, write: Option<&str>| Grant {
            principal: token.into(),
            token: TokenHash::of(token),
            namespaces: namespace.parse().unwrap(),
            read: vec![Scope::Trusted],
            write: write.map(|scope| scope.parse().unwrap()),
            admin: false,
        };
        let rights = Rights::Tokens(vec![
            grant("main", "*", Some("trusted")),
            grant("other", "acme", Some("pr/7")),
            grant("reader", "acme", None),
        ]);
        let segments = InBucket { memory: self.memory.clone(), has_bucket: self.has_bucket };
        let segments = Arc::new(Faulty::new(Arc::new(segments), self.faults.clone()));
        let memory = Arc::new(Faulty::new(Arc::new(self.memory.clone()), self.faults.clone()));
        let tiers = Tiers { blobs: memory.clone(), entries: memory, segments };
        let clock = Arc::new(self.clock.clone());
        let cache = Cache::new(tiers, rights, Signer::new(&[7; 32]), Jobs::new(clock.clone()), clock);
        let cache = cache.door(DoorName::new("tier"));
        let tier = Tier { uploads: Arc::new(Uploads::new(&cache)), cache, received: Arc::default() };
        Server { routes: routes(tier.clone()), tier }
    }

    /// What a node does with a URL.
    pub(crate) async fn put(&self, url: &str, body: Bytes) {
        let (upload, number) = url.strip_prefix("http://bucket/parts/").unwrap().split_once('.').unwrap();
        let part = PartName { upload: upload.parse().unwrap(), number: number.parse().unwrap() };
        self.memory.receive(&part, body.len() as u64, stream_of(body)).await.unwrap();
    }

    /// How many objects wait in the bucket.
    pub(crate) async fn objects(&self) -> usize {
        self.memory.waiting(None).await.unwrap().len()
    }
}

pub(crate) struct Server {
    routes: Router,
    tier: Tier,
}

impl Server {
    pub(crate) async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Bytes) {
        self.ask_in("acme", token, method, path, body).await
    }

    pub(crate) async fn ask_in(
        &self,
        namespace: &str,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Bytes) {
        let request = Request::builder().method(method).uri(format!("/tier/v1/{namespace}/{path}"));
        let request = request.header(AUTHORIZATION, format!("Bearer {token}")).body(body.into()).unwrap();
        let answer = exchange(&self.routes, request).await;
        (answer.status(), answer.body().clone())
    }

    /// One sweep, now.
    pub(crate) async fn sweep(&self) -> String {
        let sweep = Sweep::new(self.tier.clone());
        sweep.step().await.unwrap();
        sweep.status()
    }
}

/// A memory that gives out URLs, of which nobody sees whether they were used.
struct InBucket {
    memory: Memory,
    has_bucket: bool,
}

impl InBucket {
    fn url(&self, url: String, headers: &[(&str, String)]) -> Option<TransferUrl> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.has_bucket.then_some(TransferUrl { url, headers, expires: Timestamp::from_millis(1) })
    }
}

impl Segments for InBucket {
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
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>> {
        let url = |range: &SegmentRange| {
            let bytes = format!("bytes={}-{}", range.offset, range.offset + range.length - 1);
            self.url(format!("http://bucket/segments/{}", range.segment), &[("range", bytes)])
        };
        Box::pin(std::future::ready(Ok(ranges.iter().map(url).collect())))
    }

    fn receive_url<'a>(
        &'a self,
        part: &'a PartName,
        length: u64,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<TransferUrl>>> {
        let url = self.url(format!("http://bucket/parts/{part}"), &[("content-length", length.to_string())]);
        Box::pin(std::future::ready(Ok(url)))
    }

    fn adopt<'a>(
        &'a self,
        of: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>> {
        self.memory.adopt(of, part, length)
    }

    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>> {
        self.memory.waiting(upload)
    }

    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>> {
        self.memory.discard(upload)
    }
}
