//! The storage traits. A tier is whatever holds blobs, entries or segments: the local store, a bucket, an upstream, memory.
//!
//! The traits have no default bodies, so that a wrapper which forgets a verb does not compile. Absence is a value.
//! Every verb names the namespace: a blob that one namespace put does not exist for another until that one has put it too.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use crate::{
    Access, ContentHash, Digest, Entry, EntryAddress, EntryPrefix, Error, ErrorKind, ListPage, Namespace, NewEntry,
    PutIf, PutOutcome, Result, Timestamp,
};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The bytes of a blob, in order, in pieces of at most 2 MiB.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Some bytes of a blob: from `offset`, at most `length` of them (`None`: to the end).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte wanted.
    pub offset: u64,
    /// How many bytes are wanted at most.
    pub length: Option<u64>,
}

impl ByteRange {
    /// All bytes.
    pub const ALL: Self = Self { offset: 0, length: None };

    /// The bytes of this range that a blob of `size` bytes has, as (offset, length).
    pub fn within(self, size: u64) -> (u64, u64) {
        let offset = self.offset.min(size);
        (offset, self.length.unwrap_or(u64::MAX).min(size - offset))
    }
}

/// A blob being read.
pub struct Blob {
    /// Its name, with the size of the whole of it.
    pub digest: Digest,
    /// The bytes of the range that was asked for.
    pub body: BlobStream,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Holds blobs.
pub trait Blobs: Send + Sync {
    /// A range of a blob; `None` when the namespace has no such blob. What is served hashes to its name, or the stream
    /// ends in [`ErrorKind::Corrupt`] before the bad bytes. It stays readable for the retention time.
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>>;

    /// Stores a blob. Bytes are verified as they flow in: content that does not hash to `expected` (where the caller knows
    /// the hash) or has not `size` bytes (where it knows the size) is [`ErrorKind::Invalid`] and leaves nothing visible.
    /// When this returns the blob is durable.
    fn put<'a>(
        &'a self,
        namespace: &'a Namespace,
        expected: Option<&'a ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> BoxFuture<'a, Result<Digest>>;

    /// Those of `hashes` that the namespace does not have, in the order given. The rest stays readable for the
    /// retention time.
    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>>;
}

/// Holds entries.
pub trait Entries: Send + Sync {
    /// The entry at an address, if it and everything it links to is present; an incomplete one is removed. What is
    /// returned stays readable, links included, for the retention time.
    fn get<'a>(&'a self, address: &'a EntryAddress, access: Access) -> BoxFuture<'a, Result<Option<Entry>>>;

    /// Writes an entry. When this returns [`PutOutcome::Stored`] the entry and its value are durable. A value, attributes
    /// or a writer beyond their limits are [`ErrorKind::TooLarge`].
    fn put<'a>(
        &'a self,
        address: &'a EntryAddress,
        entry: NewEntry,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<PutOutcome>>;

    /// Entries whose key begins with a prefix, newest first and of one moment the later written first: at most `limit` of
    /// them, from `after` (a page's `next`; another text is [`ErrorKind::Invalid`]). Completeness is not looked at, and
    /// nothing is touched.
    fn list<'a>(
        &'a self,
        prefix: &'a EntryPrefix,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<ListPage>>;

    /// Removes an entry; says whether there was one.
    fn delete<'a>(&'a self, address: &'a EntryAddress) -> BoxFuture<'a, Result<bool>>;
}

/// Direct transfer: moves whole segments between a client and the place that keeps them, so that a large body crosses
/// no API. See `docs/design/001-direct-transfer.md`.
pub trait Segments: Send + Sync {
    /// Where the records of these blobs lie now, in the order asked, leaving out what the namespace does not have and
    /// blobs larger than one chunk. They stay there, readable, for the retention time.
    fn locate<'a>(&'a self, namespace: &'a Namespace, hashes: &'a [ContentHash])
    -> BoxFuture<'a, Result<Vec<Located>>>;

    /// Bytes of a segment as they lie; `None` when it is gone.
    fn read(&self, segment: u64, range: ByteRange) -> BoxFuture<'_, Result<Option<BlobStream>>>;

    /// Receives the part of an upload: exactly `length` bytes, in the segment format, unverified. A second receipt of
    /// the same part replaces the first.
    fn receive<'a>(&'a self, part: &'a PartName, length: u64, body: BlobStream) -> BoxFuture<'a, Result<()>>;

    /// Where clients read these bytes without passing through here, in the order asked, for about so long; `None` for
    /// those that only [`Segments::read`] has. A URL shows nothing but its range.
    fn read_urls<'a>(
        &'a self,
        ranges: &'a [SegmentRange],
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<TransferUrl>>>>;

    /// Where a client puts a part of exactly `length` bytes without passing through here, for about so long; `None` when
    /// it is to be [received](Segments::receive). What was put there waits as if it had been received.
    fn receive_url<'a>(
        &'a self,
        part: &'a PartName,
        length: u64,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<Option<TransferUrl>>>;

