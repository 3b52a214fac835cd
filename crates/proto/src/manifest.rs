//! A saved tree: what `save` leaves under a key and `restore` reads. The format is `docs/format-tree.md`.

use prost::bytes::Bytes;

/// The version that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;
/// The node property that says how a file's digest is made; absent, the digest is of the content.
pub const DIGEST_PROPERTY: &str = "larder.digest";
/// The value of [`DIGEST_PROPERTY`] of a file whose digest is of its recipe.
pub const DIGEST_OF_RECIPE: &str = "recipe";
/// The node property that all names of one hard-linked file share; its value is a decimal number.
pub const HARDLINK_PROPERTY: &str = "larder.hardlink";

/// A saved tree.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Manifest {
    /// [`VERSION`].
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The directories that were saved, in the order they were given.
    #[prost(message, repeated, tag = "2")]
    pub roots: Vec<Root>,
    /// The recipes of all files larger than one chunk, each once, in the order of their digests.
    #[prost(message, repeated, tag = "3")]
    pub recipes: Vec<Recipe>,
}

/// One directory that was saved.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Root {
    /// Which it is, so that the restoring side can say where it goes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What was in it.
    #[prost(message, optional, tag = "2")]
    pub tree: Option<EncodedTree>,
}

/// A [`Tree`](crate::reapi::Tree), the same on the wire, whose directories are kept encoded: their digests are of exactly
/// these bytes.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct EncodedTree {
    /// The top, an encoded [`Directory`](crate::reapi::Directory).
    #[prost(bytes = "bytes", tag = "1")]
    pub root: Bytes,
    /// Every directory below, encoded, each once, parents before children.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub children: Vec<Bytes>,
}

/// The chunks of a file larger than one, in order.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Recipe {
    /// The BLAKE3 hash of each chunk, 32 bytes each, one after the other.
    #[prost(bytes = "bytes", tag = "1")]
    pub hashes: Bytes,
    /// The bytes of each chunk.
    #[prost(uint32, repeated, tag = "2")]
    pub lengths: Vec<u32>,
}
