//! Directories to blobs and back.

mod equality;

pub use equality::content_hash;
