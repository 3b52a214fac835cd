use std::sync::Arc;

use http::Response;
use larder_door::Exchange;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::UnixStream;

use super::*;
use crate::crsh::forward::tests::{exchange_with, server};
use crate::testing::World;

/// A helper before a cache in memory.
fn forward() -> Forward {
    Forward::new(exchange_with(&World::new()), server(), Vec::new())
}

/// A helper whose server never answers.
fn hanging() -> Forward {
    let exchange: Exchange = Arc::new(|_| Box::pin(std::future::pending()));
    Forward::new(exchange, server(), Vec::new())
}

async fn expect<S: AsyncRead + Unpin>(client: &mut S, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}

/// Talks as a client while a helper converses.
async fn talk<T: Future<Output = ()>>(forward: Forward, client: impl FnOnce(DuplexStream) -> T) -> io::Result<End> {
    let (near, far) = duplex(1 << 16);
    let activity = Activity::new();
    tokio::join!(converse(far, &forward, &activity), client(near)).0
}

fn get(key: u8) -> Vec<u8> {
    [&[0, 20][..], &[key; 20]].concat()
}

fn put(key: u8, value: &[u8]) -> Vec<u8> {
    [&[1, 20][..], &[key; 20], &[1], &(value.len() as u64).to_ne_bytes(), value].concat()
}

#[tokio::test]
async fn a_conversation_is_a_greeting_and_answers_in_order() {
    let end = talk(forward(), async |mut client| {
        expect(&mut client, &GREETING).await;
        client.write_all(&get(7)).await.unwrap();
        expect(&mut client, &[1]).await;
        client.write_all(&put(7, b"value")).await.unwrap();
        expect(&mut client, &[0]).await;
        // Two at once, though no client does that.
        client.write_all(&[get(7), get(8)].concat()).await.unwrap();
        expect(&mut client, &[&[0][..], &5_u64.to_ne_bytes(), b"value", &[1]].concat()).await;
    });
    assert_eq!(end.await.unwrap(), End::Closed);
}

#[tokio::test]
async fn a_large_value_comes_back_as_it_was() {
    let value: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let end = talk(forward(), async |mut client| {
        expect(&mut client, &GREETING).await;
        client.write_all(&put(7, &value)).await.unwrap();
        expect(&mut client, &[0]).await;
        client.write_all(&get(7)).await.unwrap();
        expect(&mut client, &[&[0][..], &3_000_000_u64.to_ne_bytes(), &value].concat()).await;
    });
    assert_eq!(end.await.unwrap(), End::Closed);
}

#[tokio::test]
async fn an_unknown_request_is_answered_and_ends_the_conversation() {
    let end = talk(forward(), async |mut client| {
        expect(&mut client, &GREETING).await;
        client.write_all(&[9, 4]).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!((rest[0], &rest[2..]), (2, &b"larder does not know request 9"[..]));
    });
    assert_eq!(end.await.unwrap(), End::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_compile_for_an_hour_but_not_stop_in_a_message() {
    let end = talk(forward(), async |mut client| {
        expect(&mut client, &GREETING).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        client.write_all(&get(7)).await.unwrap();
        expect(&mut client, &[1]).await;
        client.write_all(&[0, 20, 7]).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    });
    assert_eq!(end.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn stop_ends_the_helper_while_others_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (listener, file) = crate::crsh::socket::bind(&path).await.unwrap();
    let forward = hanging();
    let clients = async {
        let mut waiting = UnixStream::connect(&path).await.unwrap();
        expect(&mut waiting, &GREETING).await;
        waiting.write_all(&get(7)).await.unwrap();
        let mut stopping = UnixStream::connect(&path).await.unwrap();
        expect(&mut stopping, &GREETING).await;
        stopping.write_all(&[3]).await.unwrap();
        expect(&mut stopping, &[0]).await;
        waiting
    };
    let ((), mut waiting) = tokio::join!(serve(listener, &forward, None), clients);
    assert_eq!(waiting.read(&mut [0]).await.unwrap(), 0);
    drop(file);
    assert!(!path.exists());
}

#[tokio::test]
async fn many_clients_are_served_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (listener, _file) = crate::crsh::socket::bind(&path).await.unwrap();
    let forward = forward();
    let clients = async {
        let mut open = Vec::new();
        // All are open, and have begun to ask, before the first is answered.
        for key in 0..100 {
            let mut client = UnixStream::connect(&path).await.unwrap();
            expect(&mut client, &GREETING).await;
            client.write_all(&put(key, &[key])[..10]).await.unwrap();
            open.push((key, client));
        }
        for (key, client) in open.iter_mut().rev() {
            client.write_all(&put(*key, &[*key])[10..]).await.unwrap();
            expect(client, &[0]).await;
        }
        for (key, client) in &mut open {
            client.write_all(&get(*key)).await.unwrap();
            expect(client, &[&[0][..], &1_u64.to_ne_bytes(), &[*key]].concat()).await;
        }
        open[0].1.write_all(&[3]).await.unwrap();
    };
    tokio::join!(serve(listener, &forward, None), clients);
}

#[tokio::test(start_paused = true)]
async fn an_idle_helper_ends_and_an_open_connection_does_not_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (listener, _file) = crate::crsh::socket::bind(&path).await.unwrap();
    let _client = UnixStream::connect(&path).await.unwrap();
    let began = Instant::now();
    serve(listener, &forward(), Some(Duration::from_secs(600))).await;
    assert!(began.elapsed() >= Duration::from_secs(600), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(601), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idleness_begins_when_the_last_answer_was_given() {
    let exchange: Exchange = Arc::new(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok(Response::new("value".into()))
        })
    });
    let forward = Forward::new(exchange, server(), Vec::new());
    let activity = Activity::new();
    let began = Instant::now();
    let asking = async {
        let _busy = activity.begin();
        forward.answer(Request::Get(vec![7; 20].into())).await
    };
    let (_, ()) = tokio::join!(asking, activity.rest(Some(Duration::from_secs(1))));
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
}
