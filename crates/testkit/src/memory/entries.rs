//! Entries in memory.

use std::sync::Arc;

use larder_base::{
    ATTRIBUTES_MAX_BYTES, Access, BoxFuture, ContentHash, Digest, Entries, Entry, EntryAddress, EntryBody, EntryPrefix,
    Error, ErrorKind, INLINE_MAX_BYTES, ListPage, Listed, NewEntry, PutIf, PutOutcome, Result, Timestamp,
    WRITER_MAX_BYTES, chunk,
};

use super::{Memory, State, digest_of_kept};

impl Entries for Memory {
    fn get<'a>(&'a self, address: &'a EntryAddress, access: Access) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(async move { Ok(self.state.lock().serve(address, access, self.clock.now())) })
    }

    fn put<'a>(
        &'a self,
        address: &'a EntryAddress,
        entry: NewEntry,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<PutOutcome>> {
        Box::pin(async move {
            check_limits(address, &entry)?;
            self.state.lock().put_entry(address, entry, condition, self.clock.now())
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a EntryPrefix,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage>> {
        Box::pin(async move {
            let after = after.map_or(Ok(Position::BEFORE_ALL), Position::decode)?;
            Ok(self.state.lock().list(prefix, after, limit))
        })
    }

    fn delete<'a>(&'a self, address: &'a EntryAddress) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { Ok(self.state.lock().entries.remove(address).is_some()) })
    }
}

impl State {
    fn serve(&mut self, address: &EntryAddress, access: Access, now: Timestamp) -> Option<Entry> {
        let entry = self.complete_entry(address)?;
        match access {
            Access::Serve => entry.last_served = now,
            Access::Check => {}
        }
        Some(entry.clone())
    }

    /// The entry at an address, after removing it if something that it needs is gone.
    fn complete_entry(&mut self, address: &EntryAddress) -> Option<&mut Entry> {
        let entry = self.entries.get(address)?;
        let needed = entry.links.iter().chain([&entry.blob.hash]);
        if !self.missing(&address.namespace, needed).is_empty() {
            self.entries.remove(address);
        }
        self.entries.get_mut(address)
    }

    fn put_entry(
        &mut self,
        address: &EntryAddress,
        new: NewEntry,
        condition: PutIf,
        now: Timestamp,
    ) -> Result<PutOutcome> {
        let blob = match &new.body {
            EntryBody::Stored(digest) => *digest,
            EntryBody::Value(value) => Digest::of(value),
        };
        let absent = self.absent_needs(address, &new, blob)?;
        if !absent.is_empty() {
            return Ok(PutOutcome::Incomplete(absent));
        }
        // An incomplete entry is a miss to every reader, so it may not keep a writer out either.
        let present = self.complete_entry(address);
        let holds = match condition {
            PutIf::Always => true,
            PutIf::Absent => present.is_none(),
            PutIf::Unchanged(revision) => present.as_ref().is_some_and(|entry| entry.revision == revision),
        };
        if !holds {
            return Ok(PutOutcome::Kept(present.cloned()));
        }
        let value = match new.body {
            EntryBody::Value(value) => {
                self.keep(&address.namespace, blob.hash, value.clone());
                Some(value)
            }
            EntryBody::Stored(_) => self.blob(&address.namespace, &blob.hash).cloned(),
        };
        self.last_revision += 1;
        let entry = Entry {
            blob,
            inline: value.filter(|value| value.len() <= INLINE_MAX_BYTES),
            attributes: new.attributes,
            links: new.links,
            writer: new.writer,
            created: now,
            last_served: now,
            revision: self.last_revision,
        };
        self.entries.insert(address.clone(), entry.clone());
        Ok(PutOutcome::Stored(entry))
    }

    /// What a new entry needs and the namespace does not have, each hash once. What it brings itself is not missing.
    fn absent_needs(&self, address: &EntryAddress, new: &NewEntry, blob: Digest) -> Result<Vec<ContentHash>> {
        let mut needed: Vec<ContentHash> = new.links.to_vec();
        match new.body {
            EntryBody::Stored(_) => {
                let kept = self.blob(&address.namespace, &blob.hash);
                if let Some(kept) = kept.map(|kept| digest_of_kept(blob.hash, kept)).filter(|kept| *kept != blob) {
                    let message = format!("{blob} is not the value of {}: it has {} bytes", address.key, kept.size);
                    return Err(Error::invalid("put entry", message));
                }
                needed.push(blob.hash);
            }
            EntryBody::Value(_) => needed.retain(|hash| *hash != blob.hash),
        }
        needed.sort_unstable();
        needed.dedup();
        Ok(self.missing(&address.namespace, &needed))
    }

    fn list(&self, prefix: &EntryPrefix, after: Position, limit: usize) -> ListPage {
        let mut matching: Vec<_> = self
            .entries
            .iter()
            .filter(|(address, entry)| prefix_covers(prefix, address) && Position::of(entry) < after)
            .collect();
        matching.sort_unstable_by_key(|(_, entry)| std::cmp::Reverse(Position::of(entry)));
        let more = matching.len() > limit;
        matching.truncate(limit);
        let last = matching.last().map_or(after, |(_, entry)| Position::of(entry));
        let entries = matching.into_iter().map(|(address, entry)| listed(address, entry)).collect();
        ListPage { entries, next: more.then(|| last.encode()) }
    }
}

/// The place of an entry in every listing. A page begins after a place, not after a count, so that what is written or
/// removed meanwhile neither repeats nor hides an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    created: Timestamp,
    revision: u64,
}

impl Position {
    const BEFORE_ALL: Self = Self { created: Timestamp::from_millis(u64::MAX), revision: u64::MAX };

    fn of(entry: &Entry) -> Self {
        Self { created: entry.created, revision: entry.revision }
    }

    fn encode(self) -> String {
        format!("{}.{}", self.created.as_millis(), self.revision)
    }

    fn decode(cursor: &str) -> Result<Self> {
        let read = || {
            let (created, revision) = cursor.split_once('.')?;
            let created = Timestamp::from_millis(created.parse().ok()?);
            Some(Self { created, revision: revision.parse().ok()? })
        };
        read().ok_or_else(|| Error::invalid("list entries", "the cursor is not one that a page of this tier gave"))
    }
}

fn prefix_covers(prefix: &EntryPrefix, address: &EntryAddress) -> bool {
    prefix.namespace == address.namespace
        && prefix.scope.as_ref().is_none_or(|scope| *scope == address.scope)
        && prefix.door.as_ref().is_none_or(|door| *door == address.door)
        && address.key.as_str().starts_with(&prefix.prefix)
}

fn listed(address: &EntryAddress, entry: &Entry) -> Listed {
    let entry = Entry { links: Arc::default(), inline: None, ..entry.clone() };
    Listed { address: address.clone(), entry }
}

fn check_limits(address: &EntryAddress, new: &NewEntry) -> Result<()> {
    let too_large = |what: &str, length: usize, most: usize| {
        let message = format!("{what} of {} has {length} bytes; at most {most} are kept", address.key);
        Err(Error::new(ErrorKind::TooLarge, "put entry", message))
    };
    let attributes = new.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    match &new.body {
        EntryBody::Value(value) if value.len() > chunk::MAX_LEN => too_large("the value", value.len(), chunk::MAX_LEN),
        _ if attributes > ATTRIBUTES_MAX_BYTES => too_large("the attributes", attributes, ATTRIBUTES_MAX_BYTES),
        _ if new.writer.len() > WRITER_MAX_BYTES => too_large("the writer", new.writer.len(), WRITER_MAX_BYTES),
        _ => Ok(()),
    }
}
