//! Uploads, as they are remembered: one entry each, in a set of keys of the door's own. What is not there did not happen,
//! so a crash at any moment leaves an upload that can be carried on, or swept.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder_base::{
    Access, Attributes, ByteRange, DoorName, Entry, EntryAddress, EntryBody, Key, Namespace, NewEntry, PutIf,
    PutOutcome, Result, Scope, Timestamp, UploadId, segment,
};
use larder_cache::{Caller, DoorCache, Lookup};
use larder_proto::ci::{Existing, PartLength, Received, UploadState, UploadStatus};
use serde::{Deserialize, Serialize};

use super::Claim;
use crate::Ci;
use crate::failure::Failure;
use crate::settings::Settings;

/// The keys of uploads, apart from those of saved trees.
const DOOR: DoorName = DoorName::new("ci-upload");
/// Where they all are, whatever project they are for, so that one listing finds them after a restart. Together with the
/// door's name it is an address that no client can name.
const NAMESPACE: &str = "~ci";
const STAGE: &str = "stage";
/// Of the form below. What has another is not read: it is of a server that is gone, and its client has given it up.
const VERSION: u32 = 2;

/// One upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    version: u32,
    #[serde(with = "as_text")]
    pub(crate) namespace: Namespace,
    #[serde(with = "as_text")]
    pub(crate) scope: Scope,
    pub(crate) principal: String,
    #[serde(with = "as_text")]
    pub(crate) key: Key,
    pub(crate) replace: bool,
    /// What was announced; what is finished may have fewer.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// The parts for which a URL was given, with the length that was announced.
    pub(crate) parts: BTreeMap<u32, u64>,
    pub(crate) stage: Stage,
}

/// How far an upload has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Parts may be sent.
    Open,
    /// It is in the commit queue.
    Finishing(Claim),
    /// It is over.
    Ended(Ended),
}

/// How an upload ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) state: UploadState,
    pub(crate) reason: Option<String>,
    pub(crate) existing: Option<Existing>,
    pub(crate) received: Option<Received>,
}

impl Ended {
    pub(crate) fn new(state: UploadState) -> Self {
        Self { state, reason: None, existing: None, received: None }
    }

    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(UploadState::Failed) }
    }

    pub(crate) fn aborted(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(UploadState::Aborted) }
    }
}

impl Upload {
    /// An upload that has just begun.
    pub(crate) fn new(caller: &Caller, scope: Scope, key: Key, bytes: u64, files: u64, replace: bool) -> Self {
        Self {
            version: VERSION,
            namespace: caller.namespace().clone(),
            scope,
            principal: caller.principal().to_string(),
            key,
            replace,
            bytes,
            files,
            parts: BTreeMap::new(),
            stage: Stage::Open,
        }
    }

    /// The upload that [`Upload::new_entry`] wrote; `None` when it is of another version, or none at all.
    fn decode(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok().filter(|upload: &Self| upload.version == VERSION)
    }

    /// Whether it was begun by this caller, with the rights it has now.
    pub(super) fn belongs_to(&self, caller: &Caller) -> bool {
        self.namespace == *caller.namespace()
            && self.principal == **caller.principal()
            && caller.write_scope().is_ok_and(|scope| *scope == self.scope)
    }

    /// The caller in whose name it is committed.
    pub(crate) fn caller(&self) -> Caller {
        Caller::resumed(self.principal.as_str().into(), self.namespace.clone(), self.scope.clone())
    }

    /// Where its entry will be.
    pub(crate) fn address(&self, ci: &Ci) -> EntryAddress {
        EntryAddress {
            namespace: self.namespace.clone(),
            scope: self.scope.clone(),
            door: ci.cache().name().clone(),
            key: self.key.clone(),
        }
    }

    /// What is said of it.
    pub(crate) fn status(&self, id: &UploadId) -> UploadStatus {
        let (state, ended) = match &self.stage {
            Stage::Open => (UploadState::Open, None),
            Stage::Finishing(_) => (UploadState::Queued, None),
            Stage::Ended(ended) => (ended.state, Some(ended.clone())),
        };
        let Ended { reason, existing, received, .. } = ended.unwrap_or_else(|| Ended::new(state));
        UploadStatus { upload: id.to_string(), key: self.key.to_string(), state, reason, existing, received }
    }

    /// Lets parts in if the limits allow it, each number once. What was refused is not to be written.
    pub(super) fn admit_parts(&mut self, settings: &Settings, parts: &[PartLength]) -> Result<Admitted, Failure> {
        let parts_max = settings.parts_max(self.bytes);
        let parts_max_bytes = settings.parts_max_bytes(self.bytes, self.files);
        if self.stage != Stage::Open {
            return Err(Failure::conflict("the upload takes no parts any more"));
        }
        let least = segment::SEGMENT_HEADER.len() as u64;
        let (mut changed, mut sum) = (false, self.parts.values().sum::<u64>());
        for PartLength { number, length } in parts {
            if !(1..=parts_max).contains(number) {
                return Err(Failure::invalid(format!("part {number} is not one of 1 to {parts_max}")));
            }
            if !(least..=settings.part_max_bytes.0).contains(length) {
                let message = format!(
                    "part {number} has {length} bytes; it may have {least} bytes to {}",
                    settings.part_max_bytes
                );
                return Err(Failure::too_large(message));
            }
            let before = self.parts.insert(*number, *length);
            changed |= before != Some(*length);
            sum = sum - before.unwrap_or(0) + length;
        }
        if let Some(most) = settings.max_upload_bytes
            && sum > most.0
        {
            let message = format!("the parts have {sum} bytes together; an upload may have {most} here");
            return Err(Failure::too_large(message).with_hint("save less, or raise max_upload_bytes in [door.ci]"));
        }
        if sum > parts_max_bytes {
            let message = format!("the parts have {sum} bytes together; {} bytes of files were announced", self.bytes);
            return Err(Failure::too_large(message).with_hint("begin a new upload with the right number of bytes"));
        }
        Ok(Admitted { changed, bytes: sum })
    }

