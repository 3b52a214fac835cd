//! Directories to blobs and back.

mod summary;

pub use summary::{Summary, decode_manifest};
