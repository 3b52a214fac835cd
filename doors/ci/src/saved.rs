//! What the door keeps under a key, and how it is shown.

use larder_base::{
    Attributes, ByteRange, ContentHash, Entry, EntryAddress, Error, ErrorKind, HashFunction, Listed, Reader, Result,
    UploadId,
};
use larder_cache::{Caller, DoorCache, Found};
use larder_proto::ci::{BlobAddress, EntryReader, ListedEntry, SavedEntry, ShownEntry};
use larder_tree::Summary;
use serde::{Deserialize, Serialize};

const CONTENT: &str = "content";
const FILES: &str = "files";
const BYTES: &str = "bytes";
const UPLOAD: &str = "upload";

/// The value of an entry: where the saved tree's manifest is. The manifest's chunks are the first of the entry's links,
/// the chunks of its files the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The version of this form.
    version: u32,
    pub(crate) manifest: BlobAddress,
}

const VERSION: u32 = 1;

/// The most bytes of a value: the addresses of all chunks of the largest manifest there may be.
const VALUE_MAX_BYTES: usize = larder_base::chunk::MAX_LEN;

impl Saved {
    pub(crate) fn new(manifest: BlobAddress) -> Self {
        Self { version: VERSION, manifest }
    }

    /// The value as it is kept.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and numbers are JSON")
    }

    /// The value of an entry.
    async fn of(cache: &DoorCache, caller: &Caller, entry: &Entry) -> Result<Option<Self>> {
        let Some(blob) = cache.value(caller, entry, ByteRange::ALL).await? else { return Ok(None) };
        let bytes = larder_base::collect(blob.body, VALUE_MAX_BYTES).await?;
        let corrupt = |message: String| Error::new(ErrorKind::Corrupt, "read saved entry", message);
        let saved: Self = serde_json::from_slice(&bytes)
            .map_err(|error| corrupt("its value is not what this door writes".to_owned()).with_source(error))?;
        if saved.version != VERSION {
            return Err(corrupt(format!("its version is {}; a newer Larder wrote it", saved.version)));
        }
        Ok(Some(saved))
    }
}

/// The facts that a listing shows, as attributes. `upload` tells a commit that is repeated from a second save.
pub(crate) fn attributes(summary: &Summary, upload: &UploadId) -> Attributes {
    Attributes::from([
        (CONTENT.to_owned(), summary.content.to_hex()),
        (FILES.to_owned(), summary.files.to_string()),
        (BYTES.to_owned(), summary.bytes.to_string()),
        (UPLOAD.to_owned(), upload.to_string()),
    ])
}

/// The content of an entry that is there.
pub(crate) fn content_of(entry: &Entry) -> Option<ContentHash> {
    ContentHash::from_hex(HashFunction::TREE, entry.attributes.get(CONTENT)?).ok()
}

/// Whether an entry is the work of this upload.
pub(crate) fn is_made_by(entry: &Entry, upload: &UploadId) -> bool {
    entry.attributes.get(UPLOAD).is_some_and(|made_by| made_by == upload.as_str())
}

/// An entry as a lookup shows it; `None` when its value has gone away meanwhile.
pub(crate) async fn show(cache: &DoorCache, caller: &Caller, found: &Found) -> Result<Option<SavedEntry>> {
    let saved = Saved::of(cache, caller, &found.entry).await?;
    Ok(saved.map(|saved| SavedEntry { entry: listed(&found.address, &found.entry), manifest: saved.manifest }))
}

/// An entry with those who restored it.
pub(crate) async fn show_all(cache: &DoorCache, caller: &Caller, found: &Found) -> Result<Option<ShownEntry>> {
    let Some(saved) = show(cache, caller, found).await? else { return Ok(None) };
    let readers = cache.readers(caller, &[(&found.address, &found.entry)]).await?;
    let reader = |Reader { name, last, restores }: Reader| EntryReader {
        reader: name.to_string(),
        last_ms: last.as_millis(),
        restores,
    };
    Ok(Some(ShownEntry { saved, readers: readers.into_iter().flatten().map(reader).collect() }))
}

/// A line of a listing.
pub(crate) fn line(Listed { address, entry }: &Listed) -> ListedEntry {
    listed(address, entry)
}

/// An entry as a listing shows it.
pub(crate) fn listed(address: &EntryAddress, entry: &Entry) -> ListedEntry {
    let text = |name: &str| entry.attributes.get(name).cloned().unwrap_or_default();
    let number = |name: &str| entry.attributes.get(name).and_then(|number| number.parse().ok()).unwrap_or(0);
    ListedEntry {
        key: address.key.to_string(),
        scope: address.scope.to_string(),
        content: text(CONTENT),
        files: number(FILES),
        bytes: number(BYTES),
        created_ms: entry.created.as_millis(),
        restored_ms: entry.last_served.as_millis(),
        writer: entry.writer.clone(),
    }
}
