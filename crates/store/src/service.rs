//! The async border: the storage traits over the synchronous [`Store`]. The only part of this crate that knows tokio.
//!
//! What is in memory is answered in place. A small write is prepared in place and handed to the committer, whose answer
//! is awaited, so that no thread stands waiting for a sync. Everything else runs on tokio's blocking threads, at most so
//! many at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use larder_base::{
    Access, Adopted, Blob, BlobStream, Blobs, BoxFuture, ByteRange, ContentHash, Digest, Entries, Entry, EntryAddress,
    EntryBody, EntryPrefix, Error, ErrorKind, Hasher, ListPage, Located, Namespace, NewEntry, PartName, PutIf,
    PutOutcome, Reader, Readers, Result, SeenEntry, SegmentRange, Segments, TransferUrl, UploadId, chunk, stream_of,
};
use tokio::sync::{Semaphore, oneshot};

use crate::blobs::{BlobPut, BlobReader, Glance, check};
use crate::committer::Terms;
use crate::group::Group;
use crate::store::Store;
use crate::transfer::SegmentReader;

mod relay;

/// Bytes up to which hashing and compressing is done where the call arrives.
const IN_PLACE_MAX: usize = 64 << 10;
/// Hashes up to which a question is answered where the call arrives.
const HASHES_IN_PLACE_MAX: u32 = 32;
/// Bytes of a body that are taken to a blocking thread at once.
const AT_ONCE: usize = 1 << 20;
/// Bytes of blobs of one chunk, but more than [`IN_PLACE_MAX`], that are in memory to be put.
const PUT_BYTES_MAX: usize = 64 << 20;
/// Work that waits for the bucket at a time.
const REMOTE_MAX: usize = 64;
/// Blobs of more than one chunk that are put at a time; each has some 4 MiB in memory.
const LARGE_PUTS_MAX: usize = 64;

/// A [`Store`] behind the storage traits.
#[derive(Clone)]
pub struct StoreService {
    store: Store,
    /// Blocking work under way.
    work: Arc<Semaphore>,
    /// Work under way that waits for the bucket: a bucket that is slow keeps nobody from what is on the disk.
    remote: Arc<Semaphore>,
    /// Memory for blobs of one chunk, in KiB.
    puts: Arc<Semaphore>,
    /// Puts of blobs of more than one chunk.
    large_puts: Arc<Semaphore>,
}

impl StoreService {
    /// A service that keeps at most `threads` blocking threads busy. Call it within a tokio runtime.
    pub fn new(store: Store, threads: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (work, puts) = (semaphore(threads.max(1)), semaphore(PUT_BYTES_MAX >> 10));
        Self { store, work, remote: semaphore(REMOTE_MAX), puts, large_puts: semaphore(LARGE_PUTS_MAX) }
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Does work on the store where it may block.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.permitted(&self.work, work).await
    }

