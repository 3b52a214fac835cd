//! Runs of records: fetched as a stream that mends itself.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use larder_base::{BlobStream, Error, ErrorKind, Result};
use larder_proto::ci::Run;

use super::{CiClient, upload};
use crate::HttpClient;
use crate::http::Call;

impl CiClient {
    /// The bytes of a run: exactly `run.length`, or the stream ends in an error. A transfer that breaks off is begun again
    /// and what was delivered before is passed over. `None` when the URL is no longer good: locate the chunks again.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn fetch_run(&self, run: &Run) -> Result<Option<BlobStream>> {
        let call = Call {
            method: Method::GET,
            url: self.resolve(&run.url),
            headers: upload::headers_of(&run.headers)?,
            body: Bytes::new(),
            wait: Duration::ZERO,
        };
        let opened = match self.http.open(&call).await {
            // Something on the way there ignores ranges; through the server they are not ignored.
            Ok(answer) if is_longer(&answer, run.length) && self.note_failed_transfer(&run.url) => return Ok(None),
            Ok(answer) => body_of(answer).await,
            Err(error) => Err(error),
        };
        let body = match opened {
            Ok(Some(body)) => body,
            Ok(None) => {
                self.note_failed_transfer(&run.url);
                return Ok(None);
            }
            // Located again, the chunks come through the server.
            Err(error) if error.kind().may_pass() && self.note_failed_transfer(&run.url) => return Ok(None),
            Err(error) => return Err(error),
        };
        let fetch = Fetch { http: self.http.clone(), call, length: run.length, delivered: 0, skip: 0, breaks: 0, body };
        Ok(Some(Box::pin(stream::try_unfold(fetch, |mut fetch| async move {
            let piece = fetch.next().await?;
            Ok(piece.map(|piece| (piece, fetch)))
        }))))
    }
}

/// A transfer under way.
struct Fetch {
    http: HttpClient,
    call: Call,
    length: u64,
    delivered: u64,
    /// Bytes of the present answer that were delivered from an earlier one.
    skip: u64,
    breaks: u32,
    body: BlobStream,
}

impl Fetch {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.delivered == self.length {
            return Ok(None);
        }
        loop {
            let problem = match self.body.next().await {
                Some(Ok(piece)) => {
                    let passed = self.skip.min(piece.len() as u64);
                    self.skip -= passed;
                    let piece = piece.slice(passed as usize..);
                    if piece.is_empty() {
                        continue;
                    }
                    self.delivered += piece.len() as u64;
                    if self.delivered > self.length {
                        return Err(Error::new(
                            ErrorKind::Failed,
                            "fetch chunks",
                            "more bytes came than were announced",
                        ));
                    }
                    return Ok(Some(piece));
                }
                Some(Err(error)) => error,
                None => Error::new(ErrorKind::Unavailable, "fetch chunks", "fewer bytes came than were announced"),
            };
            self.begin_again(problem).await?;
        }
    }

    async fn begin_again(&mut self, problem: Error) -> Result<()> {
        self.breaks += 1;
        if self.breaks >= self.http.policy().tries {
            return Err(problem);
        }
        tokio::time::sleep(self.http.pauses().after(self.breaks, self.http.policy().first_pause)).await;
        let answer = self.http.open(&self.call).await?;
        self.body = body_of(answer).await?.ok_or(problem)?;
        self.skip = self.delivered;
        Ok(())
    }
}

/// Whether all of something came where a range of it was asked for.
fn is_longer(answer: &http::Response<BlobStream>, length: u64) -> bool {
    let announced = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    answer.status() == StatusCode::OK && announced.is_some_and(|announced| announced > length)
}

/// The body of a good answer; `None` when the URL is no longer good.
async fn body_of(answer: http::Response<BlobStream>) -> Result<Option<BlobStream>> {
    let (head, body) = answer.into_parts();
    match head.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Some(body)),
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        // A bucket's word for a session that has ended, and with it what was signed in it.
        StatusCode::BAD_REQUEST => Ok(None),
        status => {
            // Read, so that the connection can be used again; the words of a bucket's error help nobody further.
            let _ = larder_base::collect(body, 64 * 1024).await;
            let kind = if status.is_server_error() { ErrorKind::Unavailable } else { ErrorKind::Failed };
            Err(Error::new(kind, "fetch chunks", format!("the transfer was answered with {status}")))
        }
    }
}
