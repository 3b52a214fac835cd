//! The job that sends what waits: first the blobs that are missing above, then the entries that need them.

use std::collections::HashSet;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt, stream};
use larder_base::segment::SEGMENT_HEADER;
use larder_base::{
    Access, BoxFuture, ByteRange, ContentHash, Entry, EntryBody, Error, ErrorKind, Located, Namespace, NewEntry, PutIf,
    PutOutcome, Result,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::blobs::patience;
use super::spool::{Action, Settled, Waiting};
use super::{Node, add};
use crate::jobs::{Job, Next};

/// Entries that are sent in one step, all of one namespace.
const BATCH: usize = 64;
/// Entries that are put side by side.
const AT_ONCE: usize = 8;
/// About how many bytes a segment has that is sent.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;
/// Segments that are sent side by side: while one is verified above, the next is on its way. Each is in memory.
const SEGMENTS_AT_ONCE: usize = 2;
/// How long the upstream may take for a small question of this job, which keeps no client waiting.
const QUESTION: Duration = Duration::from_secs(60);
/// How often an entry is tried by itself that fails for a reason of its own, before it is left here.
const TRIES: u32 = 5;
/// How often copies that wait are looked at.
const COPIES_EVERY: Duration = Duration::from_secs(2);

/// What is to be done above.
enum Task {
    Put(Entry, PutIf),
    Remove,
    Nothing,
}

/// The job.
pub(super) struct Pushing {
    node: Node,
    /// When what waits was last touched; the first step does that at once.
    touched: Mutex<Option<Instant>>,
}

impl Pushing {
    pub(super) fn new(node: Node) -> Self {
        Self { node, touched: Mutex::default() }
    }

    async fn work(&self) -> Result<Next> {
        let inner = &self.node.inner;
        self.touch().await;
        let copies_wait = self.node.keep_copies().await;
        let idle = if copies_wait { COPIES_EVERY } else { inner.touch_every };
        if let Some(wait) = inner.circuit.wait() {
            if !wait.is_zero() {
                return Ok(Next::After(wait.min(idle)));
            }
            // Any namespace will do: that it is refused is an answer too.
            let anywhere = "default".parse().expect("a name in the code is valid");
            let _ = inner.circuit.try_now(super::ANSWER, inner.above.blobs.missing(&anywhere, &[])).await;
            return Ok(Next::Now);
        }
        let batch = inner.spool.first(BATCH);
        if batch.is_empty() {
            if let Some((namespace, chunks)) = inner.early.take() {
                if let Err(error) = self.node.send_missing(&namespace, &chunks).await {
                    tracing::debug!(%error, "chunks are not sent before their entry");
                    inner.early.failed();
                }
                return Ok(Next::Now);
            }
            let due = inner.spool.due().map_or(idle, |due| due.saturating_duration_since(Instant::now()));
            return Ok(Next::After(due.min(idle)));
        }
        // What failed waits for its own time, or for the upstream, and holds up no other.
        if let Err(error) = self.node.push(batch).await {
            tracing::debug!(%error, "not all that waits could be sent");
        }
        Ok(Next::Now)
    }

    /// Has the local store keep what waits.
    async fn touch(&self) {
        let inner = &self.node.inner;
        if self.touched.lock().is_some_and(|at| at.elapsed() < inner.touch_every) {
            return;
        }
        inner.spool.touch().await;
        *self.touched.lock() = Some(Instant::now());
    }
}

impl Job for Pushing {
    fn name(&self) -> &'static str {
        "node-push"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(self.work())
    }

    fn status(&self) -> String {
        let status = self.node.status();
        let above = if status.reachable { "" } else { "; the upstream is away" };
        format!("{} entries wait, {} were sent since the start{above}", status.spool_entries, status.pushed)
    }
}

