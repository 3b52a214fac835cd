//! Blobs of the node: what is here, else what is above, kept here before a byte of it is served.

use std::time::Duration;

use larder_base::{Blob, BlobStream, Blobs, BoxFuture, ByteRange, ContentHash, Digest, ErrorKind, Namespace, Result};

use super::{ANSWER, Node, add};
use crate::cache::is_own;

/// The slowest pace at which a client is kept waiting for bytes from above, in bytes a second.
const PACE: u64 = 256 << 10;

/// How long so many bytes may take to come.
pub(super) fn patience(bytes: u64) -> Duration {
    Duration::from_secs(10 + bytes / PACE)
}

impl Node {
    /// Brings a blob here, once however many ask; says whether it is here now.
    pub(super) async fn bring(&self, namespace: &Namespace, hash: &ContentHash) -> Result<bool> {
        if is_own(namespace) || !self.inner.circuit.is_closed() {
            return Ok(false);
        }
        let _turn = self.inner.loads.take((namespace.clone(), *hash)).await;
        self.bring_alone(namespace, hash).await
    }

    async fn bring_alone(&self, namespace: &Namespace, hash: &ContentHash) -> Result<bool> {
        let inner = &self.inner;
        if inner.local.blobs.missing(namespace, &[*hash]).await?.is_empty() {
            return Ok(true);
        }
        let asked = inner.circuit.ask(ANSWER, inner.above.blobs.get(namespace, hash, ByteRange::ALL)).await;
        let Some(Some(blob)) = asked else { return Ok(false) };
        let size = blob.digest.size;
        let keeping = inner.local.blobs.put(namespace, Some(hash), Some(size), blob.body);
        match tokio::time::timeout(patience(size), keeping).await {
            Ok(Ok(_)) => {
                add(&inner.counts.bytes_down, size);
                Ok(true)
            }
            // Here the store says so of bytes that came from above.
            Ok(Err(error)) if error.kind() == ErrorKind::Invalid => {
                add(&inner.counts.bad, 1);
                inner.circuit.failed(&error);
                Ok(false)
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Unavailable => {
                inner.circuit.failed(&error);
                Ok(false)
            }
            // A local store that is full or fails is not the upstream's fault, nor the client's.
            Ok(Err(error)) => {
                tracing::debug!(%error, "a blob from above could not be kept");
                Ok(false)
            }
            Err(_) => {
                let message = format!("{size} bytes of a blob did not come in time");
                inner.circuit.failed(&larder_base::Error::new(ErrorKind::Unavailable, "fetch blob", message));
                Ok(false)
            }
        }
    }
}

impl Blobs for Node {
    fn get<'a>(
        &'a self,
        namespace: &'a Namespace,
        hash: &'a ContentHash,
        range: ByteRange,
    ) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(async move {
            let local = &self.inner.local.blobs;
            self.prove(namespace, std::slice::from_ref(hash)).await;
            if let Some(blob) = local.get(namespace, hash, range).await? {
                return Ok(Some(blob));
            }
            if self.bring(namespace, hash).await? { local.get(namespace, hash, range).await } else { Ok(None) }
        })
    }

    fn put<'a>(
        &'a self,
        namespace: &'a Namespace,
        expected: Option<&'a ContentHash>,
        size: Option<u64>,
        body: BlobStream,
    ) -> BoxFuture<'a, Result<Digest>> {
        self.inner.local.blobs.put(namespace, expected, size, body)
    }

    /// What is missing here: a client on this machine sends it faster than it would come from above.
    fn missing<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<ContentHash>>> {
        Box::pin(async move {
            self.prove(namespace, hashes).await;
            self.inner.local.blobs.missing(namespace, hashes).await
        })
    }
}