    /// As [`StoreService::blocking`], work that waits for the bucket: shipping, sweeping, adopting where a client put it.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn remote<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.permitted(&self.remote, work).await
    }

    async fn permitted<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(permits).acquire_owned().await.map_err(|_| closed())?;
        self.on_a_thread(move |store| {
            let _permit = permit;
            work(store)
        })
        .await
    }

    /// The permits for work that may or may not wait for the bucket.
    fn permits(&self, waits_for_bucket: bool) -> &Arc<Semaphore> {
        if waits_for_bucket { &self.remote } else { &self.work }
    }

    /// Closes the store, whatever work is under way: as [`Store::close`].
    ///
    /// # Errors
    /// Those of [`Store::close`].
    pub async fn close(&self) -> Result<()> {
        self.on_a_thread(Store::close).await
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place of this crate that crosses, bounded by the permits of its callers"
        )]
        let task = tokio::task::spawn_blocking(move || work(&store));
        task.await
            .map_err(|error| Error::new(ErrorKind::Failed, "use store", "the work was lost").with_source(error))?
    }

    /// Hands a write to the committer and awaits its answer.
    async fn commit<T: Send + 'static>(
        &self,
        terms: Terms,
        op: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if !self.store.core().usage.fits(terms.weight) {
            self.blocking(move |store| store.make_room(terms.weight)).await?;
        }
        let (sender, receiver) = oneshot::channel();
        self.store.core().queue.submit_through(relay::here(), terms, op, move |result| {
            // Whoever gave up waiting has its write all the same.
            let _ = sender.send(result);
        });
        receiver.await.map_err(|_| closed())?
    }

    async fn put_small(
        &self,
        namespace: &Namespace,
        expected: Option<&ContentHash>,
        size: Option<u64>,
        content: Bytes,
    ) -> Result<Digest> {
        let mut hasher = Hasher::expecting(expected);
        if content.len() > IN_PLACE_MAX {
            let (namespace, expected) = (namespace.clone(), expected.copied());
            return self
                .blocking(move |store| {
                    store.put(&namespace, expected.as_ref(), size, &mut std::iter::once(Ok(content)))
                })
                .await;
        }
        hasher.update(&content);
        let digest = check(hasher, expected, size)?;
        let (terms, op) = self.store.chunk_write(namespace, digest, content);
        self.commit(terms, op).await
    }

    /// Puts a blob larger than one chunk: `ahead` was read already, `body` is the rest. No thread is held while the
    /// client is waited for: a client may take its time, and only its own put waits.
    async fn put_large(
        &self,
        namespace: &Namespace,
        expected: Option<&ContentHash>,
        size: Option<u64>,
        mut ahead: Vec<Bytes>,
        mut body: BlobStream,
    ) -> Result<Digest> {
        let (namespace, expected) = (namespace.clone(), expected.copied());
        let begun = self.blocking(move |store| store.begin_put(&namespace, expected.as_ref(), size)).await?;
        let mut put = IdlePut(Some(begun));
        let mut bytes = AT_ONCE;
        loop {
            if bytes >= AT_ONCE {
                let batch = std::mem::take(&mut ahead);
                bytes = 0;
                put = self.blocking(move |_| put.take(&batch)).await?;
            }
            let Some(piece) = body.next().await else { break };
            let piece = piece?;
            bytes += piece.len();
            ahead.push(piece);
        }
        self.blocking(move |_| put.take(&ahead)?.finish()).await
    }

    /// A stream of what an iterator reads on blocking threads, one piece ahead.
    fn stream<I>(&self, pieces: I, waits_for_bucket: fn(&I) -> bool) -> BlobStream
    where
        I: Iterator<Item = Result<Bytes>> + Send + 'static,
    {
        let service = self.clone();
        let pieces = futures_util::stream::unfold(Some(pieces), move |pieces| {
            let service = service.clone();
            async move {
                let mut pieces = pieces?;
                let permits = service.permits(waits_for_bucket(&pieces));
                let step = service.permitted(permits, move |_| {
                    let piece = pieces.next();
                    Ok((piece, pieces))
                });
                match step.await {
                    Ok((Some(Ok(piece)), pieces)) => Some((Ok(piece), Some(pieces))),
                    Ok((Some(Err(error)), _)) | Err(error) => Some((Err(error), None)),
                    Ok((None, _)) => None,
                }
            }
        });
        Box::pin(pieces)
    }
}

impl std::fmt::Debug for StoreService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreService").field("store", &self.store).finish_non_exhaustive()
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "use store", "the store is closed")
}

/// A put between two of its batches. To give one up is to wait for those of its chunks that are under way, which is
/// nothing to do on a thread that serves connections.
struct IdlePut(Option<BlobPut>);

impl IdlePut {
    fn take(mut self, batch: &[Bytes]) -> Result<Self> {
        let mut put = self.0.take().expect("there until it is finished");
        // A put that fails ends here, where it may wait.
        batch.iter().try_for_each(|piece| put.take(piece))?;
        self.0 = Some(put);
        Ok(self)
    }

    fn finish(mut self) -> Result<Digest> {
        self.0.take().expect("there until it is finished").finish()
    }
}

impl Drop for IdlePut {
    fn drop(&mut self) {
        let Some(put) = self.0.take() else { return };
        #[expect(
            clippy::disallowed_methods,
            reason = "it must not wait for a permit, as there is nobody who would wait with it"
        )]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(put));
        }
    }
}

