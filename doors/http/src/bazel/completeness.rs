//! What must be present wherever a result is served.
//!
//! A client that is given a result relies on everything it names, directly or through its directories. All of it becomes
//! the entry's links: the cache serves the entry only while they are present, and keeps them while it does.

use std::collections::BTreeSet;
use std::sync::Arc;

use larder_base::{ByteRange, ContentHash, Error, ErrorKind, Result, collect};
use larder_cache::{Caller, DoorCache};
use larder_proto::reapi::{Digest, Directory, Tree};
use larder_proto::reapi_action::ActionResult;
use prost::Message;

use super::content::EMPTY;

/// The most bytes of a directory tree's message: several hundred thousand files.
const TREE_MAX: usize = 64 << 20;
/// The most directories that are followed one by one from one result.
const DIRECTORIES_MAX: usize = 100_000;

/// The blobs that `result` needs, without the empty one, which is always present.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a name that is no digest or a directory that is none, [`ErrorKind::TooLarge`] beyond the
/// limits above, and those of the tier. A directory that is absent is among the links, and what it needs is not.
pub(super) async fn links(cache: &DoorCache, caller: &Caller, result: &ActionResult) -> Result<Arc<[ContentHash]>> {
    let mut links = BTreeSet::new();
    note(&mut links, result.digests())?;
    for output in &result.output_directories {
        if let Some(digest) = &output.tree_digest
            && let Some(tree) = message::<Tree>(cache, caller, &hash_of(digest)?).await?
        {
            note(&mut links, tree.digests())?;
        }
        if let Some(digest) = &output.root_directory_digest {
            walk(cache, caller, &mut links, hash_of(digest)?).await?;
        }
    }
    Ok(links.into_iter().collect())
}

async fn walk(cache: &DoorCache, caller: &Caller, links: &mut BTreeSet<ContentHash>, root: ContentHash) -> Result<()> {
    let mut seen = BTreeSet::from([root]);
    let mut waiting = vec![root];
    while let Some(hash) = waiting.pop() {
        let Some(directory) = message::<Directory>(cache, caller, &hash).await? else { continue };
        note(links, directory.digests())?;
        for child in directory.directories.iter().filter_map(|child| child.digest.as_ref()) {
            let child = hash_of(child)?;
            if seen.insert(child) {
                waiting.push(child);
            }
        }
        if seen.len() > DIRECTORIES_MAX {
            let message = format!("an output has more than {DIRECTORIES_MAX} directories");
            return Err(Error::new(ErrorKind::TooLarge, "read action result", message));
        }
    }
    Ok(())
}

async fn message<M: Message + Default>(cache: &DoorCache, caller: &Caller, hash: &ContentHash) -> Result<Option<M>> {
    if *hash == EMPTY {
        return Ok(Some(M::default()));
    }
    let Some(blob) = cache.blob(caller, hash, ByteRange::ALL).await? else { return Ok(None) };
    let bytes = collect(blob.body, TREE_MAX).await?;
    let decoded = M::decode(bytes).map_err(|error| {
        Error::invalid("read action result", format!("the blob {hash}, named as a directory, is none"))
            .with_source(error)
    })?;
    Ok(Some(decoded))
}

fn note<'a>(links: &mut BTreeSet<ContentHash>, digests: impl Iterator<Item = &'a Digest>) -> Result<()> {
    for digest in digests {
        let hash = hash_of(digest)?;
        if hash != EMPTY {
            links.insert(hash);
        }
    }
    Ok(())
}

fn hash_of(digest: &Digest) -> Result<ContentHash> {
    let hash = digest.hash.parse().ok().filter(|_| digest.size_bytes >= 0);
    hash.ok_or_else(|| {
        let shown: String = digest.hash.chars().take(80).collect();
        let message = format!("it names a blob {shown:?} of {} bytes, which is no SHA-256 digest", digest.size_bytes);
        Error::invalid("read action result", message)
    })
}
