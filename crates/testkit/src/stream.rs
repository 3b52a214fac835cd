//! Bodies that arrive well, badly or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use larder_base::{BlobStream, Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// `content` in pieces of `len` bytes, the last perhaps shorter.
///
/// # Panics
/// When `len` is zero.
pub fn in_pieces(content: &Bytes, len: usize) -> BlobStream {
    Box::pin(stream::iter(pieces(content, len)))
}

/// `content` in pieces of `len` bytes with an empty piece before each, as some transports give.
///
/// # Panics
/// When `len` is zero.
pub fn with_empty_pieces(content: &Bytes, len: usize) -> BlobStream {
    Box::pin(stream::iter(pieces(content, len).flat_map(|piece| [Ok(Bytes::new()), piece])))
}

/// `content` in pieces of 64 KiB, and then a failure of this kind instead of an end.
pub fn then_failing(content: &Bytes, kind: ErrorKind) -> BlobStream {
    let failure = Err(Error::new(kind, "read body", "the sender failed on request of a test"));
    Box::pin(stream::iter(pieces(content, 64 * 1024).chain([failure])))
}

/// `content` in pieces of 64 KiB, and then nothing: no end, no failure. The receiver learns when all of `content` was
/// taken, so that a test can hang up at that moment.
pub fn then_stalling(content: &Bytes) -> (BlobStream, oneshot::Receiver<()>) {
    let (reached, stalled) = oneshot::channel();
    let stall = stream::once(async move {
        // Nobody may be listening; then there is nobody to tell.
        let _ = reached.send(());
        std::future::pending().await
    });
    (Box::pin(stream::iter(pieces(content, 64 * 1024)).chain(stall)), stalled)
}

/// `body`, and the number of its bytes that were taken so far.
pub fn counted(body: BlobStream) -> (BlobStream, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let counted = body.inspect(move |piece| {
        let len = piece.as_ref().map_or(0, Bytes::len);
        count.fetch_add(len as u64, Ordering::SeqCst);
    });
    (Box::pin(counted), taken)
}

fn pieces(content: &Bytes, len: usize) -> impl Iterator<Item = Result<Bytes>> + Send + use<> {
    assert!(len > 0, "a piece has at least one byte");
    let mut rest = content.clone();
    std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(len));
        (!piece.is_empty()).then_some(Ok(piece))
    })
}
