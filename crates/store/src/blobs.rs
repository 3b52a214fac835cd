//! Blobs: putting, reading, and what is missing.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use larder_base::segment::{Record, RecordKind};
use larder_base::{ByteRange, ContentHash, Digest, Error, ErrorKind, HashFunction, Hasher, Namespace, Result, chunk};

use crate::body::Recipe;
use crate::committer::Terms;
use crate::core::Core;
use crate::group::{Group, weight};
use crate::pool::lost;
use crate::read::Attempt;
use crate::row::BlobRow;
use crate::rows::{MOVES_MAX, MarksDue, Rows};
use crate::store::Store;

/// What a cutter is fed at once: it holds one chunk and this.
const FEED_LEN: usize = 1 << 20;

/// What can be said at once about a blob that is wanted whole or in part.
pub(crate) enum Glance {
    Absent,
    Content(Bytes),
    /// The answer needs the disk, a write or much work.
    NotAtOnce,
}

impl Store {
    /// A range of a blob; `None` when the namespace has no such blob. It stays readable for the retention time.
    ///
    /// # Errors
    /// When the disk or the index fails.
    pub fn get(&self, namespace: &Namespace, hash: &ContentHash, range: ByteRange) -> Result<Option<BlobReader>> {
        let core = self.core();
        for _ in 0..MOVES_MAX {
            let rows = Rows::new(core);
            let Some(id) = rows.find_name(namespace.as_str())? else { return Ok(None) };
            let mut due = MarksDue::new();
            let Some(row) = rows.present(id, hash, &mut due)? else { return Ok(None) };
            core.make_marks(due, false);
            let digest = Digest { hash: *hash, size: row.size };
            let (offset, length) = range.within(row.size);
            if row.kind == RecordKind::Recipe {
                let Some(recipe) = core.recipe(hash, &row)? else { continue };
                return Ok(Some(BlobReader::of_recipe(core, digest, &recipe, offset, length)?));
            }
            if let Some(content) = core.read_body(hash, &row)? {
                let wanted = content.slice(offset as usize..(offset + length) as usize);
                return Ok(Some(BlobReader {
                    digest,
                    core: Arc::clone(core),
                    ready: Some(wanted),
                    chunks: VecDeque::new(),
                    lease: None,
                }));
            }
        }
        Ok(None)
    }

    /// What can be answered about a blob of one chunk without waiting for anything.
    pub(crate) fn glance(&self, namespace: &Namespace, hash: &ContentHash, stored_max: u32) -> Result<Glance> {
        let core = self.core();
        let rows = Rows::new(core);
        let Some(id) = rows.find_name(namespace.as_str())? else { return Ok(Glance::Absent) };
        let Some(row) = rows.blob(hash)? else { return Ok(Glance::Absent) };
        if !row.namespaces.contains(&id) {
            return Ok(Glance::Absent);
        }
        if row.kind != RecordKind::Chunk || row.stored_len > stored_max {
            return Ok(Glance::NotAtOnce);
        }
        let mut due = MarksDue::new();
        if !rows.touch(row.place.segment, row.place.ordinal, &mut due) || !due.is_empty() {
            return Ok(Glance::NotAtOnce);
        }
        match core.read_record_at_once(hash, &row)? {
            Attempt::Done(Some((header, body))) => Ok(match header.decompress(&body) {
                Ok(content) => Glance::Content(content),
                Err(_) => Glance::NotAtOnce,
            }),
            _ => Ok(Glance::NotAtOnce),
        }
    }

