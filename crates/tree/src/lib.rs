//! Directories to blobs and back.

mod capture;
mod compare;
mod content;
mod edit;
mod handles;
mod manifest;
mod materialise;
mod memory;
mod names;
mod parallel;
mod plan;
mod progress;
mod selection;
mod stat;
mod summary;
mod survey;

pub use capture::{CaptureLimits, Captured, Segment, Sink};
pub use compare::{Comparison, Target};
pub use manifest::EncodedManifest;
pub use materialise::{Materialiser, Pushed, Restored};
pub use memory::Memory;
pub use plan::{Plan, PlanLimits};
pub use progress::{Count, Progress};
pub use selection::Selection;
pub use summary::{Summary, decode_manifest};
pub use survey::{Omission, Source, Survey};

#[cfg(test)]
mod testing;
