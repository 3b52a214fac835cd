//! The deep run: the suite against real stores, which `ci/install-deep` builds. They check signatures by the system's clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_base::{BoxFuture, Clock, Timestamp};
use larder_testkit::clients::client;
use larder_testkit::clients::object_store::ObjectStore;
use larder_testkit::clock::FakeClock;
use larder_testkit::s3::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use rusty_s3::S3Action;

use super::{bucket_with, config, keys, quick, suite};
use crate::s3::{
    Bucket, BucketReport, CheckOutcome, CredentialSource, MultipartPlan, ObjectBody, PART_MIN_BYTES, SweptChecks,
    check_bucket, sweep_checks, trial_key,
};

#[test]
fn versitygw_keeps_the_conformance_suite() {
    let Some(program) = client("versitygw") else { return };
    keeps_the_suite(&ObjectStore::versitygw(&program), true);
}

#[test]
fn versitygw_passes_the_check_of_a_bucket() {
    let Some(program) = client("versitygw") else { return };
    let report = checked(&ObjectStore::versitygw(&program));
    assert_eq!(not_ok(&report), [""; 0], "{report:?}");
}

#[test]
fn minio_keeps_the_conformance_suite() {
    let Some(program) = client("minio") else { return };
    // Its listing takes the prefix for the whole name of an object.
    keeps_the_suite(&ObjectStore::minio(&program), false);
}

#[test]
fn minio_passes_the_check_of_a_bucket() {
    let Some(program) = client("minio") else { return };
    let report = checked(&ObjectStore::minio(&program));
    assert_eq!(not_ok(&report), [""; 0], "{report:?}");
}

#[test]
fn what_a_killed_check_leaves_is_swept_from_versitygw() {
    let Some(program) = client("versitygw") else { return };
    leaves_nothing_of_a_killed_check(&ObjectStore::versitygw(&program));
}

#[test]
fn what_a_killed_check_leaves_is_swept_from_minio() {
    let Some(program) = client("minio") else { return };
    leaves_nothing_of_a_killed_check(&ObjectStore::minio(&program));
}

/// It has no listing of uploads, and its listing of parts no tags: a store that Larder cannot use, and a check that says so.
#[test]
fn the_check_of_a_bucket_names_what_s3s_fs_lacks() {
    let Some(program) = client("s3s-fs") else { return };
    let report = checked(&ObjectStore::s3s_fs(&program));
    assert_eq!(not_ok(&report), ["list parts", "list multipart uploads"], "{report:?}");
}

fn keeps_the_suite(store: &ObjectStore, uploads_by_prefix: bool) {
    let url = store.url().to_owned();
    suite::check(move |number| -> BoxFuture<'static, _> {
        let url = url.clone();
        Box::pin(async move {
            let bucket = fresh(&url, &format!("case-{number}")).await;
            suite::Subject {
                bucket,
                lengths_are_signed: true,
                lists_in_order: true,
                uploads_by_prefix,
                keep: Box::new(()),
            }
        })
    });
}

fn checked(store: &ObjectStore) -> BucketReport {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bucket = fresh(store.url(), "checked").await;
        let report = check_bucket(&bucket, 0x0a1b).await;
        assert_eq!(bucket.list("", None).await.unwrap().objects, [], "a check leaves nothing");
        report
    })
}

fn leaves_nothing_of_a_killed_check(store: &ObjectStore) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bucket = fresh(store.url(), "swept").await;
        let small = ObjectBody::bytes("small");
        for key in [trial_key(0xff), "check/00000000000000ff/object".to_owned()] {
            bucket.put_object(&key, &small).await.unwrap();
        }
        let plan = MultipartPlan::new(small.length(), PART_MIN_BYTES).unwrap();
        let upload = bucket.create_multipart("check/00000000000000ff/parts", plan).await.unwrap();
        bucket.upload_part(&upload, 1, &small).await.unwrap();
        let swept = sweep_checks(&bucket, Duration::ZERO, |_| false).await.unwrap();
        assert_eq!(swept, SweptChecks { objects: 2, uploads: 1 });
        assert_eq!(bucket.list("", None).await.unwrap().objects, []);
        assert_eq!(bucket.list_parts(&upload.key, &upload.id).await.unwrap(), None);
    });
}

fn not_ok(report: &BucketReport) -> Vec<&'static str> {
    report.steps.iter().filter(|step| step.outcome != CheckOutcome::Ok).map(|step| step.name).collect()
}

/// A bucket that was made just now.
async fn fresh(url: &str, name: &str) -> Bucket {
    let signer =
        rusty_s3::Bucket::new(url.parse().unwrap(), rusty_s3::UrlStyle::Path, name.to_owned(), REGION).unwrap();
    let root = rusty_s3::Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let call = crate::http::Call {
        method: http::Method::PUT,
        url: signer.create_bucket(&root).sign(Duration::from_secs(60)).into(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        wait: Duration::ZERO,
        advice: None,
    };
    let answer = quick().exchange(&call, 1 << 20).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::at(now()));
    bucket_with(&config(name, url), CredentialSource::Static(keys()), &clock, quick())
}

/// The moment that these stores compare with. Their buckets live for far less than a signature.
#[expect(clippy::disallowed_methods, reason = "clock: a real store judges signatures by the system's clock")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
    Timestamp::from_millis(since.as_millis() as u64)
}
