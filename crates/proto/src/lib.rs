//! Messages that cross the wire.

pub mod ci;
mod json;
pub mod manifest;
pub mod reapi;
pub mod reapi_action;
pub mod tier;
