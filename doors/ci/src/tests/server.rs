//! A server in the test's own process, and a client of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{Method, Request, StatusCode};
use larder_base::{DoorName, Scope};
use larder_cache::{Cache, Grant, Job, Jobs, Rights, Signer, Tiers, TokenHash};
use larder_door::golden::exchange;
use larder_testkit::clock::FakeClock;
use larder_testkit::faulty::{Faults, Faulty};
use larder_testkit::memory::Memory;
use serde_json::Value;

use super::sample::Sample;
use crate::commit::Commits;
use crate::settings::Settings;
use crate::sweep::Sweep;
use crate::{Ci, routes};

/// Long enough for whatever a server does in a test; the clock stands still while it works.
pub(super) const WAIT: u64 = 20_000;

/// What outlives a server: its tiers and the time.
#[derive(Clone)]
pub(super) struct World {
    pub(super) memory: Memory,
    pub(super) clock: FakeClock,
    pub(super) faults: Faults,
    pub(super) rights: Rights,
    pub(super) settings: Settings,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = FakeClock::default();
        let memory = Memory::new(Arc::new(clock.clone()));
        let settings = Settings::default();
        Self { memory, clock, faults: Faults::none(), rights: Rights::Open, settings }
    }

    /// A world where tokens are needed: `trusted` and `other` write the trusted scope, `pr` writes `pr/7` and reads both,
    /// `next` does that with `pr/8`, `apart` writes `pr/7` and reads `trusted`, `reader` only reads, `admin` sees and removes everything,
    /// `operator` too and writes nothing.
    pub(super) fn with_tokens() -> Self {
        let grant = |token: &str, read: &[&str], write: Option<&str>, admin| Grant {
            principal: token.into(),
            token: TokenHash::of(token),
            namespaces: "acme".parse().unwrap(),
            read: read.iter().map(|scope| scope.parse().unwrap()).collect(),
            write: write.map(|scope| scope.parse::<Scope>().unwrap()),
            admin,
        };
        let rights = Rights::Tokens(vec![
            grant("trusted", &["trusted"], Some("trusted"), false),
            grant("other", &["trusted"], Some("trusted"), false),
            grant("pr", &["pr/7", "trusted"], Some("pr/7"), false),
            grant("next", &["pr/8", "trusted"], Some("pr/8"), false),
            grant("apart", &["trusted"], Some("pr/7"), false),
            grant("reader", &["trusted"], None, false),
            grant("admin", &["trusted"], Some("trusted"), true),
            grant("operator", &["trusted"], None, true),
        ]);
        Self { rights, ..Self::new() }
    }

    /// A server with its jobs running.
    pub(super) fn start(&self) -> Server {
        let server = self.start_idle();
        server.run_jobs();
        server
    }

    /// A server that commits and sweeps nothing by itself.
    pub(super) fn start_idle(&self) -> Server {
        let tier = Arc::new(Faulty::new(Arc::new(self.memory.clone()), self.faults.clone()));
        let tiers = Tiers { blobs: tier.clone(), entries: tier.clone(), segments: tier };
        let clock = Arc::new(self.clock.clone());
        let jobs = Jobs::new(clock.clone());
        let cache = Cache::new(tiers, self.rights.clone(), Signer::new(&[7; 32]), jobs.clone(), clock);
        cache.remember_readers(Arc::new(self.memory.clone()));
        let ci = Ci::new(cache.door(DoorName::new("ci")), self.settings);
        Server { router: routes(ci.clone()), ci, jobs }
    }
}

pub(super) struct Server {
    pub(super) router: Router,
    pub(super) ci: Ci,
    pub(super) jobs: Jobs,
}

impl Server {
    pub(super) fn run_jobs(&self) {
        crate::start(&self.ci, &self.jobs);
    }

    /// Commits what is finished here, and nothing that another server left.
    pub(super) fn run_commits(&self) {
        self.ci.queue().wake_with(self.jobs.start(Arc::new(Commits::new(self.ci.clone()))));
    }

    /// Ends it as kill -9 would, but for what it was writing at that moment: nothing of it goes on.
    pub(super) async fn kill(self) {
        self.jobs.stop(Duration::ZERO).await;
    }

    /// One sweep, now.
    pub(super) async fn sweep(&self) -> String {
        let sweep = Sweep::new(self.ci.clone());
        sweep.step().await.unwrap();
        sweep.status()
    }

    pub(super) fn as_anyone(&self) -> Client<'_> {
        Client { server: self, token: None, namespace: "acme" }
    }

    pub(super) fn with_token<'a>(&'a self, token: &'a str) -> Client<'a> {
        Client { server: self, token: Some(token), namespace: "acme" }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    server: &'a Server,
    token: Option<&'a str>,
    pub(super) namespace: &'a str,
}

impl Client<'_> {
    pub(super) fn request(&self, method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
        let request = Request::builder().method(method).uri(format!("/ci/v1/{}/{path}", self.namespace));
        match self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
        .body(body.into())
        .unwrap()
    }

    pub(super) async fn raw(&self, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, Bytes) {
        let response = exchange(&self.server.router, self.request(method, path, body)).await;
        (response.status(), response.into_body())
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let (status, body) = self.raw(method, path, body).await;
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, body.to_string()).await
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Body::empty()).await
    }

    pub(super) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::DELETE, path, Body::empty()).await
    }

    /// Begins an upload and gives its id.
    pub(super) async fn begin(&self, begin: Value) -> String {
        let (status, answer) = self.post("uploads", begin).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["upload"].as_str().unwrap().to_owned()
    }

    /// Asks for the URL of a part.
    pub(super) async fn part_url(&self, upload: &str, number: u32, length: usize) -> String {
        let body = serde_json::json!({ "number": number, "length": length });
        let (status, answer) = self.post(&format!("uploads/{upload}/parts"), body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["url"].as_str().unwrap().to_owned()
    }

    /// Sends bytes to a signed URL, without a token.
    pub(super) async fn put(&self, url: &str, body: Bytes) -> (StatusCode, Value) {
        let nobody = Client { token: None, ..*self };
        let length = body.len();
        let mut request = nobody.request(Method::PUT, url, body);
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
        let response = exchange(&self.server.router, request).await;
        let status = response.status();
        (status, serde_json::from_slice(response.body()).unwrap_or(Value::Null))
    }

    pub(super) async fn send(&self, upload: &str, number: u32, body: Bytes) {
        let url = self.part_url(upload, number, body.len()).await;
        let (status, answer) = self.put(&url, body).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    }

    /// Begins an upload and sends all of a sample in one part.
    pub(super) async fn upload(&self, key: &str, sample: &Sample) -> String {
        let upload = self.begin(sample.begin(key)).await;
        self.send(&upload, 1, sample.part()).await;
        upload
    }

    pub(super) async fn finish(&self, upload: &str, finish: Value) -> Value {
        let (status, answer) = self.post(&format!("uploads/{upload}/finish"), finish).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// A whole save; gives its end.
    pub(super) async fn save(&self, key: &str, sample: &Sample) -> Value {
        let upload = self.upload(key, sample).await;
        self.finish(&upload, sample.finish(&[1], WAIT)).await
    }

    pub(super) async fn lookup(&self, key: &str, fallbacks: &[&str]) -> Value {
        let (status, answer) = self.post("lookup", serde_json::json!({ "key": key, "fallbacks": fallbacks })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }
}
