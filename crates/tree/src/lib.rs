//! Directories to blobs and back.

mod capture;
mod content;
mod handles;
mod manifest;
mod memory;
mod names;
mod progress;
mod selection;
mod stat;
mod summary;
mod survey;

pub use capture::{CaptureLimits, Captured, Segment, Sink};
pub use manifest::EncodedManifest;
pub use memory::Memory;
pub use progress::{Count, Progress};
pub use selection::Selection;
pub use summary::{Summary, decode_manifest};
pub use survey::{Omission, Source, Survey};

#[cfg(test)]
mod testing;