impl Blobs for StoreService {
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(async move {
            match self.store.glance(namespace, hash, IN_PLACE_MAX as u32)? {
                Glance::Absent => return Ok(None),
                Glance::Content(content) => {
                    let digest = Digest { hash: *hash, size: content.len() as u64 };
                    let (offset, length) = range.within(digest.size);
                    let wanted = content.slice(offset as usize..(offset + length) as usize);
                    return Ok(Some(Blob { digest, body: stream_of(wanted) }));
                }
                Glance::NotAtOnce => {}
            }
            let (namespace, hash) = (namespace.clone(), *hash);
            let permits = self.permits(self.store.core().is_remote(&hash));
            let reader = self.permitted(permits, move |store| {
                let Some(mut reader) = store.get(&namespace, &hash, range)? else { return Ok(None) };
                // The first piece is read while the thread is here; often it is all there is.
                let first = if reader.waits_for_bucket() { None } else { reader.next().transpose()? };
                Ok(Some((first, reader)))
            });
            Ok(reader.await?.map(|(first, reader)| {
                let digest = reader.digest();
                let first = futures_util::stream::iter(first.map(Ok));
                let body: BlobStream = if reader.is_done() {
                    Box::pin(first)
                } else {
                    Box::pin(first.chain(self.stream(reader, BlobReader::waits_for_bucket)))
                };
                Blob { digest, body }
            }))
        })
    }

    fn put<'a>(
        &'a self,
        namespace: &'a Namespace,
        expected: Option<&'a ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> BoxFuture<'a, Result<Digest>> {
        Box::pin(async move {
            let mut body = body;
            let mut permit = None;
            let mut ahead = Vec::new();
            let mut length = 0;
            while let Some(piece) = body.next().await {
                let piece = piece?;
                length += piece.len();
                ahead.push(piece);
                if let Some(size) = size.filter(|size| length as u64 > *size) {
                    let message = format!("{size} bytes were announced and more came");
                    return Err(Error::invalid("put blob", message));
                }
                if length > chunk::MAX_LEN {
                    // What was read stays accounted for until its place is taken; who has that needs nothing more.
                    let _large = self.large_puts.acquire().await.map_err(|_| closed())?;
                    drop(permit);
                    return self.put_large(namespace, expected, size, ahead, body).await;
                }
                if length > IN_PLACE_MAX && permit.is_none() {
                    // Who holds a permit needs at most a place among the large puts, and those none of this, so that
                    // waiting for one always ends.
                    let most = size.unwrap_or(u64::MAX).min(chunk::MAX_LEN as u64);
                    let permits = u32::try_from(most.div_ceil(1024)).expect("a chunk has at most MAX_LEN bytes");
                    permit = Some(self.puts.acquire_many(permits).await.map_err(|_| closed())?);
                }
            }
            let content = match ahead.len() {
                1 => ahead.remove(0),
                _ => ahead.concat().into(),
            };
            self.put_small(namespace, expected, size, content).await
        })
    }

    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>> {
        Box::pin(async move {
            if hashes.len() <= HASHES_IN_PLACE_MAX as usize
                && let Some(missing) = self.store.glance_missing(namespace, hashes)?
            {
                return Ok(missing);
            }
            let (namespace, hashes) = (namespace.clone(), hashes.to_vec());
            self.blocking(move |store| store.missing(&namespace, &hashes)).await
        })
    }
}

impl Entries for StoreService {
    fn get<'a>(&'a self, address: &'a EntryAddress, access: Access) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(async move {
            if let Some(answer) = self.store.glance_entry(address, access, HASHES_IN_PLACE_MAX)? {
                return Ok(answer);
            }
            let address = address.clone();
            self.blocking(move |store| store.get_entry(&address, access)).await
        })
    }

    fn put<'a>(
        &'a self,
        address: &'a EntryAddress,
        entry: NewEntry,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<PutOutcome>> {
        Box::pin(async move {
            let large = matches!(&entry.body, EntryBody::Value(value) if value.len() > IN_PLACE_MAX);
            if large {
                let address = address.clone();
                return self.blocking(move |store| store.put_entry(&address, entry, condition)).await;
            }
            let (terms, op) = self.store.entry_write(address, entry, condition)?;
            self.commit(terms, op).await
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a EntryPrefix,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage>> {
        Box::pin(async move {
            let (prefix, after) = (prefix.clone(), after.map(str::to_owned));
            self.blocking(move |store| store.list_entries(&prefix, after.as_deref(), limit)).await
        })
    }

    fn delete<'a>(&'a self, address: &'a EntryAddress) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let address = address.clone();
            self.blocking(move |store| store.delete_entry(&address)).await
        })
    }
}

