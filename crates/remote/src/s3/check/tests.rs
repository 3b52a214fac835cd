use std::collections::BTreeMap;
use std::sync::Arc;

use larder_base::Clock;
use larder_testkit::s3::{BUCKET, DIRECTORY_BUCKET, Fault, Operation};

use super::{BucketReport, CheckOutcome, check_bucket};
use crate::s3::tests::{bucket_with, config, fake, fake_directory, keys, quick};
use crate::s3::{CredentialSource, WebIdentity};
use crate::testing::{Script, Step};

fn outcome(report: &BucketReport, name: &str) -> CheckOutcome {
    report.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no step {name}")).outcome
}

fn not_ok(report: &BucketReport) -> Vec<(&'static str, CheckOutcome)> {
    let bad = report.steps.iter().filter(|step| step.outcome != CheckOutcome::Ok);
    bad.map(|step| (step.name, step.outcome)).collect()
}

#[tokio::test]
async fn a_good_bucket_passes_and_nothing_is_left_behind() {
    let (store, bucket, _) = fake().await;
    store.put("below/here/mine", "x");
    let report = check_bucket(&bucket, 0x0a1b).await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.steps.len(), 19);
    assert_eq!(store.counts(), (1, 0));
    assert_eq!(store.object("below/here/mine").unwrap(), "x");
}

#[tokio::test]
async fn a_good_directory_bucket_passes_and_nothing_is_left_behind() {
    let (store, bucket, _) = fake_directory().await;
    let report = check_bucket(&bucket, 0x0a1b).await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.bucket.as_str(), report.steps.len()), (DIRECTORY_BUCKET, 20));
    assert_eq!(store.counts(), (0, 0));
}

#[tokio::test]
async fn a_bucket_that_cannot_be_reached_is_said_to_be_so_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let clock: Arc<dyn Clock> = Arc::new(larder_testkit::clock::FakeClock::default());
    let bucket = bucket_with(&config(BUCKET, &endpoint), CredentialSource::Static(keys()), &clock, quick());
    let report = check_bucket(&bucket, 0x0a1b).await;
    let put = report.steps.iter().find(|step| step.name == "put an object").unwrap();
    let problem = put.problem.as_deref().unwrap();
    assert_eq!(problem.matches("cannot be reached").count(), 1, "{problem}");
    assert_eq!(problem.matches("onnection refused").count(), 1, "{problem}");
    // That is advice for who looks for a server of ours.
    assert_eq!(put.remedy, None, "{put:?}");
}

