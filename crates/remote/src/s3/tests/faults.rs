//! What happens when a store breaks, on the store that breaks when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::{Clock, Error, ErrorKind};
use larder_testkit::clock::FakeClock;
use larder_testkit::content::noise;
use larder_testkit::s3::{BUCKET, Fault, Operation};

use super::{bucket_with, config, fake, keys, quick, read, transfer};
use crate::s3::{
    Bucket, CredentialSource, Credentials, MultipartPlan, MultipartUpload, ObjectBody, PART_MIN_BYTES, PartTag,
    WebIdentity,
};
use crate::testing::{Script, Step, ok};
use crate::{HttpClient, Policy};

const MINUTE: Duration = Duration::from_secs(60);

async fn one_part(bucket: &Bucket, key: &str) -> (MultipartUpload, Vec<PartTag>) {
    let upload = bucket.create_multipart(key, MultipartPlan::new(100, PART_MIN_BYTES).unwrap()).await.unwrap();
    let tag = bucket.upload_part(&upload, 1, &ObjectBody::bytes(noise(1, 100))).await.unwrap();
    (upload, vec![tag])
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_then_works() {
    for fault in [
        Fault::Refuse(503, "SlowDown"),
        Fault::Refuse(500, "InternalError"),
        Fault::Refuse(429, "TooManyRequests"),
        Fault::Reset,
        Fault::ResetAfter,
    ] {
        let (store, bucket, _) = fake().await;
        for operation in [Operation::Put, Operation::Get, Operation::Head, Operation::List, Operation::DeleteBatch] {
            store.inject(operation, fault, 2);
        }
        let content = noise(1, 100_000);
        bucket.put_object("a", &ObjectBody::bytes(content.clone())).await.unwrap();
        let body = bucket.get_range("a", 0, 100_000).await.unwrap().unwrap();
        assert!(read(body).await.unwrap() == content, "{fault:?}");
        assert_eq!(bucket.head("a").await.unwrap().unwrap().size, 100_000);
        assert_eq!(bucket.list("", None).await.unwrap().objects.len(), 1);
        bucket.delete_objects(&["a"]).await.unwrap();
        assert_eq!(store.counts(), (0, 0));
        assert_eq!(store.seen().len(), 15, "each kind is tried thrice: {fault:?}");
    }
}

#[tokio::test]
async fn a_storm_that_does_not_end_is_given_up_and_named() {
    let (store, bucket, _) = fake().await;
    store.inject(Operation::Put, Fault::Refuse(503, "SlowDown"), 99);
    let error = bucket.put_object("a/b", &ObjectBody::bytes("x")).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, "put object"));
    assert!(error.message().contains("s3://cache/below/here/a/b") && error.message().contains("SlowDown"), "{error}");
    assert_eq!(store.seen(), [Operation::Put; 3]);
    store.inject(Operation::Head, Fault::Reset, 99);
    let error = bucket.head("a/b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("a/b") && !error.to_string().contains("X-Amz"), "{error}");
}

#[tokio::test]
async fn what_will_not_pass_is_asked_once() {
    let (store, bucket, _) = fake().await;
    store.deny(&[Operation::Put, Operation::Delete, Operation::DeleteBatch]);
    for error in [
        bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap_err(),
        bucket.delete_object("a").await.unwrap_err(),
        bucket.delete_objects(&["a"]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("AccessDenied") && error.hint().is_some(), "{error}");
    }
    assert_eq!(store.seen().len(), 3);
}

#[tokio::test]
async fn an_error_inside_of_a_200_is_an_error() {
    let (store, bucket, _) = fake().await;
    let (upload, tags) = one_part(&bucket, "a").await;
    store.inject(Operation::Complete, Fault::RefuseInside("InternalError"), 99);
    let error = bucket.complete_multipart(&upload, &tags).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("InternalError"), "{error}");
    assert_eq!(bucket.head("a").await.unwrap(), None);
}

#[tokio::test]
async fn an_error_inside_of_a_200_that_passes_is_tried_again() {
    let (store, bucket, _) = fake().await;
    let (upload, tags) = one_part(&bucket, "a").await;
    store.inject(Operation::Complete, Fault::RefuseInside("InternalError"), 2);
    bucket.complete_multipart(&upload, &tags).await.unwrap();
    assert_eq!(bucket.head("a").await.unwrap().unwrap().size, 100);
}

