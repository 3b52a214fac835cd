use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use larder_base::ErrorKind;
use tokio::time::Instant;

use super::{Call, Pauses};
use crate::testing::{Script, Step, impatient, ok};
use crate::{HttpClient, Policy};

fn call(url: &str, body: &'static [u8]) -> Call {
    Call {
        method: Method::POST,
        url: format!("{url}/path?signature=secret"),
        headers: HeaderMap::new(),
        body: Bytes::from_static(body),
        wait: Duration::ZERO,
        advice: None,
    }
}

fn unavailable() -> Step {
    Step::Answer("503 Service Unavailable", vec![])
}

#[tokio::test]
async fn a_request_is_sent_again_whole_after_what_may_pass() {
    let script = Script::run(vec![
        unavailable(),
        Step::Close,
        Step::BreakOff { announced: 10, sent: b"half".to_vec() },
        Step::Answer("429 Too Many Requests", vec![]),
        ok("done"),
    ]);
    let answer = impatient().exchange(&call(&script.url, b"all of it"), 100).await.unwrap();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"done"[..]));
    let seen = script.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|request| request.body == b"all of it"));
}

#[tokio::test]
async fn after_five_tries_the_last_answer_counts() {
    let script = Script::run((0..5).map(|_| unavailable()).collect());
    let answer = impatient().exchange(&call(&script.url, b""), 100).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(script.seen().len(), 5);
}

#[tokio::test]
async fn what_will_stay_wrong_is_not_tried_again() {
    for status in ["400 Bad Request", "403 Forbidden", "409 Conflict", "500 Internal Server Error", "507 Full"] {
        let script = Script::run(vec![Step::Answer(status, vec![])]);
        let answer = impatient().exchange(&call(&script.url, b""), 100).await.unwrap();
        assert!(status.starts_with(answer.status().as_str()));
        assert_eq!(script.seen().len(), 1);
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_while_it_fits() {
    let script = Script::run(vec![Step::Answer("503 Busy\r\nretry-after: 1", vec![]), ok("done")]);
    let start = Instant::now();
    impatient().exchange(&call(&script.url, b""), 100).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));

    let script = Script::run(vec![Step::Answer("503 Busy\r\nretry-after: 3600", vec![])]);
    let answer = impatient().exchange(&call(&script.url, b""), 100).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_what_is_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = impatient().exchange(&call(&url, b""), 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(&url) && error.message().contains("cannot be reached"), "{error}");
    assert!(!error.message().contains("secret"), "{error}");
    // Its cause is told once, and what to do about it by whoever knows.
    assert!(error.message().contains("onnection refused"), "{error}");
    assert!(std::error::Error::source(&error).is_none(), "{error:?}");
    assert_eq!(error.hint(), None);
    let advised = Call { advice: Some("start one"), ..call(&url, b"") };
    assert_eq!(impatient().exchange(&advised, 100).await.unwrap_err().hint(), Some("start one"));
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named_as_people_write_it() {
    let url: crate::ServerUrl = "unix:/nowhere/larder.sock".parse().unwrap();
    let call = Call { url: url.with_path("/healthz"), ..call("", b"") };
    let error = impatient().exchange(&call, 100).await.unwrap_err();
    assert!(error.message().contains("the server at unix:/nowhere/larder.sock cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_plain_server_that_is_spoken_to_in_tls_is_told_to_be_one() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let client = HttpClient::new(Policy { tries: 1, ..*impatient().policy() }, 1);
    #[expect(clippy::disallowed_methods, reason = "the other end of a socket lives outside of the runtime under test")]
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let error = client.exchange(&call(&url, b""), 100).await.unwrap_err();
    server.join().unwrap();
    assert!(error.message().ends_with("does not speak TLS"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("http://")), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_is_waited_for_as_long_as_it_was_asked_to_take_and_no_longer() {
    let policy = Policy { tries: 1, ..*impatient().policy() };
    let client = HttpClient::new(policy, 1);
    let script = Script::run(vec![Step::Stall]);
    let start = Instant::now();
    let patient = Call { wait: Duration::from_millis(400), ..call(&script.url, b"") };
    let error = client.exchange(&patient, 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_larger_than_allowed_is_not_read_to_its_end() {
    let script = Script::run(vec![ok(vec![0; 101])]);
    let error = impatient().exchange(&call(&script.url, b""), 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn connections_are_kept() {
    let script = Script::run(vec![ok("one"), ok("two")]);
    let client = impatient();
    for expected in ["one", "two"] {
        // The script reads its second request from the first connection, if that is where it comes.
        let answer = client.exchange(&call(&script.url, b""), 100).await.unwrap();
        assert_eq!(answer.body(), expected);
    }
    assert_eq!(script.seen().len(), 2);
}

#[test]
fn pauses_grow_and_are_spread() {
    let pauses = Pauses::new(7);
    let first = Duration::from_millis(200);
    for (tried, most) in [(1, 200), (2, 400), (3, 800), (4, 1600)] {
        let drawn: Vec<_> = (0..50).map(|_| pauses.after(tried, first)).collect();
        let (least, most) = (Duration::from_millis(most / 2), Duration::from_millis(most));
        assert!(drawn.iter().all(|pause| (least..=most).contains(pause)), "{drawn:?}");
        assert!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len() > 10);
    }
    assert_ne!(Pauses::new(1).after(1, first), Pauses::new(2).after(1, first));
}
