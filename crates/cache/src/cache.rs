//! The handle that doors hold.

mod exact;
mod listing;
mod readers;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use larder_base::{
    Access, Adopted, Attributes, Blob, BlobStream, Blobs, ByteRange, Clock, ContentHash, Digest, DoorName, Entries,
    Entry, EntryAddress, EntryBody, EntryPrefix, Error, ErrorKind, Key, ListPage, Located, Namespace, NewEntry,
    PartName, PutIf, PutOutcome, Result, Scope, SegmentRange, Segments, TransferUrl, UploadId, chunk,
};

use crate::counters::{Counters, Outcome};
use crate::jobs::Jobs;
use crate::quota::Quotas;
use crate::rights::{Caller, Credential, Grant, NamespacePattern, Rights};
use crate::signer::Signer;
use crate::tokens::{IssuedToken, IssuedTokens};

pub use exact::is_own;

use readers::ReaderRecord;

/// Where things are kept: one tier for each of the three traits, composed by the application.
#[derive(Clone)]
pub struct Tiers {
    /// Holds blobs.
    pub blobs: Arc<dyn Blobs>,
    /// Holds entries.
    pub entries: Arc<dyn Entries>,
    /// Moves segments.
    pub segments: Arc<dyn Segments>,
}

/// Everything that doors share. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    tiers: Tiers,
    rights: Rights,
    issued: IssuedTokens,
    quotas: Quotas,
    readers: ReaderRecord,
    counters: Counters,
    jobs: Jobs,
    signer: Signer,
    clock: Arc<dyn Clock>,
}

impl Cache {
    /// A cache over these tiers.
    pub fn new(tiers: Tiers, rights: Rights, signer: Signer, jobs: Jobs, clock: Arc<dyn Clock>) -> Self {
        let (issued, quotas, counters) = (IssuedTokens::default(), Quotas::default(), Counters::default());
        let readers = ReaderRecord::default();
        Self { inner: Arc::new(Inner { tiers, rights, issued, quotas, readers, counters, jobs, signer, clock }) }
    }

    /// The part of it that belongs to one door.
    pub fn door(&self, name: DoorName) -> DoorCache {
        DoorCache { cache: self.inner.clone(), door: name }
    }

    /// Whether a credential is an operator's.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it is not.
    pub fn check_operator(&self, credential: Option<&Credential>) -> Result<()> {
        self.inner.with_issued(|rights, issued| rights.check_operator(credential, issued.iter().copied()))
    }

    /// The namespaces that a credential is an administrator of.
    pub fn administered(&self, credential: Option<&Credential>) -> Vec<NamespacePattern> {
        self.inner.with_issued(|rights, issued| rights.administered(credential, issued.iter().copied()))
    }

    /// The rights that the configuration gives.
    pub fn rights(&self) -> &Rights {
        &self.inner.rights
    }

    /// The tokens that were given out while the server ran.
    pub fn issued(&self) -> &IssuedTokens {
        &self.inner.issued
    }

    /// How much namespaces may hold, and hold.
    pub fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// The background jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }
}

impl Inner {
    /// Asks the rights together with those issued tokens that are good now.
    fn with_issued<T>(&self, ask: impl FnOnce(&Rights, &[&Grant]) -> T) -> T {
        let (issued, now) = (self.issued.current(), self.clock.now());
        let good: Vec<&Grant> = issued.iter().filter(|token| token.is_good(now)).map(grant_of).collect();
        ask(&self.rights, &good)
    }
}

fn grant_of(token: &IssuedToken) -> &Grant {
    &token.grant
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// An entry.
    Hit(Box<Found>),
    /// Nothing, and why.
    Miss(MissReason),
}

/// An entry and where it was found: a prefix may match another key, and the list of scopes another scope.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub address: EntryAddress,
    /// What is there.
    pub entry: Entry,
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// No scope that the caller reads has it.
    Absent,
    /// A scope that the caller does not read has it.
    OtherScope,
}

impl MissReason {
    /// A few lower-case words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "never saved, or evicted",
            Self::OtherScope => "saved in a scope that may not be read here",
        }
    }
}

/// The cache as one door sees it: its own keys, and the rights of its callers. Cheap to clone.
#[derive(Clone)]
pub struct DoorCache {
    cache: Arc<Inner>,
    door: DoorName,
}

/// How many of the newest matches a prefix lookup tries before it calls it a miss: an incomplete one is passed over.
const NEWEST_TRIES: usize = 16;

