use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use http::header::RANGE;
use http_body_util::BodyExt;
use larder_base::{BlobStream, ErrorKind, collect, stream_of};

use super::{RangeHeader, body_of, range_of, stream_of_body};

fn range(header: &str, size: u64) -> RangeHeader {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, header.parse().unwrap());
    range_of(&headers, size)
}

#[test]
fn ranges_are_read_as_the_standard_says() {
    let part = |offset, length| RangeHeader::Part { offset, length };
    assert_eq!(range("bytes=0-0", 10), part(0, 1));
    assert_eq!(range("bytes=2-", 10), part(2, 8));
    assert_eq!(range("bytes=-3", 10), part(7, 3));
    assert_eq!(range("bytes=-30", 10), part(0, 10));
    assert_eq!(range("bytes=4-100", 10), part(4, 6));
    assert_eq!(range("bytes=0-18446744073709551615", 10), part(0, 10));
    assert_eq!(range("bytes=10-", 10), RangeHeader::Unsatisfiable);
    assert_eq!(range("bytes=-0", 10), RangeHeader::Unsatisfiable);
    assert_eq!(range("bytes=0-", 0), RangeHeader::Unsatisfiable);
    for ignored in ["bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=", "bytes=-"] {
        assert_eq!(range(ignored, 10), RangeHeader::Whole, "{ignored}");
    }
    assert_eq!(range_of(&HeaderMap::new(), 10), RangeHeader::Whole);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_announced_breaks_off() {
    let bytes = || -> BlobStream { stream_of(Bytes::from_static(b"0123456789")) };
    assert_eq!(body_of(bytes(), 10).collect().await.unwrap().to_bytes(), "0123456789");
    assert!(body_of(bytes(), 11).collect().await.is_err());
    assert!(body_of(bytes(), 9).collect().await.is_err());
}

#[tokio::test]
async fn a_request_body_becomes_a_stream() {
    let body = Body::from("some bytes");
    assert_eq!(collect(stream_of_body(body), 100).await.unwrap(), "some bytes");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_for_a_minute_is_given_up() {
    let started = tokio::time::Instant::now();
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"some"))]);
    let mut body = stream_of_body(Body::from_stream(first.chain(stream::pending())));
    assert_eq!(body.next().await.unwrap().unwrap(), "some");
    let error = body.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(started.elapsed().as_secs(), 60);
    assert!(body.next().await.is_none(), "whoever drains the rest must not wait again");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_may_take_long_as_long_as_it_goes_on() {
    let pieces = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_secs(50)).await;
        (n < 10).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"x")), n + 1))
    });
    assert_eq!(collect(stream_of_body(Body::from_stream(pieces)), 100).await.unwrap(), "xxxxxxxxxx");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_asks_for_the_body_is_not_the_clients() {
    let piece = stream::once(async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
    });
    let mut body = stream_of_body(Body::from_stream(piece.chain(stream::pending())));
    assert_eq!(body.next().await.unwrap().unwrap(), "x");
    tokio::time::sleep(Duration::from_secs(300)).await;
    let asked = tokio::time::Instant::now();
    assert!(body.next().await.unwrap().is_err());
    assert_eq!(asked.elapsed().as_secs(), 60);
}
