//! Tests of the whole store, over a real directory or a faulty disk.

mod blobs;
mod entries;
mod reopen;
pub(crate) mod support;