    /// Those of `hashes` that the namespace does not have, in the order given. The rest stays readable for the retention
    /// time.
    ///
    /// # Errors
    /// When the index fails.
    pub fn missing(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<Vec<ContentHash>> {
        let core = self.core();
        let rows = Rows::new(core);
        let Some(id) = rows.find_name(namespace.as_str())? else { return Ok(hashes.to_vec()) };
        let mut due = MarksDue::new();
        let mut missing = Vec::new();
        for hash in hashes {
            if rows.present(id, hash, &mut due)?.is_none() {
                missing.push(*hash);
            }
        }
        core.make_marks(due, false);
        Ok(missing)
    }

    /// Stores a blob that comes in pieces; memory stays bounded at any size. When this returns it is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the content is not `expected` or has not `size` bytes, [`ErrorKind::Full`], whatever
    /// the pieces fail with, or a failure of the disk. Nothing is visible then.
    pub fn put(
        &self,
        namespace: &Namespace,
        expected: Option<&ContentHash>,
        size: Option<u64>,
        pieces: &mut dyn Iterator<Item = Result<Bytes>>,
    ) -> Result<Digest> {
        let mut put = self.begin_put(namespace, expected, size)?;
        for piece in pieces {
            put.take(&piece?)?;
        }
        put.finish()
    }

    /// Begins to store a blob that comes in pieces.
    pub(crate) fn begin_put(
        &self,
        namespace: &Namespace,
        expected: Option<&ContentHash>,
        size: Option<u64>,
    ) -> Result<BlobPut> {
        let is_here = match expected {
            Some(hash) => self.has(namespace, hash)?,
            None => false,
        };
        Ok(BlobPut {
            store: self.clone(),
            namespace: namespace.clone(),
            expected: expected.copied(),
            size,
            hasher: Hasher::expecting(expected),
            chunks: (!is_here).then(|| {
                // The chunks of a blob are named as it is.
                let function = expected.map_or(HashFunction::Sha256, ContentHash::function);
                (chunk::Cutter::new(), ChunkWriter::new(self.clone(), function))
            }),
        })
    }

    /// Stores a blob of one chunk whose digest was checked.
    pub(crate) fn put_chunk(&self, namespace: &Namespace, digest: Digest, content: Bytes) -> Result<Digest> {
        let (terms, op) = self.chunk_write(namespace, digest, content);
        self.make_room(terms.weight)?;
        self.core().queue.call(terms, op)
    }

    /// The write of a blob of one chunk whose digest was checked, for [`crate::committer::Queue::submit`].
    pub(crate) fn chunk_write(
        &self,
        namespace: &Namespace,
        digest: Digest,
        content: Bytes,
    ) -> (Terms, impl FnOnce(&mut Group<'_>) -> Result<Digest> + Send + 'static) {
        let record = Record::chunk(digest.hash, content, self.core().options.level);
        let known = self.core().known_name(namespace.as_str());
        let namespace = namespace.clone();
        let terms = Terms::write(weight([record.body.len()]));
        (terms, move |group: &mut Group<'_>| {
            let id = known.map_or_else(|| group.name_id(namespace.as_str()), Ok)?;
            put_chunk_in(group, &namespace, id, digest.hash, record)?;
            Ok(digest)
        })
    }

    /// As [`Store::missing`], if it can be answered without waiting for anything; else `None`.
    pub(crate) fn glance_missing(
        &self,
        namespace: &Namespace,
        hashes: &[ContentHash],
    ) -> Result<Option<Vec<ContentHash>>> {
        let rows = Rows::glancing(self.core());
        let Some(id) = rows.find_name(namespace.as_str())? else { return Ok(Some(hashes.to_vec())) };
        let mut due = MarksDue::new();
        let mut missing = Vec::new();
        for hash in hashes {
            if rows.present(id, hash, &mut due)?.is_none() {
                missing.push(*hash);
            }
        }
        Ok(Some(missing).filter(|_| due.is_empty() && !rows.would_wait()))
    }

    fn has(&self, namespace: &Namespace, hash: &ContentHash) -> Result<bool> {
        Ok(self.missing(namespace, std::slice::from_ref(hash))?.is_empty())
    }
}

/// Makes a namespace, which has this id, have a chunk: writes it if it is not here, grants it if the namespace has it not
/// yet.
pub(crate) fn put_chunk_in(
    group: &mut Group<'_>,
    namespace: &Namespace,
    id: u32,
    hash: ContentHash,
    record: Record,
) -> Result<()> {
    let mut due = MarksDue::new();
    let row = group.touched(&hash, &mut due)?;
    group.due.append(&mut due);
    match row {
        Some(row) if row.kind == RecordKind::Chunk && row.namespaces.contains(&id) => Ok(()),
        Some(row) if row.kind == RecordKind::Chunk => group.grant(namespace, &[hash]),
        _ => {
            group.append_granted_chunk(record, namespace, id);
            Ok(())
        }
    }
}

fn put_recipe(group: &mut Group<'_>, namespace: &Namespace, hash: ContentHash, recipe: &Recipe) -> Result<()> {
    let mut due = MarksDue::new();
    for (chunk, _) in &recipe.chunks {
        if group.touched(chunk, &mut due)?.is_none() {
            let message = format!("a chunk of blob {hash} was evicted or found damaged before the upload ended");
            return Err(Error::new(ErrorKind::Unavailable, "put blob", message).with_hint("upload it again"));
        }
    }
    let row = group.touched(&hash, &mut due)?;
    group.due.append(&mut due);
    if row.is_none() {
        group.append_blob(recipe.to_record(hash), recipe.size);
    }
    let mut hashes: Vec<ContentHash> = recipe.chunks.iter().map(|(chunk, _)| *chunk).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.push(hash);
    group.grant(namespace, &hashes)
}

fn check_size(size: Option<u64>, hasher: &Hasher, ended: bool) -> Result<()> {
    let Some(size) = size else { return Ok(()) };
    let seen = hasher.size();
    if seen > size || (ended && seen < size) {
        let more = if ended { "" } else { " or more" };
        return Err(Error::invalid("put blob", format!("{size} bytes were announced and {seen}{more} came")));
    }
    Ok(())
}

/// The digest of what was hashed, if it is what was announced.
pub(crate) fn check(hasher: Hasher, expected: Option<&ContentHash>, size: Option<u64>) -> Result<Digest> {
    check_size(size, &hasher, true)?;
    let digest = hasher.finish();
    match expected {
        Some(expected) if digest.hash != *expected => {
            let message = format!("the content hashes to {}, not to {expected}", digest.hash);
            Err(Error::invalid("put blob", message))
        }
        _ => Ok(digest),
    }
}

/// A blob being put. Between two pieces it does nothing, so that whoever waits for the next one needs no thread.
pub(crate) struct BlobPut {
    store: Store,
    namespace: Namespace,
    expected: Option<ContentHash>,
    size: Option<u64>,
    hasher: Hasher,
    /// `None` when the namespace has the blob: then the bytes are only checked.
    chunks: Option<(chunk::Cutter, ChunkWriter)>,
}

impl BlobPut {
    /// Takes in the next bytes.
    pub(crate) fn take(&mut self, piece: &Bytes) -> Result<()> {
        self.hasher.update(piece);
        check_size(self.size, &self.hasher, false)?;
        if let Some((cutter, chunks)) = &mut self.chunks {
            for part in piece.chunks(FEED_LEN) {
                cutter.push(part);
                while let Some(chunk) = cutter.next_chunk() {
                    chunks.push(chunk)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the blob durable, and visible to its namespace.
    pub(crate) fn finish(self) -> Result<Digest> {
        let Self { store, namespace, expected, size, hasher, chunks } = self;
        let Some((cutter, mut chunks)) = chunks else { return check(hasher, expected.as_ref(), size) };
        let mut rest = cutter.finish();
        let digest = check(hasher, expected.as_ref(), size)?;
        if chunks.is_empty() && rest.len() == 1 {
            return store.put_chunk(&namespace, digest, rest.remove(0));
        }
        rest.into_iter().try_for_each(|chunk| chunks.push(chunk))?;
        let recipe = Recipe { size: digest.size, chunks: chunks.finish()? };
        let weight = weight([recipe.chunks.len() * 80]);
        store.make_room(weight)?;
        store
            .core()
            .queue
            .call(Terms::write(weight), move |group| put_recipe(group, &namespace, digest.hash, &recipe))?;
        Ok(digest)
    }
}

type Written = crossbeam_channel::Receiver<Result<(ContentHash, u32)>>;

/// Hashes, compresses and appends the chunks of one blob, a few at a time.
struct ChunkWriter {
    store: Store,
    function: HashFunction,
    under_way: VecDeque<Written>,
    done: Vec<(ContentHash, u32)>,
}

impl ChunkWriter {
    fn new(store: Store, function: HashFunction) -> Self {
        Self { store, function, under_way: VecDeque::new(), done: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.done.is_empty()
    }

    fn push(&mut self, content: Bytes) -> Result<()> {
        let core = Arc::clone(self.store.core());
        if self.under_way.len() >= core.pool.depth() {
            self.settle_first()?;
        }
        self.store.make_room(weight([content.len()]))?;
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let (task_core, function) = (Arc::clone(&core), self.function);
        let _ = core.pool.run(move || {
            let hash = function.hash(&content);
            let record = Record::chunk(hash, content, task_core.options.level);
            let terms = Terms::write(weight([record.body.len()])).unsynced();
            let op = move |group: &mut Group<'_>| append_chunk(group, hash, record);
            // The receiver is gone when the put has failed already.
            task_core.queue.submit(terms, op, move |written| drop(sender.send(written)));
        });
        self.under_way.push_back(receiver);
        Ok(())
    }

    fn settle_first(&mut self) -> Result<()> {
        if let Some(first) = self.under_way.pop_front() {
            self.done.push(first.recv().map_err(|_| lost())??);
        }
        Ok(())
    }

    /// All chunks in order, once all are written.
    fn finish(mut self) -> Result<Vec<(ContentHash, u32)>> {
        while !self.under_way.is_empty() {
            self.settle_first()?;
        }
        Ok(std::mem::take(&mut self.done))
    }
}

impl Drop for ChunkWriter {
    fn drop(&mut self) {
        // A put that failed leaves nothing under way behind it.
        self.under_way.drain(..).for_each(|chunk| drop(chunk.recv()));
    }
}

/// Appends a chunk, unless it is here already; nobody is granted it.
pub(crate) fn append_chunk(group: &mut Group<'_>, hash: ContentHash, record: Record) -> Result<(ContentHash, u32)> {
    let length = record.header.raw_len;
    let mut due = MarksDue::new();
    let row = group.touched(&hash, &mut due)?;
    group.due.append(&mut due);
    if row.is_none_or(|row| row.kind != RecordKind::Chunk) {
        group.append_blob(record, u64::from(length));
    }
    Ok((hash, length))
}

impl Core {
    /// Makes the marks durable without which a promise would not outlive a crash. If the store takes no writes, the
    /// promise holds until a crash.
    pub(crate) fn make_marks(&self, due: MarksDue, held: bool) {
        if due.is_empty() {
            return;
        }
        let made = self.queue.call(Terms::housekeeping(weight([due.len() * 4])), move |group| {
            if held {
                group.held_due.extend(due);
            } else {
                group.due.extend(due);
            }
            Ok(())
        });
        if let Err(error) = made {
            tracing::warn!(%error, "a promise could not be made durable");
        }
    }
}

impl Core {
    /// Whether the record of a blob is in the bucket only.
    pub(crate) fn is_remote(&self, hash: &ContentHash) -> bool {
        let row = if self.files.stub_count() > 0 { Rows::new(self).blob(hash) } else { Ok(None) };
        let place = row.ok().flatten().filter(|row| row.kind == RecordKind::Chunk).map(|row| row.place);
        place.is_some_and(|place| self.files.stub(place.segment).is_some())
    }
}

/// Keeps segments from being evicted while it lives.
struct Lease {
    core: Arc<Core>,
    segments: Vec<u32>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.segments.iter().for_each(|segment| self.core.heat.unpin(*segment));
    }
}

/// A chunk of a blob being read: which one, and which of its bytes.
struct Wanted {
    hash: ContentHash,
    from: usize,
    to: usize,
}

/// The bytes of a blob, piece by piece; the segments they lie in stay while it lives.
pub struct BlobReader {
    digest: Digest,
    core: Arc<Core>,
    ready: Option<Bytes>,
    chunks: VecDeque<Wanted>,
    lease: Option<Lease>,
}

impl BlobReader {
    fn of_recipe(core: &Arc<Core>, digest: Digest, recipe: &Recipe, offset: u64, length: u64) -> Result<Self> {
        let rows = Rows::new(core);
        let mut chunks = VecDeque::new();
        let mut lease = Lease { core: Arc::clone(core), segments: Vec::new() };
        let (mut begin, end) = (0_u64, offset + length);
        for (hash, size) in &recipe.chunks {
            let next = begin + u64::from(*size);
            if begin < end && next > offset {
                let from = offset.saturating_sub(begin) as usize;
                let to = (end.min(next) - begin) as usize;
                chunks.push_back(Wanted { hash: *hash, from, to });
                let segment = rows.blob(hash)?.map(|row| row.place.segment);
                // A segment that is being evicted cannot be pinned, but its chunks were touched, so they move.
                if let Some(segment) = segment
                    && !lease.segments.contains(&segment)
                    && core.heat.pin(segment)
                {
                    lease.segments.push(segment);
                }
            }
            begin = next;
        }
        Ok(Self { digest, core: Arc::clone(core), ready: None, chunks, lease: Some(lease) })
    }

    /// The name of the blob, with the size of the whole of it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the next piece is in the bucket.
    pub(crate) fn waits_for_bucket(&self) -> bool {
        let next = self.chunks.front().filter(|_| self.ready.is_none());
        next.is_some_and(|wanted| self.core.is_remote(&wanted.hash))
    }

    /// Whether nothing more follows.
    pub(crate) fn is_done(&self) -> bool {
        self.ready.is_none() && self.chunks.is_empty()
    }

    fn read(&self, wanted: &Wanted) -> Result<Bytes> {
        for _ in 0..MOVES_MAX {
            let row: Option<BlobRow> = Rows::new(&self.core).blob(&wanted.hash)?;
            let Some(row) = row else { break };
            if let Some(content) = self.core.read_body(&wanted.hash, &row)?
                && wanted.to <= content.len()
            {
                return Ok(content.slice(wanted.from..wanted.to));
            }
        }
        let message = format!("chunk {} of blob {} is damaged or gone", wanted.hash, self.digest.hash);
        Err(Error::new(ErrorKind::Corrupt, "read blob", message))
    }
}

impl Iterator for BlobReader {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Result<Bytes>> {
        if let Some(bytes) = self.ready.take().filter(|bytes| !bytes.is_empty()) {
            return Some(Ok(bytes));
        }
        let wanted = self.chunks.pop_front()?;
        let read = self.read(&wanted);
        if read.is_err() {
            self.chunks.clear();
        }
        if self.chunks.is_empty() {
            self.lease = None;
        }
        Some(read)
    }
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader").field("digest", &self.digest).finish_non_exhaustive()
    }
}
