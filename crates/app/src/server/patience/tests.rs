use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::{PREFACE, Patience, Patient};

fn connection() -> (DuplexStream, Patient<DuplexStream>) {
    let (client, server) = duplex(1000);
    (client, Patient::new(server, Patience::default()))
}

/// Reads until the server gives up, and says after how many seconds from `since` it did.
async fn given_up(server: &mut Patient<DuplexStream>, since: Instant) -> u64 {
    let mut rest = Vec::new();
    assert_eq!(server.read_to_end(&mut rest).await.unwrap_err().kind(), ErrorKind::TimedOut);
    since.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_ends_after_half_a_minute() {
    let (_client, mut server) = connection();
    assert_eq!(given_up(&mut server, Instant::now()).await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_comes_in_drops_buys_no_time() {
    let (mut client, mut server) = connection();
    let opened = Instant::now();
    let drip = async {
        for byte in &PREFACE[..20] {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let (_, after) = tokio::join!(drip, given_up(&mut server, opened));
    assert_eq!(after, 30);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_ten_minutes_after_the_last_byte_of_either_side() {
    for first in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PUT", PREFACE] {
        let (mut client, mut server) = connection();
        client.write_all(first).await.unwrap();
        let mut read = vec![0; first.len()];
        server.read_exact(&mut read).await.unwrap();
        // The server is silent for as long as a long poll takes, then answers.
        assert!(tokio::time::timeout(Duration::from_secs(300), server.read_u8()).await.is_err());
        server.write_all(b"answer").await.unwrap();
        assert_eq!(given_up(&mut server, Instant::now()).await, 600);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_given_up_after_a_minute_without_progress() {
    let (mut client, mut server) = connection();
    let started = Instant::now();
    let reading = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        client.read_exact(&mut [0; 500]).await.unwrap();
        client
    };
    let writing = async { server.write_all(&[0; 10_000]).await.unwrap_err().kind() };
    let (_client, ended) = tokio::join!(reading, writing);
    assert_eq!((ended, started.elapsed().as_secs()), (ErrorKind::TimedOut, 110));
}