#[tokio::test]
async fn a_complete_whose_answer_was_lost_is_found_done() {
    let (store, bucket, _) = fake().await;
    let (upload, tags) = one_part(&bucket, "a").await;
    store.inject(Operation::Complete, Fault::ResetAfter, 1);
    bucket.complete_multipart(&upload, &tags).await.unwrap();
    assert!(store.seen().ends_with(&[Operation::Complete, Operation::Complete, Operation::Head]));
}

#[tokio::test]
async fn an_upload_that_is_gone_is_complete_only_with_its_own_size() {
    let (store, bucket, _) = fake().await;
    let (upload, tags) = one_part(&bucket, "a").await;
    bucket.abort_multipart(&upload.key, &upload.id).await.unwrap();
    let failed = async || bucket.complete_multipart(&upload, &tags).await.unwrap_err();
    let error = failed().await;
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.message().contains("aborted"), "{error}");
    store.put("below/here/a", vec![0; 99]);
    assert!(failed().await.message().contains("99 bytes"));
    store.put("below/here/a", vec![0; 100]);
    bucket.complete_multipart(&upload, &tags).await.unwrap();
}

#[tokio::test]
async fn an_abort_goes_on_until_no_part_is_left() {
    let (store, bucket, _) = fake().await;
    let (upload, _) = one_part(&bucket, "a").await;
    // The store says that it is done, and is not: as when a part arrives after the abort.
    store.inject(Operation::Abort, Fault::RefuseInside("NoSuchUpload"), 2);
    bucket.abort_multipart(&upload.key, &upload.id).await.unwrap();
    assert_eq!(store.counts(), (0, 0));
    assert_eq!(store.seen().iter().filter(|operation| **operation == Operation::Abort).count(), 3);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_on_from_there() {
    let (store, bucket, _) = fake().await;
    let content = noise(1, 1 << 20);
    bucket.put_object("a", &ObjectBody::bytes(content.clone())).await.unwrap();
    store.inject(Operation::Get, Fault::BreakOff(300_000), 2);
    let body = bucket.get_range("a", 5, 1_000_000).await.unwrap().unwrap();
    assert!(read(body).await.unwrap() == content.slice(5..1_000_005));
    assert_eq!(store.seen(), [Operation::Put, Operation::Get, Operation::Get, Operation::Get]);
    store.inject(Operation::Get, Fault::BreakOff(10), 99);
    let body = bucket.get_range("a", 0, 1_000_000).await.unwrap().unwrap();
    assert_eq!(read(body).await.map(|read| read.len()).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_rest_of_another_object_is_no_rest() {
    let (store, bucket, _) = fake().await;
    bucket.put_object("a", &ObjectBody::bytes(noise(1, 1 << 20))).await.unwrap();
    store.inject(Operation::Get, Fault::BreakOff(1000), 1);
    let body = bucket.get_range("a", 0, 1 << 20).await.unwrap().unwrap();
    store.put("below/here/a", noise(2, 1 << 20));
    assert_eq!(read(body).await.map(|read| read.len()).unwrap_err().kind(), ErrorKind::Corrupt);
    store.inject(Operation::Get, Fault::BreakOff(1000), 1);
    let body = bucket.get_range("a", 0, 1 << 20).await.unwrap().unwrap();
    store.forget("below/here/a");
    assert_eq!(read(body).await.map(|read| read.len()).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(bucket.get_range("a", 0, 1).await.unwrap().is_none());
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let (store, _, clock) = fake().await;
    let policy = Policy { idle: Duration::from_millis(200), tries: 2, ..*quick().policy() };
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let source = CredentialSource::Static(keys());
    let bucket = bucket_with(&config(BUCKET, store.url()), source, &clock, HttpClient::new(policy, 1));
    store.put("below/here/a", noise(1, 1000));
    store.inject(Operation::Get, Fault::Stall(10), 99);
    let body = bucket.get_range("a", 0, 1000).await.unwrap().unwrap();
    assert_eq!(read(body).await.map(|read| read.len()).unwrap_err().kind(), ErrorKind::Unavailable);
    // An answer that is read whole, too.
    store.inject(Operation::List, Fault::Stall(10), 99);
    assert_eq!(bucket.list("", None).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn other_bytes_than_were_asked_for_are_not_handed_on() {
    let (store, bucket, _) = fake().await;
    store.put("below/here/a", noise(1, 1000));
    store.inject(Operation::Get, Fault::IgnoreRange, 2);
    assert_eq!(bucket.get_range("a", 10, 10).await.err().unwrap().kind(), ErrorKind::Corrupt);
    let body = bucket.get_range("a", 0, 1000).await.unwrap().unwrap();
    assert_eq!(read(body).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_by_the_stores() {
    for (behind, days) in [(true, 400), (false, 3), (true, 1)] {
        let (store, _, clock) = fake().await;
        let off = Duration::from_secs(days * 86400);
        let now = clock.now();
        let ours = if behind {
            FakeClock::at(larder_base::Timestamp::from_millis(now.as_millis() - off.as_millis() as u64))
        } else {
            FakeClock::at(now.plus(off))
        };
        let clock: Arc<dyn Clock> = Arc::new(ours.clone());
        let bucket = bucket_with(&config(BUCKET, store.url()), CredentialSource::Static(keys()), &clock, quick());
        assert_eq!(bucket.head("a").await.unwrap(), None);
        bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
        assert_eq!(store.seen(), [Operation::Head, Operation::Head, Operation::Put], "learned once");
        // What is signed for others is by the store's clock, what is told of it by ours.
        let url = bucket.presign_get("a", MINUTE).await.unwrap();
        assert_eq!(transfer(Method::GET, &url, &[], Bytes::new()).await.status(), StatusCode::OK);
        assert_eq!(url.expires, ours.now().plus(MINUTE));
    }
}

#[tokio::test]
async fn requests_that_were_signed_before_the_clock_was_corrected_are_made_again() {
    let (store, _, clock) = fake().await;
    let ours: Arc<dyn Clock> = Arc::new(FakeClock::at(clock.now().plus(Duration::from_secs(86400))));
    let bucket = bucket_with(&config(BUCKET, store.url()), CredentialSource::Static(keys()), &ours, quick());
    store.put("below/here/a", "x");
    // All are signed before the first answer comes.
    let found = futures_util::future::join_all((0..20).map(|_| bucket.head("a"))).await;
    assert!(found.into_iter().all(|found| found.unwrap().is_some()));
}

#[tokio::test]
async fn a_refusal_that_is_not_the_clocks_is_not_taken_for_it() {
    let (store, bucket, clock) = fake().await;
    clock.advance(Duration::from_secs(10));
    store.deny(&[Operation::Head]);
    assert_eq!(bucket.head("a").await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(store.seen(), [Operation::Head]);
}

#[tokio::test]
async fn presigned_urls_end_and_are_good_for_nothing_else() {
    let (store, bucket, clock) = fake().await;
    store.put("below/here/a", "x");
    let (get, put) =
        (bucket.presign_get("a", MINUTE).await.unwrap(), bucket.presign_put("b", 1, MINUTE).await.unwrap());
    assert_eq!(transfer(Method::DELETE, &get, &[], Bytes::new()).await.status(), StatusCode::FORBIDDEN);
    let mut other = get.clone();
    other.url = other.url.replace("/here/a?", "/here/b?");
    assert_eq!(transfer(Method::GET, &other, &[], Bytes::new()).await.status(), StatusCode::FORBIDDEN);
    clock.advance(Duration::from_secs(59));
    assert_eq!(transfer(Method::GET, &get, &[], Bytes::new()).await.status(), StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    for (method, url, body) in [(Method::GET, get, ""), (Method::PUT, put, "y")] {
        assert_eq!(transfer(method, &url, &[], body.into()).await.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(store.counts(), (1, 0));
}

#[tokio::test]
async fn a_url_signed_in_a_session_does_not_promise_more_than_the_session() {
    let (store, _, clock) = fake().await;
    store.use_session(Some("a/session+token="));
    let session = Credentials {
        session_token: Some("a/session+token=".into()),
        expires: Some(clock.now().plus(10 * MINUTE)),
        ..keys()
    };
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let bucket = bucket_with(&config(BUCKET, store.url()), CredentialSource::Static(session), &shared, quick());
    bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
    let url = bucket.presign_get("a", 60 * MINUTE).await.unwrap();
    assert_eq!(url.expires, clock.now().plus(10 * MINUTE));
    assert_eq!(transfer(Method::GET, &url, &[], Bytes::new()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_session_that_the_store_calls_ended_is_renewed_at_once() {
    let (store, _, clock) = fake().await;
    let answer = |token: &str| {
        let keys = keys();
        ok(format!(
            "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}\
             </SecretAccessKey><SessionToken>{token}</SessionToken></Credentials></AssumeRoleWithWebIdentityResult></R>",
            keys.access_key_id, keys.secret_access_key
        ))
    };
    let service = Script::run(vec![answer("old"), answer("new")]);
    let source = CredentialSource::WebIdentity(WebIdentity {
        endpoint: service.url.clone(),
        role_arn: "role".into(),
        session_name: "larder".into(),
        token: Arc::new(|| Ok("t".into())),
    });
    let shared: Arc<dyn Clock> = Arc::new(clock);
    let bucket = bucket_with(&config(BUCKET, store.url()), source, &shared, quick());
    store.use_session(Some("new"));
    bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
    assert_eq!(store.seen(), [Operation::Put, Operation::Put]);
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test]
async fn a_store_without_batches_is_asked_one_by_one() {
    let (store, bucket, _) = fake().await;
    store.lack(&[Operation::DeleteBatch]);
    store.put("below/here/a", "x");
    store.put("below/here/b", "x");
    bucket.delete_objects(&["a", "b", "c"]).await.unwrap();
    assert_eq!(store.counts(), (0, 0));
}

#[tokio::test]
async fn a_body_that_lies_about_its_length_or_fails_is_not_sent_again() {
    let (store, bucket, _) = fake().await;
    let opened = Arc::new(AtomicU32::new(0));
    for (announced, kind) in [(3, ErrorKind::Invalid), (9, ErrorKind::Invalid), (5, ErrorKind::Corrupt)] {
        let count = Arc::clone(&opened);
        let body = ObjectBody::reading(announced, move || {
            count.fetch_add(1, Ordering::SeqCst);
            let mut pieces = vec![Ok(Bytes::from_static(b"12345"))];
            if kind == ErrorKind::Corrupt {
                pieces = vec![Ok(Bytes::from_static(b"12")), Err(Error::new(kind, "read", "the disk is bad"))];
            }
            Box::pin(futures_util::stream::iter(pieces))
        });
        let error = bucket.put_object("a", &body).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(store.counts(), (0, 0));
    }
    assert_eq!(opened.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_document_larger_than_any_page_is_not_read_to_its_end() {
    // A server that is left while it writes must not fail the test.
    let script = Script::run(vec![Step::BreakOff { announced: usize::MAX >> 1, sent: vec![b' '; (8 << 20) + 1] }]);
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let bucket = bucket_with(&config(BUCKET, &script.url), CredentialSource::Static(keys()), &clock, quick());
    let error = bucket.list("", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_list_that_goes_on_where_it_began_is_an_error_and_not_endless() {
    let objects = "<R><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></R>";
    let uploads = "<R><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker></R>";
    let script = Script::run(vec![ok(objects), ok(objects), ok(uploads), ok(uploads)]);
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let bucket = bucket_with(&config(BUCKET, &script.url), CredentialSource::Static(keys()), &clock, quick());
    let next = bucket.list("", None).await.unwrap().next;
    let error = bucket.list("", next.as_deref()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Failed && error.message().contains(BUCKET), "{error}");
    let next = bucket.list_uploads("", None).await.unwrap().next;
    let error = bucket.list_uploads("", next.as_ref()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Failed && error.message().contains(BUCKET), "{error}");
}

#[tokio::test]
async fn what_is_too_large_for_one_request_is_refused_before_anything_is_sent() {
    let (store, bucket, _) = fake().await;
    let huge = ObjectBody::reading((5 << 30) + 1, || panic!("nothing may be read"));
    assert_eq!(bucket.put_object("a", &huge).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(bucket.presign_put("a", (5 << 30) + 1, MINUTE).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(store.seen().is_empty());
}
