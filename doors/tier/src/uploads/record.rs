//! Uploads, as they are remembered: one entry each, in a set of keys of the door's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_base::{
    Access, Attributes, ByteRange, DoorName, EntryBody, Key, Namespace, NewEntry, PutIf, PutOutcome, Result, Scope,
    Timestamp, UploadId,
};
use larder_cache::{Caller, DoorCache, Lookup};
use larder_proto::tier::SegmentAnswer;
use serde::{Deserialize, Serialize};

/// The keys of uploads.
const DOOR: DoorName = DoorName::new("tier-upload");
/// Where they all are, whatever project they are for, so that one listing finds them after a restart. Together with the
/// door's name it is an address that no client can name.
const NAMESPACE: &str = "~tier";
const STAGE: &str = "stage";
const OPEN: &str = "open";
const ADOPTED: &str = "adopted";
/// Of the form below. What has another is not read, and is given up in time.
const VERSION: u32 = 1;

/// One upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    version: u32,
    #[serde(flatten)]
    owner: Owner,
    /// The bytes of the segment.
    pub(crate) length: u64,
    pub(crate) stage: Stage,
}

/// Whose an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    namespace: String,
    principal: String,
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Its URL was given out.
    Open,
    /// It was adopted, and this was said of it.
    Adopted(SegmentAnswer),
}

impl Upload {
    /// An upload that is about to begin.
    pub(crate) fn new(caller: &Caller, length: u64) -> Self {
        let owner = Owner { namespace: caller.namespace().to_string(), principal: caller.principal().to_string() };
        Self { version: VERSION, owner, length, stage: Stage::Open }
    }

    /// Whether this caller began it.
    pub(crate) fn belongs_to(&self, caller: &Caller) -> bool {
        self.owner.namespace == caller.namespace().as_str() && self.owner.principal == **caller.principal()
    }

    fn new_entry(&self) -> NewEntry {
        let value = serde_json::to_vec(self).expect("names and numbers are JSON");
        let stage = if self.stage == Stage::Open { OPEN } else { ADOPTED };
        NewEntry {
            body: EntryBody::Value(value.into()),
            attributes: Attributes::from([(STAGE.to_owned(), stage.to_owned())]),
            links: Arc::new([]),
            writer: self.owner.principal.clone(),
        }
    }
}

/// An upload in a listing.
pub(crate) struct Line {
    pub(crate) id: UploadId,
    pub(crate) is_adopted: bool,
    /// When it was last written.
    pub(crate) changed: Timestamp,
}

/// All uploads.
pub(crate) struct Uploads {
    entries: DoorCache,
    keeper: Caller,
    /// Those that are open, for what they take; the sweep finds those of an earlier process.
    open: Mutex<HashMap<UploadId, (Owner, u64)>>,
}

impl Uploads {
    pub(crate) fn new(cache: &DoorCache) -> Self {
        let namespace: Namespace = NAMESPACE.parse().expect("a name in the code is valid");
        let keeper = Caller::resumed("larder".into(), namespace, Scope::Trusted);
        Self { entries: cache.sibling(DOOR), keeper, open: Mutex::default() }
    }

    /// Whether the owner of an upload, who may have `most` bytes open, may begin it. Two that ask at once may both get the
    /// last of it.
    pub(crate) fn has_room(&self, upload: &Upload, most: u64) -> bool {
        let open = self.open();
        let taken: u64 = open.values().filter(|(owner, _)| *owner == upload.owner).map(|(_, length)| length).sum();
        taken + upload.length <= most
    }

    /// Remembers a new upload, durably; says whether its name was new.
    pub(crate) async fn register(&self, id: &UploadId, upload: &Upload) -> Result<bool> {
        let put = self.entries.put(&self.keeper, &key_of(id), upload.new_entry(), PutIf::Absent).await?;
        Ok(matches!(put, PutOutcome::Stored(_)))
    }

    /// An upload, if it is remembered.
    pub(crate) async fn read(&self, id: &UploadId) -> Result<Option<Upload>> {
        let found = self.entries.lookup(&self.keeper, &key_of(id), Access::Check).await?;
        let Lookup::Hit(found) = found else { return Ok(None) };
        let value = self.entries.value(&self.keeper, &found.entry, ByteRange::ALL).await?;
        let Some(value) = value else { return Ok(None) };
        let value = larder_base::collect(value.body, larder_base::chunk::MAX_LEN).await?;
        Ok(serde_json::from_slice(&value).ok().filter(|upload: &Upload| upload.version == VERSION))
    }

    /// Remembers what an upload was, for a client that did not hear of it.
    pub(crate) async fn end(&self, id: &UploadId, upload: &Upload, answer: SegmentAnswer) -> Result<()> {
        let ended = Upload { stage: Stage::Adopted(answer), ..upload.clone() };
        self.entries.put(&self.keeper, &key_of(id), ended.new_entry(), PutIf::Always).await?;
        self.open().remove(id);
        Ok(())
    }

    /// Forgets an upload.
    pub(crate) async fn remove(&self, id: &UploadId) -> Result<()> {
        self.open().remove(id);
        self.entries.delete(&self.keeper, &key_of(id)).await.map(drop)
    }

    /// Counts an upload that is open, if it is not counted yet.
    pub(crate) fn ensure_open(&self, id: &UploadId, upload: &Upload) {
        self.open().entry(id.clone()).or_insert_with(|| (upload.owner.clone(), upload.length));
    }

    /// How many are open, as far as is known.
    pub(crate) fn open_count(&self) -> usize {
        self.open().len()
    }

    /// A page of all uploads, and where the next begins.
    pub(crate) async fn page(&self, after: Option<&str>, limit: usize) -> Result<(Vec<Line>, Option<String>)> {
        let page = self.entries.list(&self.keeper, None, "", after, limit).await?;
        let line = |listed: &larder_base::Listed| {
            Some(Line {
                id: listed.address.key.as_str().parse().ok()?,
                is_adopted: listed.entry.attributes.get(STAGE).is_some_and(|stage| stage == ADOPTED),
                changed: listed.entry.created,
            })
        };
        Ok((page.entries.iter().filter_map(line).collect(), page.next))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<UploadId, (Owner, u64)>> {
        // Every change above is whole before anything could panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(id: &UploadId) -> Key {
    id.as_str().parse().expect("an upload id is a valid key")
}
