use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

use super::{Listener, ServerLimits};
use crate::config::SocketMode;

/// Says when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|dropped| dropped.send(()));
    }
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_time_is_ended_before_serving_ends() {
    let limits = ServerLimits { drain: Duration::from_millis(1), ..ServerLimits::default() };
    let listen = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(&listen, SocketMode::default(), limits).await.unwrap();
    let address = listener.urls().unwrap()[0].strip_prefix("http://").unwrap().to_owned();
    let reached = Arc::new(Notify::new());
    let (dropped, mut was_dropped) = oneshot::channel();
    let held = Arc::new(parking_lot::Mutex::new(Some(Dropped(Some(dropped)))));
    let endless = {
        let reached = reached.clone();
        async move || {
            let _held = held.lock().take();
            reached.notify_one();
            std::future::pending::<&str>().await
        }
    };
    let serving = listener.serve(Router::new().route("/", get(endless)), async { reached.notified().await });
    let asking = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        answer
    };
    let ((), answer) = tokio::join!(
        async {
            serving.await.unwrap();
            was_dropped.try_recv().expect("the request is gone when serving ends");
        },
        asking
    );
    assert!(answer.is_empty());
}