    fn new_entry(&self) -> NewEntry {
        let value = serde_json::to_vec(self).expect("names and numbers are JSON");
        NewEntry {
            body: EntryBody::Value(value.into()),
            attributes: Attributes::from([(STAGE.to_owned(), self.stage.word().to_owned())]),
            links: Arc::new([]),
            writer: self.principal.clone(),
        }
    }
}

impl Stage {
    fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finishing(_) => "finishing",
            Self::Ended(_) => "ended",
        }
    }
}

/// Parts that were let in.
pub(super) struct Admitted {
    /// Whether any is new, or of another length than before.
    pub(super) changed: bool,
    /// The bytes of all parts of the upload.
    pub(super) bytes: u64,
}

/// An upload and the version of it that was read.
pub(crate) struct Kept {
    pub(crate) upload: Upload,
    pub(crate) revision: u64,
    /// When it was last written.
    pub(crate) changed: Timestamp,
}

/// An upload in a listing.
pub(crate) struct Line {
    pub(crate) id: UploadId,
    pub(crate) is_ended: bool,
    pub(crate) changed: Timestamp,
}

/// All uploads.
pub(crate) struct Uploads {
    entries: DoorCache,
    keeper: Caller,
    begun: AtomicU64,
}

impl Uploads {
    pub(crate) fn new(cache: &DoorCache) -> Self {
        let namespace: Namespace = NAMESPACE.parse().expect("a name in the code is valid");
        let keeper = Caller::resumed("larder".into(), namespace, Scope::Trusted);
        Self { entries: cache.sibling(DOOR), keeper, begun: AtomicU64::new(0) }
    }

    /// Remembers a new upload, durably, and names it.
    pub(crate) async fn register(&self, upload: &Upload) -> Result<UploadId> {
        loop {
            // The signer's secret makes it unguessable, the count and the time make it new; if not, the put says so.
            let count = self.begun.fetch_add(1, Ordering::Relaxed);
            let signature = self.entries.signer().sign(&format!("ci upload {count}"), self.entries.clock().now());
            let id: UploadId = signature[..32].parse().expect("a signature is hexadecimal digits");
            let put = self.entries.put(&self.keeper, &key_of(&id), upload.new_entry(), PutIf::Absent).await?;
            if matches!(put, PutOutcome::Stored(_)) {
                return Ok(id);
            }
        }
    }

    /// An upload, if it is remembered.
    pub(crate) async fn read(&self, id: &UploadId) -> Result<Option<Kept>> {
        let found = self.entries.lookup(&self.keeper, &key_of(id), Access::Check).await?;
        let Lookup::Hit(found) = found else { return Ok(None) };
        let Some(value) = self.value(&found.entry).await? else { return Ok(None) };
        let Some(upload) = Upload::decode(&value) else {
            tracing::warn!(upload = %id, "an upload of another version, or damaged, is forgotten; it can be sent again");
            self.remove(id).await?;
            return Ok(None);
        };
        Ok(Some(Kept { upload, revision: found.entry.revision, changed: found.entry.created }))
    }

    async fn value(&self, entry: &Entry) -> Result<Option<Bytes>> {
        let Some(blob) = self.entries.value(&self.keeper, entry, ByteRange::ALL).await? else { return Ok(None) };
        larder_base::collect(blob.body, larder_base::chunk::MAX_LEN).await.map(Some)
    }

    /// Writes an upload anew, unless somebody did so since `revision`; says whether it was written.
    pub(crate) async fn write(&self, id: &UploadId, upload: &Upload, revision: u64) -> Result<bool> {
        let condition = PutIf::Unchanged(revision);
        let put = self.entries.put(&self.keeper, &key_of(id), upload.new_entry(), condition).await?;
        Ok(matches!(put, PutOutcome::Stored(_)))
    }

    /// Forgets an upload.
    pub(crate) async fn remove(&self, id: &UploadId) -> Result<()> {
        self.entries.delete(&self.keeper, &key_of(id)).await.map(drop)
    }

    /// A page of all uploads, and where the next begins.
    pub(crate) async fn page(&self, after: Option<&str>, limit: usize) -> Result<(Vec<Line>, Option<String>)> {
        let page = self.entries.list(&self.keeper, None, "", after, limit).await?;
        let line = |listed: &larder_base::Listed| {
            Some(Line {
                id: listed.address.key.as_str().parse().ok()?,
                is_ended: listed.entry.attributes.get(STAGE).is_some_and(|stage| stage == "ended"),
                changed: listed.entry.created,
            })
        };
        Ok((page.entries.iter().filter_map(line).collect(), page.next))
    }
}

fn key_of(id: &UploadId) -> Key {
    id.as_str().parse().expect("an upload id is a valid key")
}

/// Names that have a text form of their own.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Display, FromStr};

    pub(super) fn serialize<T: Display, S: Serializer>(name: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
