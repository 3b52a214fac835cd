//! What a file holds, as chunks.

use std::sync::Arc;

use larder_base::chunk::Cut;
use larder_base::{ContentHash, Digest, HashFunction, Hasher};

/// How the files of a saved tree are cut.
pub(crate) const CUT: Cut = Cut::TREE;

/// What the canonical encoding of a recipe begins with, so that no chunk's hash can pass for a recipe's.
const RECIPE_PREFIX: &[u8] = b"larder recipe 1\n";

/// One chunk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) hash: ContentHash,
    pub(crate) length: u32,
}

/// What a file holds. Which form it has follows from the size alone, so equal files have equal contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// One chunk.
    One(ContentHash),
    /// More bytes than one chunk of [`CUT`] has.
    Cut(Arc<[Piece]>),
}

impl Content {
    /// What the file is named by: the hash of its content, or of its recipe; with the size of its content.
    pub(crate) fn digest(&self, size: u64) -> Digest {
        match self {
            Self::Empty => Digest::by(HashFunction::TREE, b""),
            Self::One(hash) => Digest { hash: *hash, size },
            Self::Cut(pieces) => Digest { hash: recipe_hash(pieces), size },
        }
    }

    /// The chunks in order, each with where it begins.
    pub(crate) fn pieces(&self, size: u64) -> impl Iterator<Item = (u64, Piece)> + '_ {
        let (one, many) = match self {
            Self::Empty => (None, &[][..]),
            // A single chunk is short enough; whoever made this content has checked it.
            Self::One(hash) => (Some(Piece { hash: *hash, length: size as u32 }), &[][..]),
            Self::Cut(pieces) => (None, &pieces[..]),
        };
        let mut offset = 0;
        one.into_iter().chain(many.iter().copied()).map(move |piece| {
            let begins = offset;
            offset += u64::from(piece.length);
            (begins, piece)
        })
    }

    /// How many chunks there are.
    pub(crate) fn piece_count(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Cut(pieces) => pieces.len(),
        }
    }
}

/// The hash that names a file larger than one chunk: of its recipe's canonical encoding (`docs/format-tree.md`).
pub(crate) fn recipe_hash(pieces: &[Piece]) -> ContentHash {
    let mut hasher = Hasher::new(HashFunction::TREE);
    hasher.update(RECIPE_PREFIX);
    for piece in pieces {
        hasher.update(piece.hash.as_bytes());
        hasher.update(&piece.length.to_le_bytes());
    }
    hasher.finish().hash
}