#[tokio::test]
async fn the_one_right_to_a_directory_bucket_is_named_whatever_step_lacks_it() {
    let (store, bucket, _) = fake_directory().await;
    store.deny(&[Operation::CreateSession]);
    let report = check_bucket(&bucket, 0x0a1b).await;
    let expected = [("begin a session", CheckOutcome::Missing), ("everything else", CheckOutcome::Skipped)];
    assert_eq!(not_ok(&report), expected);
    assert!(report.steps[1].remedy.as_deref().unwrap().contains("s3express:CreateSession"), "{report:?}");
    assert_eq!(store.seen(), [Operation::CreateSession]);
    // A policy of the bucket may take away from a session what it can do.
    let (store, bucket, _) = fake_directory().await;
    store.deny(&[Operation::Put]);
    let report = check_bucket(&bucket, 0x0a1b).await;
    assert_eq!(outcome(&report, "put an object"), CheckOutcome::Missing);
    assert!(report.steps[2].remedy.as_deref().unwrap().contains("s3express:CreateSession"), "{report:?}");
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_with_the_steps_that_need_it() {
    for (denied, right, names) in [
        (&[Operation::Put][..], "s3:PutObject", &["put an object"][..]),
        (&[Operation::Get], "s3:GetObject", &["get an object", "get a range"]),
        (&[Operation::List], "s3:ListBucket", &["list objects"]),
        (&[Operation::Delete, Operation::DeleteBatch], "s3:DeleteObject", &["delete an object", "delete objects"]),
        (&[Operation::Create], "s3:PutObject", &["begin a multipart upload"]),
        (&[Operation::Part], "s3:PutObject", &["send a part"]),
        (&[Operation::ListParts], "s3:ListMultipartUploadParts", &["list parts"]),
        (&[Operation::ListUploads], "s3:ListBucketMultipartUploads", &["list multipart uploads"]),
        (&[Operation::Complete], "s3:PutObject", &["complete a multipart upload"]),
        (&[Operation::Abort], "s3:AbortMultipartUpload", &["abort a multipart upload"]),
    ] {
        let (store, bucket, _) = fake().await;
        store.deny(denied);
        let report = check_bucket(&bucket, 0x0a1b).await;
        assert!(!report.is_good());
        for name in names {
            assert_eq!(outcome(&report, name), CheckOutcome::Missing, "{denied:?}: {report:?}");
            let step = report.steps.iter().find(|step| step.name == *name).unwrap();
            assert!(step.remedy.as_deref().unwrap().contains(right), "{step:?}");
        }
    }
}

#[tokio::test]
async fn a_read_only_bucket_is_told_from_a_broken_one() {
    let (store, bucket, _) = fake().await;
    store.deny(&[Operation::Put, Operation::Create, Operation::Delete, Operation::DeleteBatch]);
    let report = check_bucket(&bucket, 0x0a1b).await;
    assert_eq!(outcome(&report, "put an object"), CheckOutcome::Missing);
    assert_eq!(outcome(&report, "get a range"), CheckOutcome::Skipped);
    assert_eq!(outcome(&report, "list objects"), CheckOutcome::Ok);
    assert_eq!(store.counts(), (0, 0));
    let (store, bucket, _) = fake().await;
    store.inject(Operation::Put, Fault::Refuse(404, "NoSuchBucket"), 99);
    let report = check_bucket(&bucket, 0x0a1b).await;
    assert_eq!(outcome(&report, "put an object"), CheckOutcome::Failed);
    assert!(report.steps[1].remedy.as_deref().unwrap().contains("bucket.url"), "{:?}", report.steps[1]);
}

#[tokio::test]
async fn a_store_without_a_feature_is_said_to_lack_it() {
    let (store, bucket, _) = fake().await;
    store.lack(&[Operation::ListUploads]);
    assert_eq!(not_ok(&check_bucket(&bucket, 0x0a1b).await), [("list multipart uploads", CheckOutcome::Missing)]);
    // One that deletes only one by one is good enough.
    let (store, bucket, _) = fake().await;
    store.lack(&[Operation::DeleteBatch]);
    assert!(check_bucket(&bucket, 0x0a1b).await.is_good());
}

#[tokio::test]
async fn a_step_that_fails_leaves_no_object_and_no_upload() {
    for operation in [Operation::Complete, Operation::Part, Operation::ListParts, Operation::Get, Operation::Head] {
        let (store, bucket, _) = fake().await;
        store.inject(operation, Fault::Refuse(400, "InvalidRequest"), 1);
        let report = check_bucket(&bucket, 0x0a1b).await;
        assert!(!report.is_good(), "{operation:?}");
        assert_eq!(store.counts(), (0, 0), "{operation:?}: {report:?}");
    }
}

#[tokio::test]
async fn no_url_that_was_signed_is_in_a_report() {
    let (store, bucket, _) = fake().await;
    store.inject(Operation::Put, Fault::Reset, 99);
    store.inject(Operation::Get, Fault::Reset, 99);
    let report = serde_json::to_string(&check_bucket(&bucket, 0x0a1b).await).unwrap();
    assert!(!report.contains("X-Amz-") && report.contains("\"outcome\":\"failed\""), "{report}");
}

#[tokio::test]
async fn without_credentials_nothing_else_is_tried() {
    let (store, _, clock) = fake().await;
    let source = CredentialSource::Environment(BTreeMap::new());
    let bucket = bucket_with(&config(BUCKET, store.url()), source, &(Arc::new(clock) as Arc<dyn Clock>), quick());
    let report = check_bucket(&bucket, 0x0a1b).await;
    let expected = [("find credentials", CheckOutcome::Failed), ("everything else", CheckOutcome::Skipped)];
    assert_eq!(not_ok(&report), expected);
    assert!(report.steps[0].remedy.as_deref().unwrap().contains("AWS_ACCESS_KEY_ID"), "{report:?}");
    assert!(store.seen().is_empty());
}

#[tokio::test]
async fn a_role_that_is_denied_is_no_missing_right_to_the_bucket() {
    for name in [BUCKET, DIRECTORY_BUCKET] {
        let (store, _, clock) = fake().await;
        let denial = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>".to_vec();
        let service = Script::run(vec![Step::Answer("403 Forbidden", denial)]);
        let source = CredentialSource::WebIdentity(WebIdentity {
            endpoint: service.url.clone(),
            role_arn: "role".into(),
            session_name: "larder".into(),
            token: Arc::new(|| Ok("t".into())),
        });
        let bucket = bucket_with(&config(name, store.url()), source, &(Arc::new(clock) as Arc<dyn Clock>), quick());
        let report = check_bucket(&bucket, 0x0a1b).await;
        assert_eq!(outcome(&report, "find credentials"), CheckOutcome::Failed);
        assert!(report.steps[0].remedy.as_deref().unwrap().contains("trust policy"), "{report:?}");
    }
}

#[test]
fn the_policy_in_the_documentation_allows_what_a_check_needs_and_nothing_more() {
    let mut needed = super::steps::RIGHTS.to_vec();
    needed.sort_unstable();
    assert_eq!(allowed_by_policy(1), needed);
    assert_eq!(allowed_by_policy(2), [super::steps::SESSION]);
}

/// The actions that a policy of the documentation allows, by the policy's number.
fn allowed_by_policy(number: usize) -> Vec<String> {
    let page = include_str!("../../../../../docs/bucket.md");
    let policy = page.split("```json").nth(number).unwrap().split("```").next().unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    let mut allowed: Vec<_> = actions.map(|action| action.as_str().unwrap().to_owned()).collect();
    allowed.sort_unstable();
    allowed
}
