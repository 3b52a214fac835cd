use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use larder_base::{ErrorKind, collect};

use super::*;

fn upload(pieces: &[&'static str], limit: u64) -> Upload {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(*piece))).collect();
    Upload::new(&HeaderMap::new(), Body::from_stream(stream::iter(pieces)), limit)
}

#[tokio::test]
async fn a_body_within_the_limit_is_read_whole() {
    let upload = upload(&["ab", "cd"], 4);
    assert_eq!(collect(upload.stream(), 10).await.unwrap(), "abcd");
    assert_eq!(upload.received(), 4);
    assert!(upload.drain(0).await);
}

#[tokio::test]
async fn a_body_over_the_limit_fails_at_the_limit_and_can_still_be_drained() {
    let upload = upload(&["ab", "cd", "ef", "gh"], 3);
    assert_eq!(collect(upload.stream(), 100).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(upload.received(), 4);
    assert!(upload.drain(4).await);
    assert_eq!(upload.received(), 8);
}

#[tokio::test]
async fn draining_has_a_bound_of_its_own() {
    let upload = upload(&["ab", "cd", "ef"], 100);
    assert!(!upload.drain(3).await);
    assert_eq!(upload.received(), 4);
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_unread() {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_LENGTH, 4.into())]);
    let upload = |limit| Upload::new(&headers, Body::from("abcd"), limit);
    assert_eq!(upload(4).announced().unwrap(), Some(4));
    assert_eq!(upload(3).announced().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(upload(3).received(), 0);
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_not_made_to_send() {
    let polled = Arc::new(AtomicUsize::new(0));
    let seen = polled.clone();
    let body = Body::from_stream(stream::repeat_with(move || {
        seen.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from("a"))
    }));
    let headers = HeaderMap::from_iter([(EXPECT, "100-continue".parse().unwrap())]);
    let upload = Upload::new(&headers, body, 10);
    assert!(!upload.drain(10).await);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_from_a_fault() {
    let pieces = [Ok(Bytes::from("ab")), Err(std::io::Error::other("gone"))];
    let upload = Upload::new(&HeaderMap::new(), Body::from_stream(stream::iter(pieces)), 100);
    assert!(!upload.client_is_gone());
    let mut stream = upload.stream();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(upload.client_is_gone());
    assert!(stream.next().await.is_none());
}
