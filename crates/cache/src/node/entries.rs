//! Entries of the node: the truth is above, unless it still waits here.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use larder_base::{
    Access, BoxFuture, Entries, Entry, EntryAddress, EntryBody, EntryPrefix, Error, ErrorKind, ListPage, Listed,
    NewEntry, PutIf, PutOutcome, Result,
};

use tokio::time::Instant;

use super::spool::{Action, Settled, Waiting};
use super::{ANSWER, Node};
use crate::cache::is_own;

/// Copies of entries that wait at once; what is beyond is looked up above again.
const COPIES_MAX: usize = 64;
/// How long copies wait while nothing comes.
const COPIES_PATIENCE: Duration = Duration::from_secs(60);
/// How cursors begin: within what is here, what is here and does not wait, what waits, and what is above.
const HERE: &str = "here:";
const REST: &str = "rest:";
const WAITING: &str = "waiting:";
const ABOVE: &str = "above:";

/// How far a listing has come.
enum Cursor<'a> {
    Start,
    Here(&'a str),
    /// What waits was listed before.
    Rest(&'a str),
    /// Those that waited before this turn.
    Waiting(u64),
    Above(Option<&'a str>),
}

impl<'a> Cursor<'a> {
    fn read(after: Option<&'a str>) -> Result<Self> {
        let Some(after) = after else { return Ok(Self::Start) };
        let waiting = after.strip_prefix(WAITING).and_then(|turn| turn.parse().ok()).map(Self::Waiting);
        let here = after.strip_prefix(HERE).map(Self::Here);
        let rest = after.strip_prefix(REST).map(Self::Rest);
        let above = after.strip_prefix(ABOVE).map(|above| Self::Above(Some(above)));
        let cursor = waiting.or(here).or(rest).or(above);
        cursor.ok_or_else(|| Error::invalid("list entries", "the cursor is none of an earlier page"))
    }
}

/// Copies of entries that wait for their blobs to be here.
#[derive(Default)]
pub(super) struct Copies {
    waiting: Vec<(EntryAddress, NewEntry)>,
    /// Bytes that had come or were proved at the last try, and when that was.
    tried: Option<(u64, Instant)>,
}

impl Copies {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn add(&mut self, address: EntryAddress, copy: NewEntry) {
        self.waiting.retain(|(other, _)| *other != address);
        if self.waiting.len() < COPIES_MAX {
            self.waiting.push((address, copy));
        }
    }

    /// Those to be tried now that so many bytes have come or were proved. When nothing comes any more they are given up.
    fn take(&mut self, came: u64) -> Vec<(EntryAddress, NewEntry)> {
        let now = Instant::now();
        match self.tried {
            Some((before, at)) if before == came => {
                if now - at > COPIES_PATIENCE {
                    self.waiting.clear();
                }
                Vec::new()
            }
            _ => {
                self.tried = Some((came, now));
                std::mem::take(&mut self.waiting)
            }
        }
    }
}

impl Node {
    async fn find(&self, address: &EntryAddress, access: Access) -> Result<Option<Entry>> {
        let inner = &self.inner;
        let here = || inner.local.entries.get(address, access);
        if is_own(&address.namespace) || inner.spool.is_ours(address) {
            return here().await;
        }
        match inner.circuit.ask(ANSWER, inner.above.entries.get(address, access)).await {
            None => here().await,
            Some(Some(entry)) => {
                if access == Access::Serve {
                    self.copy_later(address, &entry).await?;
                }
                Ok(Some(entry))
            }
            Some(None) => {
                // It was purged or evicted above, and a copy here would say otherwise once the upstream is away.
                let _lock = inner.spool.lock(address).await;
                if inner.spool.is_ours(address) {
                    return here().await;
                }
                inner.local.entries.delete(address).await?;
                Ok(None)
            }
        }
    }

    /// Keeps a copy of an entry for when the upstream is away; now, or when its blobs have come.
    async fn copy_later(&self, address: &EntryAddress, entry: &Entry) -> Result<()> {
        let body = match &entry.inline {
            Some(value) => EntryBody::Value(value.clone()),
            None => EntryBody::Stored(entry.blob),
        };
        let Entry { attributes, links, writer, .. } = entry.clone();
        let copy = NewEntry { body, attributes, links, writer };
        if !self.copy(address, copy.clone()).await? {
            self.inner.copies.lock().add(address.clone(), copy);
        }
        Ok(())
    }

    /// Keeps a copy if all it needs is here; says whether there is nothing left to do.
    async fn copy(&self, address: &EntryAddress, copy: NewEntry) -> Result<bool> {
        let inner = &self.inner;
        let _lock = inner.spool.lock(address).await;
        if inner.spool.is_ours(address) {
            return Ok(true);
        }
        let same = |kept: &Entry| {
            let blob = match &copy.body {
                EntryBody::Value(value) => kept.blob.hash.names(value),
                EntryBody::Stored(digest) => kept.blob == *digest,
            };
            blob && kept.links == copy.links && kept.attributes == copy.attributes
        };
        if inner.local.entries.get(address, Access::Check).await?.as_ref().is_some_and(same) {
            return Ok(true);
        }
        match inner.local.entries.put(address, copy, PutIf::Always).await {
            Ok(outcome) => Ok(!matches!(outcome, PutOutcome::Incomplete(_))),
            // It is a copy only.
            Err(error) if error.kind().may_pass() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Tries again to keep the copies that waited for blobs; says whether some still do. One that cannot be kept is given
    /// up: it is a copy only.
    pub(super) async fn keep_copies(&self) -> bool {
        let inner = &self.inner;
        let (came, kept) = (inner.counts.bytes_down.load(Relaxed), inner.counts.kept.load(Relaxed));
        let due = inner.copies.lock().take(came + kept);
        for (address, copy) in due {
            match self.copy(&address, copy.clone()).await {
                Ok(true) => {}
                Ok(false) => inner.copies.lock().add(address, copy),
                Err(error) => tracing::debug!(key = %address.key, %error, "an entry from above could not be kept"),
            }
        }
        !inner.copies.lock().is_empty()
    }

    async fn write(&self, address: &EntryAddress, entry: NewEntry, condition: PutIf) -> Result<PutOutcome> {
        let inner = &self.inner;
        if is_own(&address.namespace) {
            return inner.local.entries.put(address, entry, condition).await;
        }
        let _lock = inner.spool.lock(address).await;
        let before = inner.local.entries.get(address, Access::Check).await?.map(|entry| entry.revision);
        let is_vain = match condition {
            PutIf::Always => false,
            PutIf::Absent => before.is_some(),
            PutIf::Unchanged(revision) => before != Some(revision),
        };
        if is_vain {
            return inner.local.entries.put(address, entry, condition).await;
        }
        let waited = inner.spool.waits(address);
        let action = if condition == PutIf::Absent { Action::PutAbsent } else { Action::PutAlways };
        let waiting = self.spool(address, action, before).await;
        let outcome = self.put_here(address, entry, condition).await;
        match waiting {
            Some(_) if matches!(outcome, Ok(PutOutcome::Stored(_))) => self.wake_pushing(),
            // What waited before goes on waiting: the line knows of it.
            Some(waiting) if !waited => inner.spool.settle_locked(&waiting, Settled::Done).await?,
            _ => {}
        }
        outcome
    }

    async fn put_here(&self, address: &EntryAddress, entry: NewEntry, condition: PutIf) -> Result<PutOutcome> {
        let local = &self.inner.local.entries;
        let outcome = local.put(address, entry.clone(), condition).await?;
        if let PutOutcome::Incomplete(missing) = &outcome {
            // What it needs may have come already, or be above, where an earlier job has put it.
            self.prove(&address.namespace, missing).await;
            for hash in missing {
                if !self.bring(&address.namespace, hash).await? {
                    return Ok(outcome);
                }
            }
            return local.put(address, entry, condition).await;
        }
        Ok(outcome)
    }

    /// Makes an address wait to be sent. That it cannot is counted, and no matter of the client's.
    async fn spool(&self, address: &EntryAddress, action: Action, before: Option<u64>) -> Option<Waiting> {
        match self.inner.spool.add(address, action, before).await {
            Ok(waiting) => Some(waiting),
            Err(error) => {
                tracing::debug!(key = %address.key, %error, "an entry stays here and is not sent");
                None
            }
        }
    }

    async fn remove(&self, address: &EntryAddress) -> Result<bool> {
        let inner = &self.inner;
        if is_own(&address.namespace) {
            return inner.local.entries.delete(address).await;
        }
        let _lock = inner.spool.lock(address).await;
        // First the line: an earlier write that waits must not come after the removal.
        let waiting = self.spool(address, Action::Delete, None).await;
        let was_here = inner.local.entries.delete(address).await?;
        let was_above = inner.circuit.ask(ANSWER, inner.above.entries.delete(address)).await;
        match waiting {
            Some(waiting) if was_above.is_some() => inner.spool.settle_locked(&waiting, Settled::Done).await?,
            _ => self.wake_pushing(),
        }
        Ok(was_here || was_above.unwrap_or(false))
    }

    /// First what waits, which is newer than what is above, then what is above; what is here when that is away.
    async fn page(&self, prefix: &EntryPrefix, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let inner = &self.inner;
        if is_own(&prefix.namespace) {
            return inner.local.entries.list(prefix, after, limit).await;
        }
        let mut entries = Vec::new();
        let above = match Cursor::read(after)? {
            Cursor::Rest(rest) => return self.page_rest(prefix, Some(rest), limit, entries).await,
            Cursor::Here(here) => return self.page_here(prefix, Some(here), limit).await,
            Cursor::Start if !inner.circuit.is_closed() => return self.page_here(prefix, None, limit).await,
            Cursor::Above(above) => above,
            start @ (Cursor::Start | Cursor::Waiting(_)) => {
                let behind = if let Cursor::Waiting(turn) = start { turn } else { u64::MAX };
                let waiting = inner.spool.matching(prefix, behind, limit);
                let next = waiting.last().map_or(behind, |(turn, _)| *turn);
                let is_all = waiting.len() < limit;
                for (_, address) in waiting {
                    if let Some(entry) = inner.local.entries.get(&address, Access::Check).await? {
                        entries.push(Listed { address, entry: Entry { inline: None, links: [].into(), ..entry } });
                    }
                }
                if !is_all {
                    return Ok(ListPage { entries, next: Some(format!("{WAITING}{next}")) });
                }
                None
            }
        };
        let room = limit - entries.len();
        let Some(page) = inner.circuit.ask(ANSWER, inner.above.entries.list(prefix, above, room)).await else {
            return match (after, above) {
                (None, _) => self.page_here(prefix, None, limit).await,
                (_, None) => self.page_rest(prefix, None, room, entries).await,
                _ => Err(Error::new(ErrorKind::Unavailable, "list entries", "the upstream is away")),
            };
        };
        let fresh = page.entries.into_iter().filter(|listed| !inner.spool.is_ours(&listed.address));
        entries.extend(fresh);
        Ok(ListPage { entries, next: page.next.map(|next| format!("{ABOVE}{next}")) })
    }

    /// Adds to what waits what is here besides.
    async fn page_rest(
        &self,
        prefix: &EntryPrefix,
        after: Option<&str>,
        room: usize,
        mut entries: Vec<Listed>,
    ) -> Result<ListPage> {
        let page = self.inner.local.entries.list(prefix, after, room).await?;
        entries.extend(page.entries.into_iter().filter(|listed| !self.inner.spool.waits(&listed.address)));
        Ok(ListPage { entries, next: page.next.map(|next| format!("{REST}{next}")) })
    }

    async fn page_here(&self, prefix: &EntryPrefix, after: Option<&str>, limit: usize) -> Result<ListPage> {
        let page = self.inner.local.entries.list(prefix, after, limit).await?;
        Ok(ListPage { next: page.next.map(|next| format!("{HERE}{next}")), ..page })
    }
}

impl Entries for Node {
    fn get<'a>(&'a self, address: &'a EntryAddress, access: Access) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(self.find(address, access))
    }

    fn put<'a>(
        &'a self,
        address: &'a EntryAddress,
        entry: NewEntry,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<PutOutcome>> {
        Box::pin(self.write(address, entry, condition))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a EntryPrefix,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage>> {
        Box::pin(self.page(prefix, after, limit))
    }

    fn delete<'a>(&'a self, address: &'a EntryAddress) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.remove(address))
    }
}
