//! Conformance suites, fakes and client runners for tests.
//!
//! Only tests depend on this crate. [`memory::Memory`] keeps every promise of the storage traits and is what doors and
//! wrappers are tested on.

pub mod clock;
pub mod content;
pub mod faulty;
pub mod memory;
pub mod segment;
pub mod stream;
