//! Connections: many at once, one request at a time on each, all in one task.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::codec::{Answer, Decoder, GREETING, Request, UnknownRequest};
use super::forward::Forward;

/// More connections wait in the backlog.
const CONNECTIONS_MAX: usize = 256;
/// A client that stops in the middle of a message for this long is gone: ccache gives up a request after a minute.
const STALL_MAX: Duration = Duration::from_secs(60);
/// A value up to this long leaves in one write with its head.
const TOGETHER_MAX: usize = 64 << 10;

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client closed it, or it cannot be understood any more.
    Closed,
    /// The client told the helper to end.
    Stop,
}

/// Serves until it is told to stop, or nobody has asked anything for `idle`.
pub(super) async fn serve(listener: UnixListener, forward: &Forward, idle: Option<Duration>) {
    let activity = Activity::new();
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    activity.touch();
                    connections.push(converse(stream, forward, &activity));
                }
                // Too many open files, for one: others will be closed.
                Err(error) => {
                    debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(end) = connections.next() => match end {
                Ok(End::Stop) => return,
                Ok(End::Closed) => {}
                Err(error) => debug!(%error, "a connection broke"),
            },
            () = activity.rest(idle) => return,
        }
    }
}

/// When something was last asked, and how much is being answered.
struct Activity(Mutex<(Instant, usize)>);

impl Activity {
    fn new() -> Self {
        Self(Mutex::new((Instant::now(), 0)))
    }

    fn touch(&self) {
        self.0.lock().0 = Instant::now();
    }

    fn begin(&self) -> Busy<'_> {
        let mut state = self.0.lock();
        *state = (Instant::now(), state.1 + 1);
        Busy(self)
    }

    /// Waits until nothing was asked for `idle`.
    async fn rest(&self, idle: Option<Duration>) {
        let Some(idle) = idle else { return std::future::pending().await };
        loop {
            let (last, busy) = *self.0.lock();
            let end = if busy == 0 { last } else { Instant::now() } + idle;
            if busy == 0 && end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A request being answered.
struct Busy<'a>(&'a Activity);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        *state = (Instant::now(), state.1 - 1);
    }
}

async fn converse<S>(mut stream: S, forward: &Forward, activity: &Activity) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&GREETING).await?;
    let mut decoder = Decoder::default();
    let mut out = BytesMut::new();
    loop {
        let answer = match decoder.next() {
            Ok(Some(Request::Stop)) => {
                // The client may have gone already; it stops all the same.
                let _ = send(&mut stream, &Answer::Done, &mut out).await;
                return Ok(End::Stop);
            }
            Ok(Some(request)) => {
                let _busy = activity.begin();
                forward.answer(request).await
            }
            Ok(None) => {
                if !read_more(&mut stream, &mut decoder).await? {
                    return Ok(End::Closed);
                }
                continue;
            }
            Err(UnknownRequest(tag)) => {
                let answer = Answer::Failed(format!("larder does not know request {tag}"));
                send(&mut stream, &answer, &mut out).await?;
                return Ok(End::Closed);
            }
        };
        send(&mut stream, &answer, &mut out).await?;
    }
}

/// Reads what is there; says whether the client may send more. Between requests it may take all the time it needs: a
/// compilation runs between a miss and the value that follows it.
async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, decoder: &mut Decoder) -> io::Result<bool> {
    let midway = decoder.is_midway();
    let reading = stream.read_buf(decoder.room());
    let read = if midway { timeout(STALL_MAX, reading).await?? } else { reading.await? };
    Ok(read > 0)
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, answer: &Answer, out: &mut BytesMut) -> io::Result<()> {
    out.clear();
    answer.write_head(out);
    let value = if let Answer::Value(value) = answer { &value[..] } else { &[] };
    let apart = value.len() > TOGETHER_MAX;
    if !apart {
        out.extend_from_slice(value);
    }
    let writing = async {
        stream.write_all(out).await?;
        if apart { stream.write_all(value).await } else { Ok(()) }
    };
    timeout(STALL_MAX, writing).await?
}

#[cfg(test)]
mod tests;