impl Node {
    /// Sends entries of one namespace.
    ///
    /// # Errors
    /// The first that let an entry wait on, after all others of the batch were tried.
    pub(super) async fn push(&self, batch: Vec<Waiting>) -> Result<()> {
        let inner = &self.inner;
        let Some(namespace) = batch.first().map(|first| first.address.namespace.clone()) else { return Ok(()) };
        let (mut puts, mut all) = (Vec::new(), Ok(()));
        for waiting in batch {
            match self.task(&waiting).await {
                Ok(Task::Put(entry, condition)) => puts.push((waiting, entry, condition)),
                Ok(Task::Remove) => {
                    let removing = inner.above.entries.delete(&waiting.address);
                    let removed = inner.circuit.try_now(QUESTION, removing).await;
                    let is_away = removed.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable);
                    all = all.and(self.settle(&waiting, removed.map(|_| Some(Settled::Done))).await);
                    if is_away {
                        return all;
                    }
                }
                Ok(Task::Nothing) => {}
                Err(error) => all = all.and(self.settle(&waiting, Err(error)).await),
            }
        }
        let mut seen = HashSet::new();
        let needs: Vec<ContentHash> =
            puts.iter().flat_map(|(_, entry, _)| needs_of(entry)).filter(|hash| seen.insert(*hash)).collect();
        if let Err(error) = self.send_missing(&namespace, &needs).await {
            if let [(waiting, ..)] = &puts[..] {
                return all.and(self.settle(waiting, Err(error)).await);
            }
            if error.kind() == ErrorKind::Full {
                inner.spool.pause(&namespace);
            }
            // Whose blob it was is seen when each is sent by itself.
            puts.iter().for_each(|(waiting, ..)| inner.spool.set_apart(waiting));
            return all.and(Err(error));
        }
        let mut putting = stream::iter(puts)
            .map(|(waiting, entry, condition)| async move {
                let outcome = self.put_above(&waiting, entry, condition).await;
                self.settle(&waiting, outcome).await
            })
            .buffer_unordered(AT_ONCE);
        while let Some(settled) = putting.next().await {
            all = all.and(settled);
        }
        all
    }

    /// What there is to do for one that waits. When that is nothing, its wait is over.
    async fn task(&self, waiting: &Waiting) -> Result<Task> {
        let inner = &self.inner;
        // A write holds this from its line to its entry: one without the other is a crash's or a failure's, and not under
        // way.
        let _lock = inner.spool.lock(&waiting.address).await;
        let entry = inner.local.entries.get(&waiting.address, Access::Check).await?;
        match (waiting.effect(entry.as_ref().map(|entry| entry.revision)), entry) {
            (Some(Action::Delete), _) => return Ok(Task::Remove),
            (Some(Action::PutAbsent), Some(entry)) => return Ok(Task::Put(entry, PutIf::Absent)),
            (Some(Action::PutAlways), Some(entry)) => return Ok(Task::Put(entry, PutIf::Always)),
            (_, None) => add(&inner.counts.lost, 1),
            (None, Some(_)) => {}
        }
        inner.spool.settle_locked(waiting, Settled::Done).await?;
        Ok(Task::Nothing)
    }

    async fn put_above(&self, waiting: &Waiting, entry: Entry, condition: PutIf) -> Result<Option<Settled>> {
        let inner = &self.inner;
        let body = entry.inline.clone().map_or(EntryBody::Stored(entry.blob), EntryBody::Value);
        let new = NewEntry {
            body,
            attributes: entry.attributes.clone(),
            links: entry.links.clone(),
            writer: entry.writer.clone(),
        };
        let put = inner.above.entries.put(&waiting.address, new, condition);
        Ok(match inner.circuit.try_now(QUESTION, put).await? {
            PutOutcome::Stored(_) => {
                add(&inner.counts.pushed, 1);
                Some(Settled::Done)
            }
            // Sent before, and the answer was lost; or saved by two jobs alike.
            PutOutcome::Kept(Some(there)) if is_same(&there, &entry) => Some(Settled::Done),
            PutOutcome::Kept(Some(there)) => Some(Settled::Conflict(format!("{} was first", there.writer))),
            PutOutcome::Kept(None) => None,
            PutOutcome::Incomplete(missing) => {
                let message = format!("{} blobs that it needs are not above", missing.len());
                return Err(Error::new(ErrorKind::Failed, "send entry", message));
            }
        })
    }

    /// Ends the wait of one, or lets it wait on behind the others.
    async fn settle(&self, waiting: &Waiting, outcome: Result<Option<Settled>>) -> Result<()> {
        let spool = &self.inner.spool;
        let (settled, error) = match outcome {
            Ok(Some(settled)) => (settled, None),
            Ok(None) => {
                spool.tried(waiting);
                return Ok(());
            }
            Err(error) => (Settled::Refused(error.to_string()), Some(error)),
        };
        if let Some(error) = error.filter(|error| !is_final(error)) {
            let tries = spool.tried(waiting);
            if error.kind() == ErrorKind::Full {
                spool.pause(&waiting.address.namespace);
            }
            // Only what fails for reasons of its own is given up: an upstream that is away or full is waited for.
            let is_own = matches!(error.kind(), ErrorKind::Failed | ErrorKind::Corrupt);
            if !is_own || tries < TRIES {
                return Err(error);
            }
        }
        let ended = spool.settle(waiting, settled).await;
        if ended.is_err() {
            spool.tried(waiting);
        }
        ended
    }

    /// Sends those blobs that are missing above: chunks as segments, larger ones as they are. One that is not here any
    /// more is passed over; the entry that needs it will not be taken.
    async fn send_missing(&self, namespace: &Namespace, needs: &[ContentHash]) -> Result<()> {
        let inner = &self.inner;
        if needs.is_empty() {
            return Ok(());
        }
        let missing = inner.circuit.try_now(QUESTION, inner.above.blobs.missing(namespace, needs)).await?;
        let mut located = inner.local.segments.locate(namespace, &missing).await?;
        located.sort_unstable_by_key(|place| (place.segment, place.offset));
        let chunks: HashSet<ContentHash> = located.iter().map(|place| place.digest.hash).collect();
        let send = |group| self.send_group(namespace, group);
        stream::iter(groups(&located).into_iter().map(Ok)).try_for_each_concurrent(SEGMENTS_AT_ONCE, send).await?;
        for hash in missing.iter().filter(|hash| !chunks.contains(hash)) {
            self.send_blob(namespace, hash).await?;
        }
        Ok(())
    }

    async fn send_group(&self, namespace: &Namespace, group: &[Located]) -> Result<()> {
        let inner = &self.inner;
        let bytes: u64 = group.iter().map(|place| place.length).sum();
        let mut segment = BytesMut::with_capacity(SEGMENT_HEADER.len() + bytes as usize);
        segment.extend_from_slice(&SEGMENT_HEADER);
        for touching in
            group.chunk_by(|one, next| one.segment == next.segment && one.offset + one.length == next.offset)
        {
            let length = touching.iter().map(|place| place.length).sum();
            let range = ByteRange { offset: touching[0].offset, length: Some(length) };
            let Some(mut body) = inner.local.segments.read(touching[0].segment, range).await? else { continue };
            while let Some(piece) = body.next().await {
                segment.extend_from_slice(&piece?);
            }
        }
        let length = segment.len() as u64;
        let sent = inner.circuit.try_now(patience(length), inner.above.bulk.send(namespace, segment.freeze())).await;
        match sent {
            Ok(_) => add(&inner.counts.bytes_up, length),
            // A record is damaged, which by itself is found out here, or so many bytes at once are what something on the
            // way does not take: the others go, or all do.
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Failed) => {
                for place in group {
                    self.send_blob(namespace, &place.digest.hash).await?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn send_blob(&self, namespace: &Namespace, hash: &ContentHash) -> Result<()> {
        let inner = &self.inner;
        let blob = match inner.local.blobs.get(namespace, hash, ByteRange::ALL).await {
            Ok(Some(blob)) => blob,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
            Err(error) => return Err(error),
        };
        let size = blob.digest.size;
        let put = inner.above.blobs.put(namespace, Some(hash), Some(size), blob.body);
        match tokio::time::timeout(patience(size), put).await {
            Ok(Ok(_)) => add(&inner.counts.bytes_up, size),
            // Damaged here, and the body ended in that.
            Ok(Err(error)) if error.kind() == ErrorKind::Corrupt => {}
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Unavailable {
                    inner.circuit.failed(&error);
                }
                return Err(error);
            }
            Err(_) => {
                let error = Error::new(ErrorKind::Unavailable, "send blob", format!("{size} bytes took too long"));
                inner.circuit.failed(&error);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The records of each segment that is sent: of about equal size, so that none is a small rest.
pub(super) fn groups(mut rest: &[Located]) -> Vec<&[Located]> {
    let mut bytes: u64 = rest.iter().map(|place| place.length).sum();
    let mut groups = Vec::new();
    for left in (1..=bytes.div_ceil(SEGMENT_BYTES)).rev() {
        let (share, mut taken) = (bytes.div_ceil(left), 0);
        let is_wanted = |place: &&Located| {
            let is_wanted = taken < share;
            taken += if is_wanted { place.length } else { 0 };
            is_wanted
        };
        let (group, behind) = rest.split_at(rest.iter().take_while(is_wanted).count());
        groups.push(group);
        (rest, bytes) = (behind, bytes - taken);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// The blobs that must be above before an entry.
fn needs_of(entry: &Entry) -> impl Iterator<Item = ContentHash> {
    let value = entry.inline.is_none().then_some(entry.blob.hash);
    entry.links.iter().copied().chain(value)
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    one.blob == other.blob && one.links == other.links && one.attributes == other.attributes
}

/// Whether an upstream that says this will say it again.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::TooLarge)
}
