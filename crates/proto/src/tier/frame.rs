//! A message of three parts: a head of JSON, a list of hashes, and bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{HASH_LEN, split_hashes};

/// The most bytes of head and hashes together: as many links as the largest entry has.
pub const FRAME_PARTS_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A frame that was read: the lengths of head and hashes, 4 bytes each, little-endian; then both; then the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    head: &'a [u8],
    hashes: &'a [u8],
    /// Where the value begins in the frame; it goes to the end.
    pub value_at: usize,
}

impl<'a> Frame<'a> {
    /// A frame of these parts.
    ///
    /// # Panics
    /// When head or hashes have more than [`FRAME_PARTS_MAX_BYTES`].
    pub fn write<'h>(
        head: &impl Serialize,
        hashes: impl ExactSizeIterator<Item = &'h [u8; HASH_LEN]>,
        value: &[u8],
    ) -> Vec<u8> {
        let head = serde_json::to_vec(head).expect("heads have no maps with keys that JSON lacks");
        let listed = hashes.len() * HASH_LEN;
        assert!(head.len() + listed <= FRAME_PARTS_MAX_BYTES, "an entry's links fit into a frame");
        let mut frame = Vec::with_capacity(8 + head.len() + listed + value.len());
        // Both are below the limit that was just checked.
        frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
        frame.extend_from_slice(&(listed as u32).to_le_bytes());
        frame.extend_from_slice(&head);
        hashes.for_each(|hash| frame.extend_from_slice(hash));
        frame.extend_from_slice(value);
        frame
    }

    /// Takes a frame apart; `None` when it is cut or its hashes are.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (lengths, rest) = bytes.split_first_chunk::<8>()?;
        let length = |at: usize| u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]);
        let (head, rest) = rest.split_at_checked(length(0) as usize)?;
        let (hashes, value) = rest.split_at_checked(length(4) as usize)?;
        split_hashes(hashes).map(drop)?;
        Some(Self { head, hashes, value_at: bytes.len() - value.len() })
    }

    /// The head; `None` when it is not what is expected.
    pub fn head<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.head).ok()
    }

    /// The hashes.
    pub fn hashes(&self) -> impl ExactSizeIterator<Item = &'a [u8; HASH_LEN]> {
        self.hashes.as_chunks::<HASH_LEN>().0.iter()
    }
}