impl Readers for StoreService {
    fn note(&self, address: &EntryAddress, revision: u64, reader: &str) {
        self.store.note_reader(address, revision, reader);
    }

    fn readers<'a>(&'a self, entries: &'a [SeenEntry]) -> BoxFuture<'a, Result<Vec<Vec<Reader>>>> {
        let entries = entries.to_vec();
        Box::pin(self.blocking(move |store| store.readers(&entries)))
    }
}

impl Segments for StoreService {
    fn locate<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<Located>>> {
        Box::pin(async move {
            let (namespace, hashes) = (namespace.clone(), hashes.to_vec());
            self.blocking(move |store| store.locate(&namespace, &hashes)).await
        })
    }

    fn read(&self, segment: u64, range: ByteRange) -> BoxFuture<'_, Result<Option<BlobStream>>> {
        Box::pin(async move {
            let reader = self.blocking(move |store| store.read_segment(segment, range)).await?;
            Ok(reader.map(|reader| self.stream(reader, SegmentReader::waits_for_bucket)))
        })
    }

    fn receive<'a>(&'a self, part: &'a PartName, length: u64, body: BlobStream) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let part = part.clone();
            let mut receipt = self.blocking(move |store| store.begin_receipt(&part, length)).await?;
            let mut body = body;
            let (mut pieces, mut bytes) = (Vec::new(), 0);
            while let Some(piece) = body.next().await {
                let piece = piece?;
                bytes += piece.len();
                pieces.push(piece);
                if bytes >= AT_ONCE {
                    let batch = std::mem::take(&mut pieces);
                    bytes = 0;
                    receipt = self
                        .blocking(move |_| {
                            batch.iter().try_for_each(|piece| receipt.write(piece))?;
                            Ok(receipt)
                        })
                        .await?;
                }
            }
            self.blocking(move |_| {
                pieces.iter().try_for_each(|piece| receipt.write(piece))?;
                receipt.finish()
            })
            .await
        })
    }

    fn read_urls<'a>(
        &'a self,
        ranges: &'a [SegmentRange],
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>> {
        Box::pin(async move {
            if !self.store.has_bucket() {
                return Ok(vec![None; ranges.len()]);
            }
            let ranges = ranges.to_vec();
            self.blocking(move |store| store.read_urls(&ranges, lifetime)).await
        })
    }

    fn receive_url<'a>(
        &'a self,
        part: &'a PartName,
        length: u64,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<TransferUrl>>> {
        Box::pin(async move {
            if !self.store.has_bucket() {
                return Ok(None);
            }
            let part = part.clone();
            self.blocking(move |store| store.put_url(&part, length, lifetime)).await
        })
    }

    fn adopt<'a>(
        &'a self,
        namespace: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>> {
        Box::pin(async move {
            let (namespace, part) = (namespace.clone(), part.clone());
            let permits = self.permits(self.store.has_bucket());
            self.permitted(permits, move |store| store.adopt_part(&namespace, &part, length)).await
        })
    }

    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>> {
        Box::pin(async move {
            let upload = upload.cloned();
            self.blocking(move |store| store.waiting(upload.as_ref())).await
        })
    }

    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.store.has_bucket() {
                let upload = upload.clone();
                if let Err(error) = self.remote(move |store| store.discard_objects(&upload)).await {
                    tracing::debug!(%error, "objects of an upload that ended are left to the sweep");
                }
            }
            let upload = upload.clone();
            self.blocking(move |store| store.discard(&upload)).await
        })
    }
}

#[cfg(test)]
mod tests;
