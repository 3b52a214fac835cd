//! Messages that cross the wire.

pub mod manifest;
pub mod reapi;
