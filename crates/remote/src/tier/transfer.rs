//! Many chunks in one body.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use larder_base::{
    Adopted, BlobStream, BoxFuture, Bulk, ContentHash, Digest, Error, ErrorKind, Namespace, RecordLength, Result, chunk,
};
use larder_proto::tier::{HASHES_MAX, Place};

use super::{UpstreamTier, known, listed, unreadable};

impl UpstreamTier {
    async fn locate(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Result<Vec<RecordLength>> {
        let mut records = Vec::new();
        for batch in hashes.chunks(HASHES_MAX) {
            let answer = self.ask(&self.call(Method::POST, namespace, "locate", listed(batch))).await?;
            let places = Place::split(&answer).ok_or_else(|| unreadable("the list of records has a broken length"))?;
            for Place { hash, size, length } in places {
                records.push(RecordLength { digest: Digest { hash: known(&hash)?, size }, length });
            }
        }
        Ok(records)
    }
}

impl Bulk for UpstreamTier {
    fn records<'a>(
        &'a self,
        namespace: &'a Namespace,
        hashes: &'a [ContentHash],
    ) -> BoxFuture<'a, Result<Vec<RecordLength>>> {
        Box::pin(self.locate(namespace, hashes))
    }

    fn fetch<'a>(&'a self, namespace: &'a Namespace, hashes: &'a [ContentHash]) -> BoxFuture<'a, Result<BlobStream>> {
        Box::pin(self.fetch_segment(namespace, hashes))
    }

    fn send<'a>(&'a self, namespace: &'a Namespace, segment: Bytes) -> BoxFuture<'a, Result<Adopted>> {
        Box::pin(self.send_segment(namespace, segment))
    }
}

/// The stream, which fails when it ends early or goes on for too long.
pub(super) fn exactly(body: BlobStream, length: u64) -> BlobStream {
    let wrong = |what: &str| Err(Error::new(ErrorKind::Unavailable, "read blob", format!("the answer is {what}")));
    Box::pin(stream::unfold(Some((body, length)), move |state| async move {
        let (mut body, left) = state?;
        match body.next().await {
            None if left == 0 => None,
            None => Some((wrong("too short"), None)),
            Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => Some((Ok(piece), Some((body, left)))),
                None => Some((wrong("too long"), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
        }
    }))
}

/// The stream, its last piece held back until it is known to be the last: nothing is whole of which the end failed.
pub(super) fn held_back(body: BlobStream) -> BlobStream {
    Box::pin(stream::unfold((body, None), |(mut body, mut held)| async move {
        loop {
            match (body.next().await, held.take()) {
                (None, None) => return None,
                (None, Some(last)) => return Some((Ok(last), (body, None))),
                (Some(Ok(piece)), None) => held = Some(piece),
                (Some(Ok(piece)), Some(earlier)) => return Some((Ok(earlier), (body, Some(piece)))),
                (Some(Err(error)), _) => return Some((Err(error), (body, None))),
            }
        }
    }))
}

/// The stream in pieces that are no longer than a stream of a blob may have.
pub(super) fn in_pieces(body: BlobStream) -> BlobStream {
    Box::pin(body.flat_map(|piece| {
        let pieces: Vec<Result<Bytes>> = match piece {
            Ok(mut piece) => {
                let mut pieces = Vec::with_capacity(1);
                while piece.len() > chunk::MAX_LEN {
                    pieces.push(Ok(piece.split_to(chunk::MAX_LEN)));
                }
                pieces.push(Ok(piece));
                pieces
            }
            Err(error) => vec![Err(error)],
        };
        stream::iter(pieces)
    }))
}
