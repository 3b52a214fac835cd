//! Segments of the node: those that are here, and planned ones whose records are fetched when they are read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use larder_base::{
    Adopted, BlobStream, BoxFuture, ByteRange, ContentHash, Error, ErrorKind, Located, Namespace, PartName, Result,
    SegmentRange, Segments, TransferUrl, UploadId,
};
use parking_lot::Mutex;

use super::early::Names;
use super::plan::{Plans, Run};
use super::{ANSWER, Node};
use crate::cache::is_own;

/// The most bytes of a planned segment that are read at once: they are in memory until they are kept.
const RUN_MAX_BYTES: u64 = 64 << 20;

impl Node {
    async fn places(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<Vec<Located>> {
        let inner = &self.inner;
        self.prove(namespace, hashes).await;
        let here = inner.local.segments.locate(namespace, hashes).await?;
        if is_own(namespace) || !inner.circuit.is_closed() {
            return Ok(here);
        }
        let mut places: HashMap<ContentHash, Located> = here.iter().map(|place| (place.digest.hash, *place)).collect();
        let mut seen = HashSet::new();
        let absent: Vec<_> =
            hashes.iter().filter(|hash| !places.contains_key(hash) && seen.insert(**hash)).copied().collect();
        if absent.is_empty() {
            return Ok(here);
        }
        // Those that are here but too large for one record have no place anywhere.
        let absent = inner.local.blobs.missing(namespace, &absent).await?;
        let planned = inner.plans.known(namespace, &absent);
        places.extend(planned.iter().map(|place| (place.digest.hash, *place)));
        let unknown: Vec<_> = absent.into_iter().filter(|hash| !places.contains_key(hash)).collect();
        if !unknown.is_empty()
            && let Some(records) = inner.circuit.ask(ANSWER, inner.above.bulk.records(namespace, &unknown)).await
        {
            let planned = inner.plans.add(namespace, &unknown, &records);
            places.extend(planned.iter().map(|place| (place.digest.hash, *place)));
        }
        Ok(hashes.iter().filter_map(|hash| places.get(hash)).copied().collect())
    }

    async fn read_planned(&self, segment: u64, range: ByteRange) -> Result<Option<BlobStream>> {
        let inner = &self.inner;
        let Some(run) = inner.plans.run(segment, range) else { return Ok(None) };
        if run.bytes() > RUN_MAX_BYTES {
            let message = format!("{} bytes were asked for at once; {RUN_MAX_BYTES} are the most", run.bytes());
            return Err(Error::new(ErrorKind::TooLarge, "read records", message));
        }
        let name = (run.namespace.clone(), run.hashes()[0]);
        // Whoever has it to fetch passes each record on when it has come, so a reader that waits gets nothing meanwhile;
        // after a while it fetches for itself, rather than seem dead to its client.
        let turn = tokio::time::timeout(ANSWER, inner.flights.take(name)).await.ok();
        if let Some(here) = self.read_here(&run).await? {
            return Ok(Some(here));
        }
        if !inner.circuit.is_closed() {
            inner.plans.forget(&run);
            return Ok(None);
        }
        self.fetch(run, turn).await.map(Some)
    }

    /// The records of a run from the local store, if all have come and are as long as was said.
    async fn read_here(&self, run: &Run) -> Result<Option<BlobStream>> {
        let (local, hashes) = (self.inner.local.segments.clone(), run.hashes());
        self.prove(&run.namespace, &hashes).await;
        let located = local.locate(&run.namespace, &hashes).await?;
        let is_same = located.len() == run.records.len()
            && located
                .iter()
                .zip(&run.records)
                .all(|(place, record)| place.digest == record.digest && place.length == record.length);
        if !is_same {
            if located.len() == run.records.len() {
                // They are here in another form; who locates them again gets that.
                self.inner.plans.forget(run);
            }
            return Ok(None);
        }
        let read = move |place: Located| {
            let local = local.clone();
            async move {
                let range = ByteRange { offset: place.offset, length: Some(place.length) };
                let moved = || Error::new(ErrorKind::Unavailable, "read records", "they have moved; locate them again");
                local.read(place.segment, range).await?.ok_or_else(moved)
            }
        };
        Ok(Some(stream::iter(located).then(read).try_flatten().boxed()))
    }
}

impl Segments for Node {
    fn locate<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<Located>>> {
        Box::pin(self.places(namespace, hashes))
    }

    fn read(&self, segment: u64, range: ByteRange) -> BoxFuture<'_, Result<Option<BlobStream>>> {
        if Plans::is_planned(segment) {
            Box::pin(self.read_planned(segment, range))
        } else {
            self.inner.local.segments.read(segment, range)
        }
    }

    fn receive<'a>(&'a self, part: &'a PartName, length: u64, body: BlobStream) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let names = Arc::new(Mutex::new(Names::default()));
            let seen = names.clone();
            let body = body.inspect_ok(move |piece| seen.lock().see(piece)).boxed();
            self.inner.local.segments.receive(part, length, body).await?;
            let chunks = std::mem::take(&mut *names.lock()).chunks();
            self.inner.early.received(part, chunks);
            Ok(())
        })
    }

    fn read_urls<'a>(
        &'a self,
        ranges: &'a [SegmentRange],
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>> {
        Box::pin(async move {
            let here: Vec<_> = ranges.iter().filter(|range| !Plans::is_planned(range.segment)).copied().collect();
            let mut urls = self.inner.local.segments.read_urls(&here, lifetime).await?.into_iter();
            // What is planned is read here: it is to be checked and kept on the way.
            let url =
                |range: &SegmentRange| if Plans::is_planned(range.segment) { None } else { urls.next().flatten() };
            Ok(ranges.iter().map(url).collect())
        })
    }

    fn receive_url<'a>(
        &'a self,
        part: &'a PartName,
        length: u64,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<TransferUrl>>> {
        self.inner.local.segments.receive_url(part, length, lifetime)
    }

    fn adopt<'a>(
        &'a self,
        namespace: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>> {
        Box::pin(async move {
            let inner = &self.inner;
            let adopted = inner.local.segments.adopt(namespace, part, length).await;
            if !matches!(adopted, Ok(Some(_))) || is_own(namespace) {
                inner.early.forget(part);
            } else if inner.early.adopted(namespace, part, length) {
                self.wake_pushing();
            }
            adopted
        })
    }

    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>> {
        Box::pin(async move {
            let waiting = self.inner.local.segments.waiting(upload).await?;
            // What is to be proved is of no upload, and is not to be swept as if it were of one that has ended.
            Ok(waiting.into_iter().filter(|part| !self.inner.unproved.is_ours(part)).collect())
        })
    }

    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>> {
        self.inner.early.forget_upload(upload);
        self.inner.local.segments.discard(upload)
    }
}
