//! Tests of the whole store, over a real directory or a faulty disk.

mod account;
mod blobs;
mod condemned;
mod conformance;
pub(crate) mod crash;
mod damage;
mod entries;
mod evict;
mod formats;
mod reopen;
pub(crate) mod support;
mod tier;
mod transfer;
