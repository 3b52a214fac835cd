//! Uploads: begin, parts, finish.

use std::time::Duration;

use bytes::Bytes;
use larder_base::{ContentHash, Digest, Key, Result, UploadId};
use larder_proto::ci::{
    BeginAnswer, BeginRequest, BlobAddress, ChunkAddress, FinishRequest, PartAnswer, PartRequest, UploadStatus,
    WAIT_MAX_MS,
};

use super::{CiClient, ManifestAddress, answer};
use crate::signed_url::Put;

/// What an upload will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The key of the entry.
    pub key: Key,
    /// The bytes of all files: what is finished may have fewer, never more.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// Whether an entry with other content is to be replaced.
    pub replace: bool,
}

/// An upload that is registered, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub id: UploadId,
    /// The most bytes of a part.
    pub part_max_bytes: u64,
    /// The highest number of a part; the lowest is 1.
    pub parts_max: u32,
    /// The most bytes of all parts together.
    pub parts_max_bytes: u64,
    /// How long it lives without a new or renewed URL.
    pub idle: Duration,
}

/// What an upload was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The saved tree's manifest.
    pub manifest: ManifestAddress,
    /// The numbers of the parts that were sent.
    pub parts: Vec<u32>,
    /// What two saves with the same content agree on.
    pub content: ContentHash,
    /// How many files there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How long the place of a part may be silent beyond the usual: it makes room, and syncs.
const PART_WAIT: Duration = Duration::from_secs(50);
/// How often the URL of a part is asked for again because the last one was no longer good.
const RENEWALS: u32 = 3;

impl CiClient {
    /// Registers an upload. Nothing may be sent before.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::TooLarge`] above the server's cap for an entry, [`larder_base::ErrorKind::Denied`]
    /// without the right to write, and those of [`CiClient::lookup`].
    pub async fn begin(&self, begin: &Begin) -> Result<Upload> {
        let Begin { key, bytes, files, replace } = begin;
        let request = BeginRequest { key: key.to_string(), bytes: *bytes, files: *files, replace: *replace };
        let answer: BeginAnswer = self.json(self.post_json("uploads", &request, Duration::ZERO).await?)?;
        Ok(Upload {
            id: answer.upload.parse().map_err(|_| answer::unreadable("the answer holds a bad upload id"))?,
            part_max_bytes: answer.part_max_bytes,
            parts_max: answer.parts_max,
            parts_max_bytes: answer.parts_max_bytes,
            idle: Duration::from_millis(answer.idle_ms),
        })
    }

    /// Sends one part: a whole segment. A URL is asked for, and asked for again when it is no longer good, or leads to a
    /// place that cannot be reached. Parts may be sent in any order, side by side, and again. `sent` are parts that were sent
    /// since the last call, for the server to begin with.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::TooLarge`] beyond a limit of the upload, and those of [`CiClient::lookup`].
    pub async fn send_part(&self, upload: &UploadId, number: u32, segment: Bytes, sent: &[u32]) -> Result<()> {
        let path = format!("uploads/{upload}/parts");
        let mut renewals = 0;
        loop {
            let (length, sent, through_server) = (segment.len() as u64, sent.to_vec(), self.through_server());
            let request = PartRequest { number, length, sent, through_server };
            let place: PartAnswer = self.json(self.post_json(&path, &request, Duration::ZERO).await?)?;
            let url = self.signed_url(&place.url, &place.headers)?;
            let put = url.put(&self.http, segment.clone(), PART_WAIT).await;
            let again = match &put {
                Ok(Put::Done) => return Ok(()),
                Ok(Put::Refused(answer)) if url.may_be_too_old(answer.status()) => {
                    // A fresh URL that is refused as well was not too old.
                    renewals == 0 || self.note_failed_transfer(&url) || renewals < RENEWALS
                }
                Ok(Put::Refused(_)) => self.note_failed_transfer(&url),
                Err(error) => error.kind().may_pass() && self.note_failed_transfer(&url),
            };
            if !again || renewals == RENEWALS {
                return match put? {
                    Put::Done => Ok(()),
                    Put::Refused(answer) => self.good(answer).map(drop),
                };
            }
            renewals += 1;
        }
    }

    /// Hands an upload to the commit queue and waits for its end, at most `wait`; then it is still `queued`.
    ///
    /// # Errors
    /// As [`CiClient::lookup`]; a refusal or failure of the commit is a state and no error.
    pub async fn finish(&self, upload: &UploadId, finish: &Finish, wait: Duration) -> Result<UploadStatus> {
        let manifest = &finish.manifest;
        let request = FinishRequest {
            manifest: BlobAddress {
                hash: manifest.digest.hash.to_hex(),
                size: manifest.digest.size,
                chunks: manifest.chunks.iter().map(chunk_address).collect(),
            },
            parts: finish.parts.clone(),
            content: finish.content.to_hex(),
            files: finish.files,
            bytes: finish.bytes,
            wait_ms: wait_ms(wait),
        };
        let answer = self.post_json(&format!("uploads/{upload}/finish"), &request, wait).await?;
        let status = self.json(answer)?;
        self.wait_on(upload, status, wait.saturating_sub(Duration::from_millis(WAIT_MAX_MS))).await
    }

    /// Where an upload stands; waits for its end, at most `wait`. `None` when there is no such upload of this caller.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn status(&self, upload: &UploadId, wait: Duration) -> Result<Option<UploadStatus>> {
        let path = format!("uploads/{upload}?wait_ms={}", wait_ms(wait));
        self.json_or_absent(self.get(&path, wait).await?)
    }

    /// Gives an upload up. One that has ended, or is being committed, stays as it is: the answer says how.
    ///
    /// # Errors
    /// As [`CiClient::lookup`].
    pub async fn abort(&self, upload: &UploadId) -> Result<Option<UploadStatus>> {
        self.json_or_absent(self.delete(&format!("uploads/{upload}")).await?)
    }

    /// Waits on, when the wait is longer than the server takes in one request.
    async fn wait_on(&self, upload: &UploadId, mut status: UploadStatus, mut left: Duration) -> Result<UploadStatus> {
        while !status.state.is_final() && !left.is_zero() {
            let turn = left.min(Duration::from_millis(WAIT_MAX_MS));
            left -= turn;
            match self.status(upload, turn).await? {
                Some(now) => status = now,
                None => return Err(answer::unreadable("the server has forgotten an upload that it was committing")),
            }
        }
        Ok(status)
    }
}

fn wait_ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(WAIT_MAX_MS)
}

fn chunk_address(chunk: &Digest) -> ChunkAddress {
    ChunkAddress { hash: chunk.hash.to_hex(), size: chunk.size }
}