    /// Verifies a part of exactly `length` bytes, record by record, and makes its chunks present in the namespace, durably.
    /// `None` when no such part waits: never received, adopted before, or discarded. A bad record or another length is
    /// [`ErrorKind::Invalid`] and nothing of the part becomes visible.
    fn adopt<'a>(
        &'a self,
        namespace: &'a Namespace,
        part: &'a PartName,
        length: u64,
    ) -> BoxFuture<'a, Result<Option<Adopted>>>;

    /// The parts that were received and wait, of one upload or of all. Those that were put by URL are not told: whoever
    /// gave the URL out knows them.
    fn waiting<'a>(&'a self, upload: Option<&'a UploadId>) -> BoxFuture<'a, Result<Vec<PartName>>>;

    /// Forgets the parts of an upload that were not adopted, however they came.
    fn discard<'a>(&'a self, upload: &'a UploadId) -> BoxFuture<'a, Result<()>>;
}

/// Moves many chunks in one body, both ways, between this Larder and one above it. See `docs/design/004-node.md`.
///
/// It is not [`Segments`]: what is far away has no places to show, and asks for the namespace with every byte.
pub trait Bulk: Send + Sync {
    /// The records of these blobs that can be fetched, in the order in which they are best fetched; what the namespace does
    /// not have, and blobs larger than one chunk, are left out. They can be fetched for the retention time.
    fn records<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<RecordLength>>>;

    /// A segment of the records of these blobs, in the order given. One that is gone is left out. What comes is unverified.
    fn fetch<'a>(&'a self, namespace: &'a Namespace, hashes: &'a [ContentHash]) -> BoxFuture<'a, Result<BlobStream>>;

    /// Sends a segment, whose chunks are durable and present in the namespace when this returns. A bad record is
    /// [`ErrorKind::Invalid`], and then none is present.
    fn send<'a>(&'a self, namespace: &'a Namespace, segment: Bytes) -> BoxFuture<'a, Result<Adopted>>;
}

/// How long the record of a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLength {
    /// The blob.
    pub digest: Digest,
    /// The bytes of the record, header included.
    pub length: u64,
}

/// Where the record of a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The blob.
    pub digest: Digest,
    /// The segment.
    pub segment: u64,
    /// Where the record begins in it, header included.
    pub offset: u64,
    /// The bytes of the record, header included.
    pub length: u64,
}

/// Some bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRange {
    /// The segment.
    pub segment: u64,
    /// The first byte.
    pub offset: u64,
    /// How many bytes; at least 1.
    pub length: u64,
}

/// A URL that carries the right to one transfer. It is a secret until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferUrl {
    /// The URL.
    pub url: String,
    /// Headers that must be sent as they are: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Until when the transfer must have begun.
    pub expires: Timestamp,
}

impl fmt::Debug for TransferUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferUrl").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// What adopting a part added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Records verified.
    pub records: u64,
    /// Bytes of the part.
    pub stored_bytes: u64,
    /// Bytes of the chunks before compression.
    pub raw_bytes: u64,
}

/// The name of an upload: 32 lower-case hexadecimal digits, made of 16 random bytes by whoever begins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Arc<str>);

impl UploadId {
    /// The id made of these random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }

    /// The id as text; safe as the name of a file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.into()))
        } else {
            Err(Error::invalid("read upload id", "an upload id is 32 lower-case hexadecimal digits"))
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One part of an upload: a segment of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartName {
    /// The upload.
    pub upload: UploadId,
    /// Which of its parts, from 1; or [`PartName::PUT_BY`].
    pub number: u32,
}

impl PartName {
    /// The number of a part that no client sends: what a node fetched and puts by, to be read again much later, if at all.
    pub const PUT_BY: u32 = 0;
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.upload, self.number)
    }
}

/// A stream of bytes that are already here.
pub fn stream_of(bytes: Bytes) -> BlobStream {
    struct Once(Option<Bytes>);
    impl Stream for Once {
        type Item = Result<Bytes>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
            Poll::Ready(self.0.take().filter(|bytes| !bytes.is_empty()).map(Ok))
        }
    }
    Box::pin(Once(Some(bytes)))
}

/// All bytes of a stream, at most `limit` of them.
///
/// # Errors
/// [`ErrorKind::TooLarge`] when there are more, and whatever the stream fails with.
pub async fn collect(mut body: BlobStream, limit: usize) -> Result<Bytes> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(piece) = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
        let piece = piece?;
        if all.len() + first.as_ref().map_or(0, Bytes::len) + piece.len() > limit {
            return Err(Error::new(ErrorKind::TooLarge, "read body", format!("more than {limit} bytes")));
        }
        // A value of one piece, the usual case, is handed on without a copy.
        match first.take() {
            None if all.is_empty() => first = Some(piece),
            None => all.extend_from_slice(&piece),
            Some(earlier) => {
                all.extend_from_slice(&earlier);
                all.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}
