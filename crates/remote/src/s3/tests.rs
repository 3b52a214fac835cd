//! What a bucket promises, against each store that can be had; and what it does when a store breaks.

mod fake;
mod faults;
mod moto;
mod real;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use larder_base::{BlobStream, Clock};
use larder_testkit::clock::FakeClock;
use larder_testkit::s3::{ACCESS_KEY_ID, BUCKET, DIRECTORY_BUCKET, FakeS3, REGION, SECRET_ACCESS_KEY};

use super::{Bucket, BucketConfig, CredentialChain, CredentialSource, Credentials, Presigned};
use crate::http::Payload;
use crate::{HttpClient, Policy};

/// A client that tries thrice, quickly.
pub(super) fn quick() -> HttpClient {
    let policy = Policy {
        tries: 3,
        idle: Duration::from_secs(5),
        first_pause: Duration::from_millis(1),
        total: Duration::from_secs(20),
        ..Policy::default()
    };
    HttpClient::new(policy, 1)
}

pub(super) fn config(name: &str, endpoint: &str) -> BucketConfig {
    BucketConfig {
        endpoint: Some(endpoint.to_owned()),
        region: Some(REGION.to_owned()),
        ..BucketConfig::new(format!("s3://{name}/below/here").parse().unwrap())
    }
}

pub(super) fn keys() -> Credentials {
    Credentials::lasting(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
}

pub(super) fn bucket_with(
    config: &BucketConfig,
    source: CredentialSource,
    clock: &Arc<dyn Clock>,
    http: HttpClient,
) -> Bucket {
    let chain = CredentialChain::new(vec![source], http.clone(), Arc::clone(clock));
    Bucket::new(config, chain, http, Arc::clone(clock)).unwrap()
}

/// A store of our own, the bucket in it, and the clock of both.
pub(super) async fn fake() -> (FakeS3, Bucket, FakeClock) {
    let clock = FakeClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let store = FakeS3::start(Arc::clone(&shared)).await;
    let source = CredentialSource::Static(keys());
    let bucket = bucket_with(&config(BUCKET, store.url()), source, &shared, quick());
    (store, bucket, clock)
}

/// As [`fake`], with a directory bucket.
pub(super) async fn fake_directory() -> (FakeS3, Bucket, FakeClock) {
    let clock = FakeClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let store = FakeS3::start_directory(Arc::clone(&shared)).await;
    let source = CredentialSource::Static(keys());
    let bucket = bucket_with(&config(DIRECTORY_BUCKET, store.url()), source, &shared, quick());
    (store, bucket, clock)
}

pub(super) async fn read(body: BlobStream) -> larder_base::Result<Bytes> {
    larder_base::collect(body, 64 << 20).await
}

/// Uses a presigned URL as any HTTP client does.
pub(super) async fn transfer(
    method: Method,
    signed: &Presigned,
    extra: &[(&str, &str)],
    body: Bytes,
) -> Response<Bytes> {
    let mut headers = HeaderMap::new();
    let signed_headers = signed.headers.iter().map(|(name, value)| (*name, value.as_str()));
    // The client tells the length of what it sends, whatever was signed.
    for (name, value) in signed_headers.filter(|(name, _)| *name != "content-length").chain(extra.iter().copied()) {
        headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let mut message = http::Request::new(Payload::Whole(body));
    *message.method_mut() = method;
    *message.uri_mut() = signed.url.parse().unwrap();
    *message.headers_mut() = headers;
    let (head, body) = quick().send_once(message, Duration::ZERO).await.unwrap().into_parts();
    Response::from_parts(head, read(body).await.unwrap())
}
