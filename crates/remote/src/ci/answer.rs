//! Answers: from the wire's words to ours.

use bytes::Bytes;
use http::Response;
use larder_base::{ContentHash, Digest, Error, ErrorKind, HashFunction, Result, Timestamp};
use larder_proto::ci::{BlobAddress, ErrorAnswer, ErrorWord, LookupAnswer, SavedEntry};
use serde::de::DeserializeOwned;

use super::{Found, Lookup, ManifestAddress};

const OPERATION: &str = "read answer";

/// What to do where no server is.
pub(crate) const START_ONE: &str = "start one with `larder serve`, or set LARDER_URL";

/// An answer that a server of this protocol does not give.
pub(crate) fn unreadable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Failed, OPERATION, message)
        .with_hint("check that LARDER_URL is the address of a Larder server, and of this version or a newer one")
}

pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| unreadable(format!("the answer cannot be read: {error}")))
}

pub(super) fn hash(hex: &str) -> Result<ContentHash> {
    ContentHash::from_hex(HashFunction::TREE, hex)
        .map_err(|error| unreadable(format!("the answer holds a bad hash: {error}")))
}

/// Whether a 404 is the door's own: a path that nobody serves is another matter.
pub(crate) fn is_absence(body: &[u8]) -> bool {
    serde_json::from_slice::<ErrorAnswer>(body).is_ok_and(|answer| answer.error.kind == ErrorWord::NotFound)
}

/// The failure that an answer tells of.
pub(crate) fn failure(server: &str, answer: &Response<Bytes>) -> Error {
    let status = answer.status();
    let Ok(ErrorAnswer { error }) = serde_json::from_slice(answer.body()) else {
        // A proxy's own words, or no Larder at all.
        if status.is_server_error() {
            let message = format!("{server} answered {status}");
            return Error::new(ErrorKind::Unavailable, "ask server", message);
        }
        return unreadable(format!("{server} answered {status} and nothing that a Larder server says"));
    };
    let message = match error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message,
    };
    let kind = match error.kind {
        ErrorWord::Invalid | ErrorWord::NotFound | ErrorWord::Conflict => ErrorKind::Invalid,
        ErrorWord::TooLarge => ErrorKind::TooLarge,
        ErrorWord::Denied | ErrorWord::Expired => ErrorKind::Denied,
        ErrorWord::Full => ErrorKind::Full,
        ErrorWord::Unavailable => ErrorKind::Unavailable,
        ErrorWord::Corrupt => ErrorKind::Corrupt,
        // Whatever a newer server may mean by a new kind, it is not this client's doing if the status says so.
        _ if status.is_client_error() => ErrorKind::Invalid,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, "ask server", message)
}

pub(super) fn lookup(answer: LookupAnswer) -> Result<Lookup> {
    Ok(match answer {
        LookupAnswer::Hit(saved) => Lookup::Hit(Box::new(found(saved)?)),
        LookupAnswer::Miss(miss) => Lookup::Miss(miss.reason),
    })
}

pub(super) fn found(SavedEntry { entry, manifest }: SavedEntry) -> Result<Found> {
    let bad_name = |error| unreadable(format!("the answer holds a bad name: {error}"));
    Ok(Found {
        key: entry.key.parse().map_err(bad_name)?,
        scope: entry.scope.parse().map_err(bad_name)?,
        manifest: manifest_address(&manifest)?,
        content: hash(&entry.content)?,
        files: entry.files,
        bytes: entry.bytes,
        created: Timestamp::from_millis(entry.created_ms),
        restored: Timestamp::from_millis(entry.restored_ms),
        writer: entry.writer,
    })
}

fn manifest_address(blob: &BlobAddress) -> Result<ManifestAddress> {
    let digest = |hex: &str, size| Ok::<_, Error>(Digest { hash: hash(hex)?, size });
    Ok(ManifestAddress {
        digest: digest(&blob.hash, blob.size)?,
        chunks: blob.chunks.iter().map(|chunk| digest(&chunk.hash, chunk.size)).collect::<Result<_>>()?,
    })
}
