//! Segments that are sent: into the object store of the Larder above where that says how, else to it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::{Adopted, ErrorKind, Namespace, Result};
use larder_proto::tier::{SMALL_BYTES, SegmentAnswer, UploadAnswer, UploadPlace, UploadRequest};
use tokio::time::timeout;

use super::direct::add;
use super::{ANSWER_MAX_BYTES, KEEPING, UpstreamTier, json};
use crate::signed_url::{Put, SignedUrl};

/// How long a segment may take into the object store and to be verified there, and the pace at which that goes at least, in
/// bytes a second. A node waits 10 s for a segment and a second more for each 256 KiB, and there has to be time left to send
/// it through the Larder above.
const PATIENCE: Duration = Duration::from_secs(6);
const PACE: u64 = 512 << 10;
/// How long it is tried to say that an upload is given up.
const GIVING_UP: Duration = Duration::from_secs(1);
/// How long it is not asked for a place after the Larder above did not know the question: until a newer one may be there.
const NOT_KNOWN: Duration = Duration::from_secs(600);

impl UpstreamTier {
    pub(super) async fn send_segment(&self, namespace: &Namespace, segment: Bytes) -> Result<Adopted> {
        let length = segment.len() as u64;
        if length < SMALL_BYTES || !self.direct.up.is_open() {
            return self.send_through(namespace, segment).await;
        }
        let Some(place) = self.begin_upload(namespace, length).await? else {
            return self.send_through(namespace, segment).await;
        };
        let putting = self.put_elsewhere(namespace, &place, segment.clone());
        let put = timeout(PATIENCE + Duration::from_secs(length / PACE), putting).await;
        if let Some(adopted) = put.unwrap_or(Ok(None))? {
            self.direct.up.succeeded();
            add(&self.direct.counts.bytes_up, length);
            return Ok(adopted);
        }
        // At once: whoever waits for this may give up before its end.
        self.direct.up.failed();
        // So that it need not be swept; if this fails, it is.
        let upload = self.call(Method::DELETE, namespace, &format!("uploads/{}", place.upload), Bytes::new());
        let _ = timeout(GIVING_UP, self.http.exchange(&upload, ANSWER_MAX_BYTES)).await;
        let sent = self.send_through(namespace, segment).await;
        if matches!(&sent, Err(error) if error.kind() == ErrorKind::Invalid) {
            // A segment that is refused both ways is itself the reason.
            self.direct.up.forgive();
        } else {
            add(&self.direct.counts.failed, 1);
        }
        sent
    }

    async fn send_through(&self, namespace: &Namespace, segment: Bytes) -> Result<Adopted> {
        let mut call = self.call(Method::PUT, namespace, "segment", segment);
        call.wait = KEEPING;
        Ok(adopted(json(&self.ask(&call).await?)?))
    }

    /// Where a segment is to be put, if there is such a place.
    async fn begin_upload(&self, namespace: &Namespace, length: u64) -> Result<Option<UploadPlace>> {
        let request = serde_json::to_vec(&UploadRequest { length }).expect("a number is JSON");
        let call = self.call(Method::POST, namespace, "uploads", request.into());
        let answer = self.http.exchange(&call, ANSWER_MAX_BYTES).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            self.direct.up.rest(NOT_KNOWN);
            return Ok(None);
        }
        let UploadAnswer { place } = json(self.good(answer)?.body())?;
        Ok(place)
    }

    /// Puts a segment to its place and has the Larder above take it from there; `None` when it is to be sent to it instead.
    async fn put_elsewhere(
        &self,
        namespace: &Namespace,
        place: &UploadPlace,
        segment: Bytes,
    ) -> Result<Option<Adopted>> {
        let url = SignedUrl::new(&self.server, &format!("tier/v1/{namespace}"), &place.url, &place.headers)?;
        match url.put(&self.http, segment, KEEPING).await {
            Ok(Put::Done) => {}
            Ok(Put::Refused(answer)) => {
                tracing::debug!(status = %answer.status(), "a segment was refused by the object store");
                return Ok(None);
            }
            Err(error) => {
                tracing::debug!(%error, "a segment could not be put into the object store");
                return Ok(None);
            }
        }
        let mut call = self.call(Method::POST, namespace, &format!("uploads/{}", place.upload), Bytes::new());
        call.wait = KEEPING;
        match self.ask(&call).await {
            Ok(answer) => Ok(Some(adopted(json(&answer)?))),
            Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Full) => Err(error),
            // It came damaged, or not at all, or cannot be read there now; or the fault is its own.
            Err(error) => {
                tracing::debug!(%error, "a segment could not be taken from the object store");
                Ok(None)
            }
        }
    }
}

fn adopted(answer: SegmentAnswer) -> Adopted {
    let SegmentAnswer { records, stored_bytes, raw_bytes } = answer;
    Adopted { records, stored_bytes, raw_bytes }
}
