use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use larder_base::Error;
use tower::ServiceExt;

use super::*;
use crate::testing::{WRITER, World};

/// What asks the door itself, without a socket.
pub(crate) fn exchange_with(world: &World) -> Exchange {
    let router = world.router.clone();
    Arc::new(move |request| {
        let router = router.clone();
        Box::pin(async move {
            let Ok(response) = router.oneshot(request.map(axum::body::Body::from)).await;
            let (head, body) = response.into_parts();
            Ok(Response::from_parts(head, body.collect().await.expect("a whole body").to_bytes()))
        })
    })
}

pub(crate) fn server() -> Server {
    Server { origin: None, namespace: "demo".parse().unwrap(), token: None }
}

fn key() -> Bytes {
    Bytes::from(vec![0xfe; 20])
}

fn put(overwrite: bool, value: &'static str) -> Request {
    Request::Put { key: key(), overwrite, value: value.into() }
}

#[tokio::test]
async fn values_are_kept_found_replaced_and_removed() {
    let world = World::new();
    let forward = Forward::new(exchange_with(&world), server(), Vec::new());
    for (request, expected) in [
        (Request::Get(key()), Answer::Noop),
        (Request::Exists(key()), Answer::Noop),
        (put(false, "one"), Answer::Done),
        (Request::Exists(key()), Answer::Done),
        (Request::Get(key()), Answer::Value("one".into())),
        (put(false, "two"), Answer::Noop),
        (Request::Get(key()), Answer::Value("one".into())),
        (put(true, "three"), Answer::Done),
        (Request::Get(key()), Answer::Value("three".into())),
        (Request::Remove(key()), Answer::Done),
        (Request::Remove(key()), Answer::Noop),
        (Request::PutTooLarge, Answer::Noop),
    ] {
        assert_eq!(forward.answer(request.clone()).await, expected, "{request:?}");
    }
}

#[tokio::test]
async fn it_is_the_value_that_the_http_layouts_name() {
    let world = World::new();
    let forward = Forward::new(exchange_with(&world), server(), Vec::new());
    forward.answer(put(true, "value")).await;
    assert_eq!(world.get(&format!("/http/ccache/demo/{}", "fe".repeat(20))).await.body(), "value");
}

#[tokio::test]
async fn a_refusal_is_told_to_ccache_and_a_token_opens() {
    let world = World::guarded();
    let refused = Forward::new(exchange_with(&world), server(), Vec::new());
    let Answer::Failed(message) = refused.answer(Request::Get(key())).await else { panic!("a token is needed") };
    assert_eq!(message, "401 Unauthorized: authorize: a token is needed");
    let token = Some(format!("Bearer {WRITER}").parse().unwrap());
    let allowed = Forward::new(exchange_with(&world), Server { token, ..server() }, Vec::new());
    assert_eq!(allowed.answer(put(true, "value")).await, Answer::Done);
}

#[tokio::test]
async fn a_key_that_the_door_cannot_name_is_refused_here() {
    let world = World::new();
    let forward = Forward::new(exchange_with(&world), server(), Vec::new());
    for length in [0, 15, 33] {
        let answer = forward.answer(Request::Get(vec![0; length].into())).await;
        assert!(matches!(answer, Answer::Failed(_)), "{length}");
    }
}

#[tokio::test]
async fn the_named_server_is_asked_and_otherwise_none_is_named() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let exchange: Exchange = Arc::new(move |request: http::Request<Bytes>| {
        seen.lock().push(request.uri().to_string());
        Box::pin(async { Ok(Response::new(Bytes::new())) })
    });
    let origin = Some((Scheme::HTTPS, "cache.example:7979".parse().unwrap()));
    let forward = |server| Forward::new(exchange.clone(), server, Vec::new());
    forward(Server { origin, ..server() }).answer(Request::Get(key())).await;
    forward(server()).answer(Request::Get(key())).await;
    let path = format!("/http/ccache/demo/fe/{}", "fe".repeat(19));
    assert_eq!(*asked.lock(), [format!("https://cache.example:7979{path}"), path]);
}

/// An exchange whose calls are counted and end as `end` says.
fn counted<F, T>(end: F) -> (Exchange, Arc<AtomicUsize>)
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = larder_base::Result<Response<Bytes>>> + Send + 'static,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let exchange: Exchange = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(end())
    });
    (exchange, calls)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_has_nothing_and_is_asked_again_later() {
    let (exchange, calls) =
        counted(|| async { Err(Error::new(ErrorKind::Unavailable, "connect", "connection refused")) });
    let forward = Forward::new(exchange, server(), Vec::new());
    for _ in 0..10 {
        assert_eq!(forward.answer(Request::Get(key())).await, Answer::Noop);
        assert_eq!(forward.answer(put(true, "value")).await, Answer::Noop);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    tokio::time::advance(AWAY).await;
    assert_eq!(forward.answer(Request::Get(key())).await, Answer::Noop);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_given_up_before_ccache_gives_up() {
    let (exchange, calls) = counted(std::future::pending);
    let forward = Forward::new(exchange, server(), Vec::new());
    let began = Instant::now();
    assert_eq!(forward.answer(Request::Get(key())).await, Answer::Noop);
    assert_eq!(began.elapsed(), DEADLINE);
    assert_eq!(forward.answer(Request::Get(key())).await, Answer::Noop);
    assert_eq!((began.elapsed(), calls.load(Ordering::SeqCst)), (DEADLINE, 1));
    let Answer::Info(_, notes) = forward.answer(Request::Info).await else { panic!("info is info") };
    assert!(notes.iter().any(|note| note.contains("away")), "{notes:?}");
}

#[tokio::test]
async fn a_fault_of_one_request_does_not_make_the_server_away() {
    let (exchange, calls) = counted(|| async { Err(Error::new(ErrorKind::Failed, "read answer", "not HTTP")) });
    let forward = Forward::new(exchange, server(), Vec::new());
    for _ in 0..3 {
        assert_eq!(forward.answer(Request::Get(key())).await, Answer::Noop);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_odd_status_is_a_miss() {
    for status in [302, 404, 412, 429, 500, 503, 507] {
        let mut response = Response::new(Bytes::from("text"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        assert_eq!(answer_of(response, true), Answer::Noop, "{status}");
    }
}
