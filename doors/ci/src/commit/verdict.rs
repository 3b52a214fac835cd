//! What becomes of an upload: the checks, in order, and the put.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use larder_base::{
    Access, Adopted, BoxFuture, ByteRange, ContentHash, Digest, Entry, EntryBody, Error, ErrorKind, HashFunction,
    NewEntry, PartName, PutIf, PutOutcome, Result, UploadId,
};
use larder_cache::{Caller, Lookup};
use larder_proto::ci::{Existing, Received, UploadState};
use larder_tree::{Plan, PlanLimits, Summary, decode_manifest};

use crate::Ci;
use crate::saved::{self, Saved};
use crate::upload::{Claim, Ended, Upload};

/// Parts of one upload that are verified side by side.
const PARTS_AT_ONCE: usize = 2;

/// How an upload ends.
///
/// # Errors
/// [`ErrorKind::Invalid`] and [`ErrorKind::TooLarge`] when it is not what it was said to be; else those of the tiers.
pub(super) async fn verdict(ci: &Ci, id: &UploadId, upload: &Upload, claim: &Claim) -> Result<Ended> {
    let caller = upload.caller();
    let value = Bytes::from(Saved::new(claim.manifest.clone()).encode());
    let before = Comparison { id, replace: upload.replace, content: claim.content(), value: Digest::of(&value) };
    // Before anything is verified: a save that changes nothing should cost nothing.
    if let Lookup::Hit(found) = ci.cache().lookup(&caller, &upload.key, Access::Check).await?
        && let Some(ended) = before.with(&found.entry)
    {
        return Ok(ended);
    }
    let (received, lost) = adopt(ci, &caller, id, upload, &claim.parts).await?;
    let manifest = read_manifest(ci, &caller, claim).await?;
    let summary = summarize(manifest, claim.content(), upload.bytes).await?;
    let links = links(claim, &summary);
    check_fits(ci, &caller, &links).await?;
    let entry = NewEntry {
        body: EntryBody::Value(value),
        attributes: saved::attributes(&summary, id),
        links,
        writer: upload.principal.clone(),
    };
    let condition = if upload.replace { PutIf::Always } else { PutIf::Absent };
    let ended = match ci.cache().put(&caller, &upload.key, entry, condition).await? {
        PutOutcome::Stored(_) => Ended::new(UploadState::Published),
        PutOutcome::Kept(existing) => existing.and_then(|entry| before.with(&entry)).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "commit upload", "the entry in the way went away; it is tried again")
        })?,
        PutOutcome::Incomplete(missing) => return Err(incomplete(&missing, &lost)),
    };
    Ok(Ended { received: Some(received), ..ended })
}

/// What an entry in the way is compared with.
struct Comparison<'a> {
    id: &'a UploadId,
    replace: bool,
    content: ContentHash,
    value: Digest,
}

impl Comparison<'_> {
    /// The end that an entry in the way makes; `None` when it is to be replaced.
    fn with(&self, entry: &Entry) -> Option<Ended> {
        if saved::is_made_by(entry, self.id) {
            // This very upload put it, before a crash.
            return Some(Ended::new(UploadState::Published));
        }
        let content = saved::content_of(entry);
        let existing = Existing {
            writer: entry.writer.clone(),
            created_ms: entry.created.as_millis(),
            content: content.map_or_else(String::new, |content| content.to_hex()),
        };
        // Who asks for a replacement gets the new times too: only the same manifest is no change.
        let unchanged = if self.replace { entry.blob == self.value } else { content == Some(self.content) };
        let ended = if unchanged {
            Ended::new(UploadState::Unchanged)
        } else if self.replace {
            return None;
        } else {
            let reason = "the key has other content already, and it was not to be replaced";
            Ended { reason: Some(reason.to_owned()), ..Ended::new(UploadState::Refused) }
        };
        Some(Ended { existing: Some(existing), ..ended })
    }
}

/// Verifies the parts and makes their chunks present. Says what they added, and which of them were not there.
async fn adopt(
    ci: &Ci,
    caller: &Caller,
    id: &UploadId,
    upload: &Upload,
    parts: &[u32],
) -> Result<(Received, Vec<u32>)> {
    let early = ci.arrivals().early(id).parts;
    // The parts of a claim were checked to be of those that were announced.
    let announced = parts.iter().filter_map(|number| Some((*number, *upload.parts.get(number)?)));
    let adoptions = announced
        .filter(|(number, _)| !early.contains(number))
        .map(|(number, length)| adopt_one(ci, caller, PartName { upload: id.clone(), number }, length));
    let adopted: Vec<_> = stream::iter(adoptions.collect::<Vec<_>>()).buffered(PARTS_AT_ONCE).try_collect().await?;
    // Whatever was under way early has ended by now: two adoptions of one part wait for each other.
    let early = ci.arrivals().early(id);
    let mut received = early.received;
    let mut lost = Vec::new();
    for (number, adopted) in adopted {
        match adopted {
            Some(adopted) => {
                received.chunks += adopted.records;
                received.stored_bytes += adopted.stored_bytes;
                received.raw_bytes += adopted.raw_bytes;
            }
            None if early.parts.contains(&number) => {}
            // Adopted before a crash, or never sent. Which of the two, the links will tell.
            None => lost.push(number),
        }
    }
    Ok((received, lost))
}

