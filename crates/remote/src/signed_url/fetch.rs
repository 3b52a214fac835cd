//! Ranges that are fetched: as streams that mend themselves.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use larder_base::{BlobStream, Error, ErrorKind, Result};

use super::SignedUrl;
use crate::HttpClient;
use crate::http::Call;

impl SignedUrl {
    /// The bytes that it leads to: exactly `length`, or the stream ends in an error. A transfer that breaks off is begun again
    /// and what was delivered before is passed over. `None` when the URL is no longer good, or something on the way to
    /// elsewhere ignores ranges.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when no answer came, [`ErrorKind::Failed`] when it is none that is expected.
    pub(crate) async fn get(&self, http: &HttpClient, length: u64) -> Result<Option<BlobStream>> {
        let call = self.call(Method::GET, Bytes::new());
        let answer = http.open(&call).await?;
        if self.leads_elsewhere && is_longer(&answer, length) {
            return Ok(None);
        }
        let Some(body) = body_of(answer).await? else { return Ok(None) };
        let fetch = Fetch { http: http.clone(), call, length, delivered: 0, skip: 0, breaks: 0, body };
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
