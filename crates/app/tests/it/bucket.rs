//! `larder server check-bucket` against a store that answers as S3 does.

use std::process::Output;
use std::sync::Arc;

use larder_testkit::clients::client;
use larder_testkit::clients::moto::Moto;
use larder_testkit::clock::FakeClock;
use larder_testkit::s3::{ACCESS_KEY_ID, BUCKET, DIRECTORY_BUCKET, FakeS3, Operation, REGION, SECRET_ACCESS_KEY};

use crate::server::command;

fn check(endpoint: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command()
        .args(["server", "check-bucket"])
        .args(arguments)
        .env("HOME", "/nonexistent")
        .env("LARDER_BUCKET_URL", format!("s3://{BUCKET}/larder"))
        .env("LARDER_BUCKET_ENDPOINT", endpoint)
        .env("LARDER_BUCKET_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A store whose clock is another than this machine's: the command has to learn its time.
async fn store() -> FakeS3 {
    FakeS3::start(Arc::new(FakeClock::default())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_bucket_is_said_to_be_good_and_left_empty() {
    let store = store().await;
    let output = check(store.url(), &[], &KEYS);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("the bucket cache can be used"), "{}", said(&output));
    let output = check(store.url(), &["--json"], &KEYS);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["good"], &report["bucket"]), (&true.into(), &BUCKET.into()), "{report}");
    assert!(report["steps"].as_array().unwrap().len() > 10, "{report}");
    assert_eq!(store.counts(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_the_command_says_so_by_its_exit_code() {
    let store = store().await;
    store.deny(&[Operation::Abort]);
    let output = check(store.url(), &[], &KEYS);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("missing  abort a multipart upload"), "{}", said(&output));
    assert!(said(&output).contains("s3:AbortMultipartUpload"), "{}", said(&output));
    assert!(!said(&output).contains(SECRET_ACCESS_KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_bucket_is_checked_in_a_session_and_the_right_to_one_is_named() {
    let store = FakeS3::start_directory(Arc::new(FakeClock::default())).await;
    let url = format!("s3://{DIRECTORY_BUCKET}/larder");
    let variables = [KEYS[0], KEYS[1], ("LARDER_BUCKET_URL", url.as_str())];
    let output = check(store.url(), &[], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("ok       begin a session"), "{}", said(&output));
    assert_eq!(store.counts(), (0, 0));
    store.deny(&[Operation::CreateSession]);
    let output = check(store.url(), &[], &variables);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    for part in ["missing  begin a session", "allow s3express:CreateSession", "cannot be used yet"] {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bucket_or_credentials_the_way_out_is_told() {
    let store = store().await;
    let output = check(store.url(), &[], &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("AWS_ACCESS_KEY_ID"), "{}", said(&output));
    let output = check(store.url(), &[], &[("LARDER_BUCKET_URL", "")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("LARDER_BUCKET_URL"), "{}", said(&output));
}

#[test]
fn a_bucket_that_is_not_there_is_told_by_name() {
    let Some(program) = client("moto") else { return };
    let moto = Moto::start(&program);
    // No bucket is there: the very first step says so, and what to do.
    let output = check(moto.url(), &[], &KEYS);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("NoSuchBucket"), "{}", said(&output));
}