fn adopt_one<'a>(
    ci: &'a Ci,
    caller: &'a Caller,
    part: PartName,
    length: u64,
) -> BoxFuture<'a, Result<(u32, Option<Adopted>)>> {
    Box::pin(async move { Ok((part.number, ci.cache().adopt_part(caller, &part, length).await?)) })
}

/// The manifest's bytes: what the claim says, or an error.
async fn read_manifest(ci: &Ci, caller: &Caller, claim: &Claim) -> Result<Bytes> {
    // The sizes were checked to add up to an allowed manifest.
    let mut whole = BytesMut::with_capacity(claim.manifest.size as usize);
    for (hash, chunk) in claim.manifest_chunks().zip(&claim.manifest.chunks) {
        let blob = ci.cache().blob(caller, &hash, ByteRange::ALL).await?;
        let blob = blob.ok_or_else(|| wrong(format!("the manifest's chunk {hash} was not sent")))?;
        if blob.digest.size != chunk.size {
            let message = format!("the manifest's chunk {hash} has {} bytes, not {}", blob.digest.size, chunk.size);
            return Err(wrong(message));
        }
        whole.extend_from_slice(&larder_base::collect(blob.body, chunk.size as usize).await?);
    }
    let whole = whole.freeze();
    // A single chunk is named by its own hash, which the store has checked.
    if claim.manifest.chunks.len() > 1 && HashFunction::TREE.hash(&whole).to_hex() != claim.manifest.hash {
        return Err(wrong("the manifest's chunks together do not hash to its name"));
    }
    Ok(whole)
}

/// What the manifest says, checked against what was announced.
async fn summarize(manifest: Bytes, content: ContentHash, bytes: u64) -> Result<Summary> {
    // A large manifest takes long enough to read to be in the way of others.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one crossing of this door; commits under way are bounded, and so is this"
    )]
    let summary = tokio::task::spawn_blocking(move || {
        let manifest = decode_manifest(&manifest)?;
        // What a restore would refuse, such as a link that leads out, is refused here, while its writer can hear of it.
        Plan::check(&manifest, &PlanLimits::default())?;
        Summary::of(&manifest)
    });
    let summary = summary.await.map_err(|error| {
        Error::new(ErrorKind::Failed, "commit upload", "reading the manifest broke off").with_source(error)
    })??;
    if summary.content != content {
        return Err(wrong(format!("the manifest's content is {}, not {content}", summary.content)));
    }
    if summary.bytes > bytes {
        let message = format!("the files have {} bytes, and {bytes} were announced", summary.bytes);
        return Err(Error::new(ErrorKind::TooLarge, "commit upload", message));
    }
    Ok(summary)
}

/// Refuses what the namespace's quota has no room for, even if everything else went: it would be removed at once.
async fn check_fits(ci: &Ci, caller: &Caller, links: &[ContentHash]) -> Result<()> {
    let quotas = ci.cache().quotas();
    // Without a quota nothing need be looked up.
    if quotas.check_fits(caller.namespace(), u64::MAX).is_ok() {
        return Ok(());
    }
    let located = ci.cache().locate(caller, links).await?;
    quotas.check_fits(caller.namespace(), located.iter().map(|record| record.length).sum())
}

/// Everything without which the entry is of no use: the chunks of its manifest, and those of its files.
fn links(claim: &Claim, summary: &Summary) -> Arc<[ContentHash]> {
    let mut seen = HashSet::new();
    let all = claim.manifest_chunks().chain(summary.chunks.iter().copied());
    all.filter(|hash| seen.insert(*hash)).collect()
}

fn incomplete(missing: &[ContentHash], lost: &[u32]) -> Error {
    let first = missing.first().map_or_else(String::new, |hash| format!(", {hash} first among them"));
    let parts = match lost {
        [] => String::new(),
        lost => format!("; {} of its parts were not there, number {} first among them", lost.len(), lost[0]),
    };
    wrong(format!("{} chunks that it needs were not sent{first}{parts}", missing.len()))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::invalid("commit upload", message)
}
