//! What a client says that its upload is.

use larder_base::{ContentHash, HashFunction, chunk};
use larder_proto::ci::{BlobAddress, FinishRequest};
use serde::{Deserialize, Serialize};

use super::Upload;
use crate::failure::Failure;
use crate::request;
use crate::settings::Settings;

/// A finish request, as far as it can be checked by itself. Nothing in it is believed before the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) manifest: BlobAddress,
    pub(crate) parts: Vec<u32>,
    pub(crate) content: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Claim {
    /// Checks what can be checked without the bytes.
    pub(crate) fn parse(settings: &Settings, request: FinishRequest) -> Result<Self, Failure> {
        let FinishRequest { manifest, mut parts, content, files, bytes, wait_ms: _ } = request;
        let content = request::hash("content", &content)?.to_hex();
        if manifest.size > settings.max_manifest_bytes.0 {
            let message =
                format!("the manifest has {} bytes; it may have {} here", manifest.size, settings.max_manifest_bytes);
            return Err(Failure::too_large(message).with_hint("save less, or raise max_manifest_bytes in [door.ci]"));
        }
        check_manifest(&manifest)?;
        parts.sort_unstable();
        parts.dedup();
        Ok(Self { manifest, parts, content, files, bytes })
    }

    /// Checks it against what was registered.
    pub(crate) fn check(&self, upload: &Upload) -> Result<(), Failure> {
        if self.bytes > upload.bytes {
            let message = format!("{} bytes were announced, and {} are claimed", upload.bytes, self.bytes);
            return Err(Failure::too_large(message).with_hint("begin a new upload with the right number of bytes"));
        }
        if let Some(part) = self.parts.iter().find(|part| !upload.parts.contains_key(part)) {
            return Err(Failure::invalid(format!("no URL was ever asked for part {part}")));
        }
        Ok(())
    }

    /// The names of the manifest's chunks, in order.
    pub(crate) fn manifest_chunks(&self) -> impl Iterator<Item = ContentHash> + '_ {
        self.manifest.chunks.iter().map(|chunk| checked(&chunk.hash))
    }

    /// The content that it claims to have.
    pub(crate) fn content(&self) -> ContentHash {
        checked(&self.content)
    }
}

fn checked(hex: &str) -> ContentHash {
    ContentHash::from_hex(HashFunction::TREE, hex).expect("the hashes of a claim were checked")
}

fn check_manifest(manifest: &BlobAddress) -> Result<(), Failure> {
    let whole = request::hash("manifest.hash", &manifest.hash)?;
    let mut size = 0_u64;
    for chunk in &manifest.chunks {
        let hash = request::hash("manifest.chunks", &chunk.hash)?;
        if chunk.size == 0 || chunk.size > chunk::MAX_LEN as u64 {
            return Err(Failure::invalid(format!("manifest.chunks: a chunk has 1 to {} bytes", chunk::MAX_LEN)));
        }
        if manifest.chunks.len() == 1 && hash != whole {
            return Err(Failure::invalid("manifest.hash: a blob of one chunk has that chunk's hash"));
        }
        size += chunk.size;
    }
    if manifest.chunks.is_empty() || size != manifest.size {
        return Err(Failure::invalid("manifest.size: it is not the sum of the sizes of the chunks"));
    }
    Ok(())
}
