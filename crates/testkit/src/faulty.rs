//! A tier that fails when a test says so.

mod gate;
mod plan;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_base::{
    Access, Adopted, Blob, BlobStream, Blobs, BoxFuture, ByteRange, ContentHash, Digest, Entries, Entry, EntryAddress,
    EntryPrefix, ListPage, Located, Namespace, NewEntry, PartName, PutIf, PutOutcome, Result, SegmentRange, Segments,
    TransferUrl, UploadId,
};

pub use gate::Gate;
pub use plan::{Fault, Faults, Verb};

/// Wraps a tier and breaks the calls that its [`Faults`] name; all others pass as they are.
///
/// It implements whichever of the three traits the inner tier does, trait objects included. Clones share the faults.
pub struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

impl<T: ?Sized> Faulty<T> {
    /// Wraps `inner`; keep a clone of `faults` to break it later.
    pub fn new(inner: Arc<T>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl<T: ?Sized> Clone for Faulty<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), faults: self.faults.clone() }
    }
}

impl<T: ?Sized> fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("faults", &self.faults).finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Blobs + ?Sized> Blobs for Faulty<T> {
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(async move {
            let passage = self.faults.enter_with_body(Verb::GetBlob).await?;
            let blob = passage.leave(self.inner.get(namespace, hash, range).await)?;
            Ok(blob.map(|blob| Blob { digest: blob.digest, body: passage.tear(blob.body) }))
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
            let passage = self.faults.enter_with_body(Verb::PutBlob).await?;
            let body = passage.tear(body);
            passage.leave(self.inner.put(namespace, expected, size, body).await)
        })
    }

    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::MissingBlobs).await?;
            passage.leave(self.inner.missing(namespace, hashes).await)
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Entries + ?Sized> Entries for Faulty<T> {
    fn get<'a>(&'a self, address: &'a EntryAddress, access: Access) -> BoxFuture<'a, Result<Option<Entry>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::GetEntry).await?;
            passage.leave(self.inner.get(address, access).await)
        })
    }

    fn put<'a>(
        &'a self,
        address: &'a EntryAddress,
        entry: NewEntry,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<PutOutcome>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::PutEntry).await?;
            passage.leave(self.inner.put(address, entry, condition).await)
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a EntryPrefix,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::ListEntries).await?;
            passage.leave(self.inner.list(prefix, after, limit).await)
        })
    }

    fn delete<'a>(&'a self, address: &'a EntryAddress) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::DeleteEntry).await?;
            passage.leave(self.inner.delete(address).await)
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Segments + ?Sized> Segments for Faulty<T> {
    fn locate<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<Located>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::Locate).await?;
            passage.leave(self.inner.locate(namespace, hashes).await)
        })
    }

    fn read(&self, segment: u64, range: ByteRange) -> BoxFuture<'_, Result<Option<BlobStream>>> {
        Box::pin(async move {
            let passage = self.faults.enter_with_body(Verb::ReadSegment).await?;
            let body = passage.leave(self.inner.read(segment, range).await)?;
            Ok(body.map(|body| passage.tear(body)))
        })
    }

    fn receive<'a>(&'a self, part: &'a PartName, length: u64, body: BlobStream) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let passage = self.faults.enter_with_body(Verb::ReceivePart).await?;
            let body = passage.tear(body);
            passage.leave(self.inner.receive(part, length, body).await)
        })
    }

    fn read_urls<'a>(
        &'a self,
        ranges: &'a [SegmentRange],
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::ReadUrls).await?;
            passage.leave(self.inner.read_urls(ranges, lifetime).await)
        })
    }

    fn receive_url<'a>(
        &'a self,
        part: &'a PartName,
        length: u64,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<TransferUrl>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::ReceiveUrl).await?;
            passage.leave(self.inner.receive_url(part, length, lifetime).await)
        })
    }

    fn adopt<'a>(
        &'a self,
        namespace: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::AdoptPart).await?;
            passage.leave(self.inner.adopt(namespace, part, length).await)
        })
    }

    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::WaitingParts).await?;
            passage.leave(self.inner.waiting(upload).await)
        })
    }

    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let passage = self.faults.enter(Verb::DiscardParts).await?;
            passage.leave(self.inner.discard(upload).await)
        })
    }
}

#[cfg(test)]
mod tests;
