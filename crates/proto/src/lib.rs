//! Messages that cross the wire.

pub mod ci;
pub mod manifest;
pub mod reapi;
pub mod reapi_action;
