//! The door on a tier in memory that fails when a test says so.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use larder_base::{ContentHash, ErrorKind, Namespace, Scope};
use larder_cache::{Cache, Grant, Jobs, Rights, Signer, Tiers, TokenHash};
use larder_door::{Section, golden};
use larder_testkit::clock::FakeClock;
use larder_testkit::faulty::{Fault, Faults, Faulty, Verb};
use larder_testkit::memory::Memory;

/// Reads and writes.
pub(crate) const WRITER: &str = "writer-token";
/// Only reads.
pub(crate) const READER: &str = "reader-token";

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) cache: Cache,
    pub(crate) faults: Faults,
    pub(crate) memory: Memory,
}

impl World {
    /// Everyone is trusted, and nothing is configured.
    pub(crate) fn new() -> Self {
        Self::with("", Rights::Open)
    }

    /// The door with this section.
    pub(crate) fn configured(section: &str) -> Self {
        Self::with(section, Rights::Open)
    }

    /// Only [`WRITER`] and [`READER`] are known.
    pub(crate) fn guarded() -> Self {
        let grant = |token: &str, write| Grant {
            principal: token.into(),
            token: TokenHash::of(token),
            namespaces: "*".parse().unwrap(),
            read: vec![Scope::Trusted],
            write,
            admin: false,
        };
        Self::with("", Rights::Tokens(vec![grant(WRITER, Some(Scope::Trusted)), grant(READER, None)]))
    }

    fn with(section: &str, rights: Rights) -> Self {
        let clock = Arc::new(FakeClock::default());
        let (memory, faults) = (Memory::new(clock.clone()), Faults::none());
        let faulty = Arc::new(Faulty::new(Arc::new(memory.clone()), faults.clone()));
        let tiers = Tiers { blobs: faulty.clone(), entries: faulty.clone(), segments: faulty };
        let cache = Cache::new(tiers, rights, Signer::new(&[7; 32]), Jobs::new(clock.clone()), clock);
        let section = Section::new(crate::DOOR.name, toml::from_str(section).unwrap());
        let router = (crate::DOOR.open)(section, cache.door(crate::DOOR.door_name())).unwrap();
        Self { router, cache, faults, memory }
    }

    /// Every call of these verbs fails from now on.
    pub(crate) fn fail(&self, verbs: &[Verb], kind: ErrorKind) {
        for verb in verbs {
            self.faults.add(*verb, .., Fault::Fail(kind));
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Bytes> {
        golden::exchange(&self.router, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(get(path)).await
    }

    /// PUTs and expects it to be taken.
    pub(crate) async fn put(&self, path: &str, body: impl Into<Bytes>) {
        let response = self.send(put(path, body)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}: {response:?}");
    }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub(crate) fn head(path: &str) -> Request<Body> {
    Request::head(path).body(Body::empty()).unwrap()
}

pub(crate) fn delete(path: &str) -> Request<Body> {
    Request::delete(path).body(Body::empty()).unwrap()
}

pub(crate) fn put(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    let body = body.into();
    let length = body.len();
    Request::put(path).header("content-length", length).body(Body::from(body)).unwrap()
}

/// The request of a method that has a body only when it is PUT.
pub(crate) fn request(method: &Method, path: &str) -> Request<Body> {
    let body = if method == Method::PUT { Body::from("value") } else { Body::empty() };
    Request::builder().method(method).uri(path).body(body).unwrap()
}

/// The request with one header more.
pub(crate) fn with(mut request: Request<Body>, name: &'static str, value: &'static str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

pub(crate) fn namespace() -> Namespace {
    "demo".parse().unwrap()
}

/// The hexadecimal SHA-256 of some content.
pub(crate) fn sha(content: &[u8]) -> String {
    ContentHash::of(content).to_hex()
}
