//! Blobs by their hash.

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http::header::RANGE;
use larder_base::{Access, ByteRange, ContentHash, Error, Result};
use larder_cache::Caller;
use larder_door::RangeHeader;

use crate::profile::Profile;
use crate::reply::{self, OCTETS};
use crate::upload::Upload;

/// The hash of nothing. Clients take its blob to be everywhere and some never send it.
pub(super) const EMPTY: ContentHash = ContentHash::sha256([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

pub(super) async fn read(
    profile: &Profile,
    caller: &Caller,
    headers: &HeaderMap,
    hash: &ContentHash,
    access: Access,
) -> Result<Response> {
    if *hash == EMPTY {
        return Ok(reply::with_ranges(reply::whole(Bytes::new(), OCTETS)));
    }
    let blob = |range| profile.cache().blob(caller, hash, range);
    // The length is needed before a range of it makes sense.
    let (range, wanted) = if access == Access::Check || headers.contains_key(RANGE) {
        let Some(seen) = blob(ByteRange { offset: 0, length: Some(0) }).await? else { return Ok(reply::miss()) };
        let size = seen.digest.size;
        if access == Access::Check {
            return Ok(reply::with_ranges(reply::head(size, OCTETS)));
        }
        let range = larder_door::range_of(headers, size);
        if range == RangeHeader::Unsatisfiable {
            return Ok(reply::unsatisfiable(size));
        }
        (range, range.as_byte_range())
    } else {
        (RangeHeader::Whole, ByteRange::ALL)
    };
    let Some(blob) = blob(wanted).await? else { return Ok(reply::miss()) };
    let (sent, response) = match range {
        RangeHeader::Part { offset, length } => (length, reply::part(blob, offset, length, OCTETS).await?),
        _ => (blob.digest.size, reply::blob(blob, OCTETS).await?),
    };
    profile.count_sent(sent);
    Ok(reply::with_ranges(response))
}

pub(super) async fn keep(profile: &Profile, caller: &Caller, hash: &ContentHash, upload: &Upload) -> Result<Response> {
    let announced = upload.announced()?;
    if *hash == EMPTY {
        return match announced {
            None | Some(0) => Ok(reply::done()),
            Some(length) => {
                Err(Error::invalid("put blob", format!("{length} bytes were sent under the hash of no bytes")))
            }
        };
    }
    // Bazel never asks what is here and sends every blob again; one that is here is neither hashed nor written again.
    if profile.cache().missing(caller, &[*hash]).await?.is_empty() {
        return Ok(reply::done());
    }
    profile.cache().put_blob(caller, Some(hash), announced, upload.stream()).await?;
    Ok(reply::done())
}
