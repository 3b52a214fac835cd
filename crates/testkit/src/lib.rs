//! Conformance suites, fakes and client runners for tests.
//!
//! Only tests depend on this crate. The suites in [`suite`] say what the storage traits promise, one named case a
//! promise; [`memory::Memory`] keeps all of them and is what doors and wrappers are tested on; [`faulty::Faulty`] breaks
//! any tier on command.

pub mod clients;
pub mod clock;
pub mod content;
pub mod faulty;
pub mod memory;
pub mod s3;
pub mod segment;
pub mod stream;
pub mod suite;