impl DoorCache {
    /// This door's name.
    pub fn name(&self) -> &DoorName {
        &self.door
    }

    /// The time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.cache.clock
    }

    /// Signs URLs.
    pub fn signer(&self) -> &Signer {
        &self.cache.signer
    }

    /// Starts background jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.cache.jobs
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.cache.counters
    }

    /// How much namespaces may hold.
    pub fn quotas(&self) -> &Quotas {
        &self.cache.quotas
    }

    /// This door's second set of keys, for what it must remember itself (an upload, a session) apart from its clients'
    /// keys.
    #[must_use]
    pub fn sibling(&self, name: DoorName) -> Self {
        Self { cache: self.cache.clone(), door: name }
    }

    /// The caller that a credential makes in the namespace of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is none, [`larder_base::ErrorKind::Denied`] without the right.
    pub fn authorize(&self, credential: Option<&Credential>, namespace: &str) -> Result<Caller> {
        let namespace: Namespace = namespace.parse()?;
        self.cache.with_issued(|rights, issued| rights.resolve(credential, &namespace, issued.iter().copied()))
    }

    /// The entry under a key in the first scope that has it, of those the caller reads.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn lookup(&self, caller: &Caller, key: &Key, access: Access) -> Result<Lookup> {
        let found = self.find(caller, key, access).await;
        self.count_lookup(caller, access, &found);
        found
    }

    /// The newest complete entry whose key begins with `prefix`, in the first scope that has one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a prefix that no key can have, and those of the tier.
    pub async fn lookup_newest(&self, caller: &Caller, prefix: &str, access: Access) -> Result<Lookup> {
        let found = self.find_newest(caller, prefix, access).await;
        self.count_lookup(caller, access, &found);
        found
    }

    /// The entry under a key, or else the newest under the first of `prefixes` that has one: one lookup, counted once. A
    /// miss is explained for the key.
    ///
    /// # Errors
    /// Those of [`DoorCache::lookup_newest`].
    pub async fn lookup_or_newest(
        &self,
        caller: &Caller,
        key: &Key,
        prefixes: &[String],
        access: Access,
    ) -> Result<Lookup> {
        let found = self.find_or_newest(caller, key, prefixes, access).await;
        self.count_lookup(caller, access, &found);
        found
    }

    async fn find_or_newest(&self, caller: &Caller, key: &Key, prefixes: &[String], access: Access) -> Result<Lookup> {
        let found = self.find(caller, key, access).await?;
        if matches!(found, Lookup::Miss(_)) {
            for prefix in prefixes {
                if let hit @ Lookup::Hit(_) = self.find_newest(caller, prefix, access).await? {
                    return Ok(hit);
                }
            }
        }
        Ok(found)
    }

    async fn find(&self, caller: &Caller, key: &Key, access: Access) -> Result<Lookup> {
        for scope in caller.read_scopes() {
            let address = self.address(caller, scope, key);
            if let Some(entry) = self.cache.tiers.entries.get(&address, access).await? {
                return Ok(Lookup::Hit(Box::new(Found { address, entry })));
            }
        }
        Ok(Lookup::Miss(self.why_absent(caller, key).await?))
    }

    async fn find_newest(&self, caller: &Caller, prefix: &str, access: Access) -> Result<Lookup> {
        Key::check_prefix(prefix)?;
        for scope in caller.read_scopes() {
            let prefix = EntryPrefix {
                namespace: caller.namespace().clone(),
                scope: Some(scope.clone()),
                door: Some(self.door.clone()),
                prefix: prefix.to_owned(),
            };
            for listed in self.cache.tiers.entries.list(&prefix, None, NEWEST_TRIES).await?.entries {
                if let Some(entry) = self.cache.tiers.entries.get(&listed.address, access).await? {
                    return Ok(Lookup::Hit(Box::new(Found { address: listed.address, entry })));
                }
            }
        }
        Ok(Lookup::Miss(MissReason::Absent))
    }

    async fn why_absent(&self, caller: &Caller, key: &Key) -> Result<MissReason> {
        // With every scope readable there is no other scope; that is the usual case and costs nothing.
        if caller.is_admin() {
            return Ok(MissReason::Absent);
        }
        let everywhere = EntryPrefix {
            namespace: caller.namespace().clone(),
            scope: None,
            door: Some(self.door.clone()),
            prefix: key.as_str().to_owned(),
        };
        let page = self.cache.tiers.entries.list(&everywhere, None, NEWEST_TRIES).await?;
        let elsewhere = page.entries.iter().any(|listed| listed.address.key == *key);
        Ok(if elsewhere { MissReason::OtherScope } else { MissReason::Absent })
    }

    /// Writes an entry in the caller's own scope.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the caller may only read, and those of the tier.
    pub async fn put(&self, caller: &Caller, key: &Key, entry: NewEntry, condition: PutIf) -> Result<PutOutcome> {
        let outcome = match caller.write_scope() {
            Ok(scope) => self.cache.tiers.entries.put(&self.address(caller, scope, key), entry, condition).await,
            Err(denied) => Err(denied),
        };
        if matches!(outcome, Ok(PutOutcome::Stored(_))) {
            self.cache.quotas.note_change(caller.namespace());
        }
        self.cache.counters.write(&self.door, caller.namespace(), Outcome::of_put(&outcome));
        outcome
    }

    /// Writes a value that arrives as a stream. A small one shares its commit with the entry.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] above `limit` bytes or the quotas of the namespace, and those of
    /// [`DoorCache::put`].
    pub async fn put_value(
        &self,
        caller: &Caller,
        key: &Key,
        body: BlobStream,
        attributes: Attributes,
        condition: PutIf,
        limit: u64,
    ) -> Result<PutOutcome> {
        // Denied before the first byte is read.
        caller.write_scope()?;
        let quota = self.cache.quotas.most(caller.namespace()).filter(|(most, _)| *most < limit);
        let limit = quota.as_ref().map_or(limit, |(most, _)| *most);
        let stored = self.store_value(caller, body, limit).await;
        let body = stored.map_err(|error| match quota {
            Some((_, refusal)) if error.kind() == ErrorKind::TooLarge => refusal,
            _ => error,
        })?;
        let entry = NewEntry { body, attributes, links: Arc::new([]), writer: caller.principal().to_string() };
        self.put(caller, key, entry, condition).await
    }

    async fn store_value(&self, caller: &Caller, body: BlobStream, limit: u64) -> Result<EntryBody> {
        Ok(match gather(body, limit).await? {
            Gathered::Whole(value) => EntryBody::Value(value),
            Gathered::Rest(stream) => {
                EntryBody::Stored(self.cache.tiers.blobs.put(caller.namespace(), None, None, stream).await?)
            }
        })
    }

    /// The value of an entry that a lookup found.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn value(&self, caller: &Caller, entry: &Entry, range: ByteRange) -> Result<Option<Blob>> {
        if let Some(inline) = &entry.inline {
            let (offset, length) = range.within(entry.blob.size);
            // What an entry carries is at most AT_HAND_MAX_BYTES, so both fit.
            let bytes = inline.slice(offset as usize..(offset + length) as usize);
            return Ok(Some(Blob { digest: entry.blob, body: larder_base::stream_of(bytes) }));
        }
        self.blob(caller, &entry.blob.hash, range).await
    }

    /// Removes the entry under a key from the caller's own scope; says whether there was one.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the caller may only read, and those of the tier.
    pub async fn delete(&self, caller: &Caller, key: &Key) -> Result<bool> {
        let removed = self.cache.tiers.entries.delete(&self.address(caller, caller.write_scope()?, key)).await?;
        self.cache.quotas.note_change(caller.namespace());
        Ok(removed)
    }

    /// Removes an entry of any scope, as an administrator, or of the caller's own.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it is neither, and those of the tier.
    pub async fn purge(&self, caller: &Caller, address: &EntryAddress) -> Result<bool> {
        let own = caller.write_scope().is_ok_and(|scope| *scope == address.scope);
        if address.namespace != *caller.namespace() || address.door != self.door || !(own || caller.is_admin()) {
            return Err(Error::new(
                ErrorKind::Denied,
                "purge entry",
                format!("{} may not remove entries of scope {}", caller.principal(), address.scope),
            ));
        }
        let removed = self.cache.tiers.entries.delete(address).await?;
        self.cache.quotas.note_change(caller.namespace());
        Ok(removed)
    }

    /// Entries of this door whose key begins with `prefix`, newest first, of the scopes that the caller may see. A scope
    /// that it may not see has none.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn list(
        &self,
        caller: &Caller,
        scope: Option<&Scope>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        Key::check_prefix(prefix)?;
        let prefix = EntryPrefix {
            namespace: caller.namespace().clone(),
            scope: scope.cloned(),
            door: Some(self.door.clone()),
            prefix: prefix.to_owned(),
        };
        self.cache.list_visible(caller, &prefix, after, limit).await
    }

    /// A range of a blob of the caller's namespace.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn blob(&self, caller: &Caller, hash: &ContentHash, range: ByteRange) -> Result<Option<Blob>> {
        self.cache.tiers.blobs.get(caller.namespace(), hash, range).await
    }

    /// Stores a blob in the caller's namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the caller may only read, and those of the tier.
    pub async fn put_blob(
        &self,
        caller: &Caller,
        expected: Option<&ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> Result<Digest> {
        caller.write_scope()?;
        self.cache.tiers.blobs.put(caller.namespace(), expected, size, body).await
    }

    /// Those of `hashes` that the caller's namespace lacks.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn missing(&self, caller: &Caller, hashes: &[ContentHash]) -> Result<Vec<ContentHash>> {
        self.cache.tiers.blobs.missing(caller.namespace(), hashes).await
    }

    /// Where the records of blobs lie.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn locate(&self, caller: &Caller, hashes: &[ContentHash]) -> Result<Vec<Located>> {
        self.cache.tiers.segments.locate(caller.namespace(), hashes).await
    }

    /// Bytes of a segment, for whoever showed a signed permission for just these.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn read_segment(&self, segment: u64, range: ByteRange) -> Result<Option<BlobStream>> {
        self.cache.tiers.segments.read(segment, range).await
    }

    /// Receives a part, from whoever showed a signed permission for just this one.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn receive_part(&self, part: &PartName, length: u64, body: BlobStream) -> Result<()> {
        self.cache.tiers.segments.receive(part, length, body).await
    }

    /// Where clients read bytes of segments without passing through here, if they can.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn read_urls(&self, ranges: &[SegmentRange], lifetime: Duration) -> Result<Vec<Option<TransferUrl>>> {
        self.cache.tiers.segments.read_urls(ranges, lifetime).await
    }

    /// Where a client puts a part of exactly `length` bytes without passing through here, if it can.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn receive_url(&self, part: &PartName, length: u64, lifetime: Duration) -> Result<Option<TransferUrl>> {
        self.cache.tiers.segments.receive_url(part, length, lifetime).await
    }

    /// Verifies a part of exactly `length` bytes and makes its chunks present in a namespace.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn adopt_part(&self, caller: &Caller, part: &PartName, length: u64) -> Result<Option<Adopted>> {
        self.cache.tiers.segments.adopt(caller.namespace(), part, length).await
    }

    /// The parts that wait to be adopted.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn waiting_parts(&self, upload: Option<&UploadId>) -> Result<Vec<PartName>> {
        self.cache.tiers.segments.waiting(upload).await
    }

    /// Forgets the parts of an upload.
    ///
    /// # Errors
    /// Those of the tier.
    pub async fn discard_parts(&self, upload: &UploadId) -> Result<()> {
        self.cache.tiers.segments.discard(upload).await
    }

    fn address(&self, caller: &Caller, scope: &Scope, key: &Key) -> EntryAddress {
        EntryAddress {
            namespace: caller.namespace().clone(),
            scope: scope.clone(),
            door: self.door.clone(),
            key: key.clone(),
        }
    }

    fn count_lookup(&self, caller: &Caller, access: Access, found: &Result<Lookup>) {
        if access == Access::Check {
            return;
        }
        let outcome = match found {
            Ok(Lookup::Hit(found)) => {
                self.cache.readers.note(caller, &found.address, &found.entry);
                Outcome::Hit
            }
            Ok(Lookup::Miss(_)) => Outcome::Miss,
            Err(error) => Outcome::Error(error.kind()),
        };
        self.cache.counters.lookup(&self.door, caller.namespace(), outcome);
    }
}

enum Gathered {
    /// The whole value: one chunk.
    Whole(Bytes),
    /// The value is larger; the stream gives all of it, what was read before included.
    Rest(BlobStream),
}

async fn gather(mut body: BlobStream, limit: u64) -> Result<Gathered> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > limit {
            return Err(too_large(limit));
        }
        if bytes.len() > chunk::MAX_LEN {
            let mut seen = bytes.len() as u64;
            let bounded = body.map(move |piece| {
                let piece = piece?;
                seen += piece.len() as u64;
                if seen > limit { Err(too_large(limit)) } else { Ok(piece) }
            });
            let read = larder_base::stream_of(bytes.freeze());
            return Ok(Gathered::Rest(Box::pin(read.chain(bounded))));
        }
    }
    Ok(Gathered::Whole(bytes.freeze()))
}

fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::TooLarge, "read value", format!("the value has more than {limit} bytes"))
}

#[cfg(test)]
mod tests;
