//! Directories to blobs and back.
//!
//! Saving: [`Survey::take`] looks at what is there and asks the [`Memory`] of the last save; [`Survey::manifest`] says at
//! once what a save would leave when nothing has to be read; [`Survey::save`] sends what the other side lacks to a
//! [`Sink`]. Restoring: [`Plan::read`] checks a manifest before the disk is touched, [`Comparison::of`] finds what
//! differs, [`Comparison::begin`] makes directories and takes what is on the disk already, [`Materialiser::push`] takes
//! the chunks that are needed, in any order and from several threads, and [`Materialiser::finish`] ends it.
//!
//! Everything here is synchronous and uses threads of its own. This crate knows base's formats and the file system below
//! the paths it is given; it must not know protocols, tiers, the environment or the wall clock. `docs/format-tree.md` is
//! the specification.

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
#[cfg(test)]
mod tests;
