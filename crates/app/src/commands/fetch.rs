//! Chunks from the server: located, fetched in parallel as runs of records, and taken apart as they come.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use larder_base::segment::{RECORD_HEADER_LEN, RecordHeader};
use larder_base::{ContentHash, Error, ErrorKind, Result};
use larder_proto::ci::Run;
use larder_remote::ci::{CiClient, Found};

/// Runs that are fetched at once.
const AT_ONCE: usize = 4;
/// Chunks that are located at once: few enough that their URLs are used long before they expire.
const BATCH: usize = 1024;
/// The most bytes of a manifest.
const MANIFEST_MAX_BYTES: u64 = 1 << 30;

/// How often chunks are asked for in vain before they count as lost: what was damaged on the way, or moved on the server
/// meanwhile, comes with another round.
const VAIN_ROUNDS: u32 = 3;

/// Repeats `round`, which fetches what is needed and gives what is still needed, until nothing is or nothing more comes.
///
/// # Errors
/// `round`'s.
pub fn until_settled(
    mut needed: Vec<ContentHash>,
    mut round: impl FnMut(&[ContentHash]) -> Result<Vec<ContentHash>>,
) -> Result<Vec<ContentHash>> {
    let mut vain = 0;
    while !needed.is_empty() && vain < VAIN_ROUNDS {
        let left = round(&needed)?;
        vain = if left.len() < needed.len() { 0 } else { vain + 1 };
        needed = left;
    }
    Ok(needed)
}

/// A record as it came.
pub struct Fetched {
    /// The fixed part.
    pub header: RecordHeader,
    /// The body as stored.
    pub body: Bytes,
}

/// Fetches the records of chunks and hands each to `take`, which may stop it all with an error. What the server no
/// longer has is left out; `moved` counts the bytes that came.
///
/// # Errors
/// `take`'s, and those of the transfer.
pub async fn fetch(
    client: &CiClient,
    chunks: &[ContentHash],
    moved: &AtomicU64,
    take: impl Fn(Fetched) -> Result<()>,
) -> Result<()> {
    for batch in chunks.chunks(BATCH) {
        let runs = client.locate(batch).await?.runs;
        stream::iter(runs).map(Ok).try_for_each_concurrent(AT_ONCE, |run| fetch_run(client, run, moved, &take)).await?;
    }
    Ok(())
}

async fn fetch_run(
    client: &CiClient,
    run: Run,
    moved: &AtomicU64,
    take: &impl Fn(Fetched) -> Result<()>,
) -> Result<()> {
    // A URL that is no longer good, or a segment that went away: whoever still needs the chunks locates them again.
    let Some(mut body) = client.fetch_run(&run).await? else { return Ok(()) };
    let mut ahead = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        ahead.extend_from_slice(&piece);
        loop {
            match next_record(&mut ahead) {
                Ok(Some(record)) => take(record)?,
                Ok(None) => break,
                // Nothing tells where the next record begins; what is behind is fetched again as runs of its own.
                Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

/// The first whole record of what has come, taken out of it.
fn next_record(ahead: &mut BytesMut) -> Result<Option<Fetched>> {
    let Some(head) = ahead.first_chunk::<RECORD_HEADER_LEN>() else { return Ok(None) };
    let header = RecordHeader::decode(head)?;
    let length = RECORD_HEADER_LEN + header.stored_len as usize;
    if ahead.len() < length {
        ahead.reserve(length - ahead.len());
        return Ok(None);
    }
    let record = ahead.split_to(length).freeze();
    Ok(Some(Fetched { header, body: record.slice(RECORD_HEADER_LEN..) }))
}

/// The manifest of an entry, whole and checked against its name.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when it is gone, [`ErrorKind::Corrupt`] when it is not what its name says.
pub async fn fetch_manifest(client: &CiClient, found: &Found, moved: &AtomicU64) -> Result<Bytes> {
    let manifest = &found.manifest;
    let corrupt = |what: &str| Error::new(ErrorKind::Corrupt, "fetch saved tree", format!("{}: {what}", found.key));
    if manifest.digest.size > MANIFEST_MAX_BYTES {
        return Err(Error::new(ErrorKind::TooLarge, "fetch saved tree", format!("{} has too many files", found.key)));
    }
    let hashes: Vec<ContentHash> = manifest.chunks.iter().map(|chunk| chunk.hash).collect();
    let pieces = parking_lot::Mutex::new(std::collections::HashMap::new());
    for _ in 0..VAIN_ROUNDS {
        let needed: Vec<ContentHash> =
            hashes.iter().filter(|hash| !pieces.lock().contains_key(*hash)).copied().collect();
        if needed.is_empty() {
            break;
        }
        fetch(client, &needed, moved, |record| {
            let content = record.header.open_chunk(&record.body)?;
            pieces.lock().insert(record.header.hash, content);
            Ok(())
        })
        .await?;
    }
    let pieces = pieces.into_inner();
    let mut whole = BytesMut::new();
    for hash in &hashes {
        let piece = pieces.get(hash).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "fetch saved tree", format!("the server has lost part of {}", found.key))
        })?;
        whole.extend_from_slice(piece);
    }
    let whole = whole.freeze();
    if manifest.digest.hash.names(&whole) {
        Ok(whole)
    } else {
        Err(corrupt("its list of files is not what its name says"))
    }
}
