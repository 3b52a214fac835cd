use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::{Clock, ErrorKind, Timestamp};
use larder_testkit::clock::FakeClock;
use larder_testkit::s3::{DIRECTORY_BUCKET, FakeS3, Fault, Operation};

use crate::s3::tests::{bucket_with, config, fake_directory, keys, quick, transfer};
use crate::s3::{CredentialSource, Credentials, ObjectBody};
use crate::testing::{Script, ok};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn sessions(store: &FakeS3) -> usize {
    store.seen().into_iter().filter(|seen| *seen == Operation::CreateSession).count()
}

async fn held(store: &FakeS3) {
    while store.held() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn callers_that_come_at_once_share_one_session() {
    let (store, bucket, _) = fake_directory().await;
    store.put("below/here/a", "x");
    let found = futures_util::future::join_all((0..20).map(|_| bucket.head("a"))).await;
    assert!(found.into_iter().all(|found| found.unwrap().is_some()));
    assert_eq!(sessions(&store), 1);
}

#[tokio::test]
async fn a_session_is_renewed_when_about_half_of_it_is_over() {
    let (store, bucket, clock) = fake_directory().await;
    bucket.head("a").await.unwrap();
    clock.advance(115 * SECOND);
    bucket.head("a").await.unwrap();
    assert_eq!(sessions(&store), 1);
    clock.advance(35 * SECOND);
    let found = futures_util::future::join_all((0..20).map(|_| bucket.head("a"))).await;
    assert!(found.into_iter().all(|found| found.is_ok()));
    assert_eq!(sessions(&store), 2);
}

#[tokio::test]
async fn a_session_that_the_store_calls_ended_is_begun_anew_once() {
    let (store, bucket, _) = fake_directory().await;
    bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
    store.end_sessions();
    bucket.put_object("a", &ObjectBody::bytes("y")).await.unwrap();
    let (put, begun) = (Operation::Put, Operation::CreateSession);
    assert_eq!(store.seen(), [begun, put, put, begun, put]);
    // The refusal of a HEAD has no words.
    store.end_sessions();
    assert_eq!(bucket.head("a").await.unwrap().unwrap().size, 1);
    assert_eq!(sessions(&store), 3);
    // What is refused for another reason is refused.
    store.deny(&[Operation::Head, Operation::Put]);
    assert_eq!(bucket.head("a").await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(bucket.put_object("a", &ObjectBody::bytes("z")).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(sessions(&store), 4);
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_serves_until_its_end() {
    let (store, bucket, clock) = fake_directory().await;
    bucket.head("a").await.unwrap();
    store.inject(Operation::CreateSession, Fault::Refuse(503, "SlowDown"), 999);
    clock.advance(200 * SECOND);
    for _ in 0..5 {
        assert_eq!(bucket.head("a").await.unwrap(), None);
    }
    assert_eq!(sessions(&store), 1 + 3, "one renewal is tried, as often as every request");
    clock.advance(11 * SECOND);
    assert_eq!(bucket.head("a").await.unwrap(), None);
    assert_eq!(sessions(&store), 1 + 6);
    clock.advance(100 * SECOND);
    let error = bucket.head("a").await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, "begin session"));
    store.heal();
    assert_eq!(bucket.head("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_renewal_that_is_given_up_by_whoever_made_it_is_not_made_again_at_once() {
    let (store, bucket, clock) = fake_directory().await;
    bucket.head("a").await.unwrap();
    clock.advance(200 * SECOND);
    store.inject(Operation::CreateSession, Fault::Hold, 1);
    tokio::select! {
        found = bucket.head("a") => panic!("the renewal was not held: {found:?}"),
        () = held(&store) => {}
    }
    assert_eq!(sessions(&store), 1 + 1);
    for _ in 0..5 {
        assert_eq!(bucket.head("a").await.unwrap(), None);
    }
    assert_eq!(sessions(&store), 1 + 1, "the session at hand is good");
    clock.advance(11 * SECOND);
    bucket.head("a").await.unwrap();
    assert_eq!(sessions(&store), 1 + 2);
}

#[tokio::test]
async fn a_renewal_that_is_not_answered_costs_less_than_a_read_of_the_bucket_has() {
    let (store, bucket, clock) = fake_directory().await;
    let first = bucket.presign_get("a", HOUR).await.unwrap();
    clock.advance(290 * SECOND);
    store.inject(Operation::CreateSession, Fault::Hold, 1);
    let urls = futures_util::future::join_all((0..20).map(|_| bucket.presign_get("a", HOUR)));
    let paused = async {
        held(&store).await;
        tokio::time::pause();
        tokio::time::Instant::now()
    };
    let (urls, begun) = futures_util::future::join(urls, paused).await;
    assert!(begun.elapsed() < 4 * SECOND, "{:?}", begun.elapsed());
    for url in urls {
        assert_eq!(url.unwrap().expires, first.expires, "the session at hand is good");
    }
    assert_eq!(sessions(&store), 2);
}

#[tokio::test]
async fn urls_that_are_asked_for_at_once_after_a_rest_are_all_signed_in_another_session() {
    let (store, bucket, clock) = fake_directory().await;
    bucket.head("a").await.unwrap();
    clock.advance(290 * SECOND);
    store.inject(Operation::CreateSession, Fault::Hold, 1);
    let urls = futures_util::future::join_all((0..20).map(|_| bucket.presign_get("a", HOUR)));
    let release = async {
        held(&store).await;
        store.release();
    };
    for url in futures_util::future::join(urls, release).await.0 {
        let life = url.unwrap().expires.since(clock.now());
        assert!(life > 290 * SECOND, "{life:?}");
    }
    assert_eq!(sessions(&store), 2);
}

#[tokio::test]
async fn those_who_wait_for_a_session_that_is_refused_do_not_ask_one_by_one() {
    let (store, bucket, _) = fake_directory().await;
    store.deny(&[Operation::CreateSession]);
    for error in futures_util::future::join_all((0..20).map(|_| bucket.head("a"))).await {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains(DIRECTORY_BUCKET) && error.message().contains("AccessDenied"), "{error}");
        assert!(error.hint().unwrap().contains("check-bucket"), "{error}");
    }
    assert_eq!(store.seen(), [Operation::CreateSession]);
}

#[tokio::test]
async fn a_url_lives_as_long_as_it_says_and_for_minutes_whenever_it_is_signed() {
    let (store, bucket, clock) = fake_directory().await;
    store.put("below/here/a", "x");
    let begun = clock.now();
    for after in (0..900).step_by(20) {
        clock.set(begun.plus(after * SECOND));
        let url = bucket.presign_get("a", HOUR).await.unwrap();
        assert!(url.url.contains("X-Amz-S3session-Token=") && !url.url.contains("X-Amz-Security-Token"), "{}", url.url);
        let life = url.expires.since(clock.now());
        assert!((148 * SECOND..300 * SECOND).contains(&life), "{after}: {life:?}");
        let short = bucket.presign_get("a", 60 * SECOND).await.unwrap();
        assert_eq!(short.expires.since(clock.now()), 60 * SECOND);
        clock.set(url.expires);
        assert_eq!(transfer(Method::GET, &url, &[], Bytes::new()).await.status(), StatusCode::FORBIDDEN);
        clock.set(Timestamp::from_millis(url.expires.as_millis() - 1000));
        assert_eq!(transfer(Method::GET, &url, &[], Bytes::new()).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_minutes_neither_ends_sessions_nor_urls() {
    for (ahead, behind) in [(360, 0), (0, 360), (86400, 0), (0, 86400)] {
        let (store, _, clock) = fake_directory().await;
        let ours = Timestamp::from_millis(clock.now().plus(ahead * SECOND).as_millis() - behind * 1000);
        let ours: Arc<dyn Clock> = Arc::new(FakeClock::at(ours));
        let source = CredentialSource::Static(keys());
        let bucket = bucket_with(&config(DIRECTORY_BUCKET, store.url()), source, &ours, quick());
        for _ in 0..5 {
            bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
        }
        let begun = store.seen().into_iter().skip_while(|seen| *seen == Operation::CreateSession);
        assert_eq!(begun.collect::<Vec<_>>(), [Operation::Put; 5]);
        let url = bucket.presign_get("a", HOUR).await.unwrap();
        assert!(url.expires.since(ours.now()) > 290 * SECOND);
        clock.advance(290 * SECOND);
        assert_eq!(transfer(Method::GET, &url, &[], Bytes::new()).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_session_is_begun_in_the_session_of_the_account_if_that_has_one() {
    let (store, _, clock) = fake_directory().await;
    store.use_session(Some("the/account's+token"));
    let account = Credentials { session_token: Some("the/account's+token".into()), ..keys() };
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let source = CredentialSource::Static(account);
    let bucket = bucket_with(&config(DIRECTORY_BUCKET, store.url()), source, &clock, quick());
    bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
    assert_eq!(store.seen(), [Operation::CreateSession, Operation::Put]);
}

#[tokio::test]
async fn an_answer_without_a_session_is_an_error_that_says_so() {
    let script = Script::run(vec![ok("<CreateSessionResult/>")]);
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let source = CredentialSource::Static(keys());
    let bucket = bucket_with(&config(DIRECTORY_BUCKET, &script.url), source, &clock, quick());
    let error = bucket.head("a").await.unwrap_err();
    assert!(error.message().contains("without credentials") && error.hint().is_some(), "{error}");
    let seen = script.seen();
    assert_eq!(seen[0].line, format!("GET /{DIRECTORY_BUCKET}/?session="));
    assert!(seen[0].has_header("x-amz-create-session-mode") && seen[0].has_header("authorization"));
}
