//! Blobs in memory.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use larder_base::{
    Blob, BlobStream, Blobs, BoxFuture, ByteRange, ContentHash, Digest, Error, Hasher, Namespace, Result,
};

use super::{Memory, digest_of_kept};

/// The longest piece that a [`BlobStream`] may hold.
const PIECE_MAX_LEN: usize = 2 * 1024 * 1024;

impl Blobs for Memory {
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(async move {
            let Some(content) = self.state.lock().blob(namespace, hash).cloned() else { return Ok(None) };
            Ok(Some(Blob { digest: digest_of_kept(*hash, &content), body: stream_range(&content, range) }))
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
            // Read even when the bytes are known: only who has them may learn that they were.
            let (digest, content) = receive_verified(expected, size, body).await?;
            self.state.lock().keep(namespace, digest.hash, content);
            Ok(digest)
        })
    }

    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>> {
        Box::pin(async move { Ok(self.state.lock().missing(namespace, hashes)) })
    }
}

async fn receive_verified(
    expected: Option<&ContentHash>,
    size: Option<u64>,
    mut body: BlobStream,
) -> Result<(Digest, Bytes)> {
    let refused = |message| Err(Error::invalid("put blob", message));
    let mut hasher = Hasher::expecting(expected);
    let mut content = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        hasher.update(&piece);
        content.extend_from_slice(&piece);
        // A stream without an end must not be read to its end.
        if let Some(size) = size.filter(|size| content.len() as u64 > *size) {
            return refused(format!("more than the {size} bytes announced were sent"));
        }
    }
    let found = hasher.finish();
    if let Some(expected) = expected.filter(|expected| **expected != found.hash) {
        return refused(format!("the bytes sent as {expected} hash to {}", found.hash));
    }
    if let Some(size) = size.filter(|size| *size != found.size) {
        return refused(format!("{} of the {size} bytes announced were sent", found.size));
    }
    Ok((found, content.freeze()))
}

/// The bytes of `content` that lie in `range`, in pieces as short as a [`BlobStream`] asks for.
pub(super) fn stream_range(content: &Bytes, range: ByteRange) -> BlobStream {
    let (offset, length) = range.within(content.len() as u64);
    // Both are at most the length of the content, which is in memory.
    let mut rest = content.slice(offset as usize..(offset + length) as usize);
    Box::pin(stream::iter(std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(PIECE_MAX_LEN));
        (!piece.is_empty()).then_some(Ok(piece))
    })))
}
