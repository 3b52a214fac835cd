//! What a request brings, parsed to types at once.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::request::Parts;
use larder_base::{ContentHash, Digest, EntryAddress, ErrorKind, Namespace, UploadId};
use larder_cache::{Caller, is_own};
use larder_door::credential_of;
use larder_proto::tier::{Address, BlobName, FRAME_PARTS_MAX_BYTES, HASH_LEN, HASHES_MAX, split_hashes};
use serde::de::DeserializeOwned;

use crate::Tier;
use crate::failure::Failure;

/// The most bytes of a JSON body.
const JSON_MAX_BYTES: usize = 64 * 1024;

/// Who asks, as their token says, in the namespace that the path names.
pub(crate) struct Asker(pub(crate) Caller);

impl FromRequestParts<Tier> for Asker {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, tier: &Tier) -> Result<Self, Failure> {
        let name = segment(parts, "namespace").await?.unwrap_or_default();
        let credential = credential_of(&parts.headers);
        let caller = tier.cache.authorize(credential.as_ref(), &name).map_err(|error| match credential {
            None if error.kind() == ErrorKind::Denied => Failure::unauthenticated(error),
            _ => error.into(),
        })?;
        if is_own(caller.namespace()) {
            return Err(Failure::invalid("a namespace of ~ and a word belongs to one Larder alone"));
        }
        Ok(Self(caller))
    }
}

/// The hash that the path names, if it names one.
pub(crate) struct Named(pub(crate) Option<ContentHash>);

impl FromRequestParts<Tier> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Tier) -> Result<Self, Failure> {
        segment(parts, "hash").await?.map(|text| hash_of(&text)).transpose().map(Self)
    }
}

/// The upload that the path names. What is no id names no upload.
pub(crate) struct Put(pub(crate) UploadId);

impl FromRequestParts<Tier> for Put {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Tier) -> Result<Self, Failure> {
        let id = segment(parts, "upload").await?.unwrap_or_default().parse();
        id.map(Self).map_err(|_| no_such_upload())
    }
}

/// Says the same of an upload that never was and of one that belongs to somebody else.
pub(crate) fn no_such_upload() -> Failure {
    Failure::not_found("there is no such upload; send the segment itself")
}

async fn segment(parts: &mut Parts, name: &str) -> Result<Option<String>, Failure> {
    let segments = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    let Path(mut segments) = segments.map_err(|_| Failure::invalid("the path is not valid UTF-8"))?;
    Ok(segments.remove(name))
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Tier> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Tier) -> Result<Self, Failure> {
        let body = read(request.into_body(), JSON_MAX_BYTES).await?;
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| Failure::invalid(format!("the body is not the JSON expected here: {error}")))
    }
}

/// A body of hashes, at most [`HASHES_MAX`].
pub(crate) struct Hashes(pub(crate) Vec<ContentHash>);

impl FromRequest<Tier> for Hashes {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Tier) -> Result<Self, Failure> {
        let body = read(request.into_body(), HASHES_MAX * HASH_LEN).await?;
        let hashes = split_hashes(&body).ok_or_else(|| Failure::invalid("the body must be hashes of 33 bytes each"))?;
        hashes.map(known).collect::<Result<_, _>>().map(Self)
    }
}

/// A body that is a frame, its value of at most one chunk and a byte: one that is too large is the tier's to refuse.
pub(crate) struct Framed(pub(crate) Bytes);

impl FromRequest<Tier> for Framed {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Tier) -> Result<Self, Failure> {
        let limit = 8 + FRAME_PARTS_MAX_BYTES + larder_base::chunk::MAX_LEN + 1;
        read(request.into_body(), limit).await.map(Self)
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Failure> {
    Ok(larder_base::collect(larder_door::stream_of_body(body), limit).await?)
}

/// A hash as it crosses the wire.
pub(crate) fn known(hash: &[u8; HASH_LEN]) -> Result<ContentHash, Failure> {
    ContentHash::from_key(hash).ok_or_else(|| Failure::invalid("a hash of an unknown function"))
}

/// A hash of 66 hexadecimal digits.
pub(crate) fn hash_of(text: &str) -> Result<ContentHash, Failure> {
    let wrong = || Failure::invalid("a hash is 66 hexadecimal digits, the first two of which name its function");
    let (code, hex) = text.split_at_checked(2).ok_or_else(wrong)?;
    let code = u8::from_str_radix(code, 16).map_err(|_| wrong())?;
    let function = larder_base::HashFunction::from_code(code).ok_or_else(wrong)?;
    ContentHash::from_hex(function, hex).map_err(|_| wrong())
}

/// The name of a blob.
pub(crate) fn digest_of(name: &BlobName) -> Result<Digest, Failure> {
    Ok(Digest { hash: hash_of(&name.hash)?, size: name.size })
}

/// An address in the caller's namespace.
pub(crate) fn address_of(namespace: &Namespace, address: &Address) -> Result<EntryAddress, Failure> {
    Ok(EntryAddress {
        namespace: namespace.clone(),
        scope: address.scope.parse()?,
        door: address.door.parse()?,
        key: address.key.parse()?,
    })
}
