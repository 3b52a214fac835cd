//! The durable local store: an append-only log of checksummed records in segments, and an index derived from it.
//!
//! The log is the truth. A write is one record or a few, appended by one thread and made durable with one sync that all
//! who wait share; the index (LMDB) follows in checkpoints and is caught up from the log after a crash. `docs/format.md`
//! has the bytes. Space comes back by dropping whole segments, after copying forward what is still promised.
//!
//! Everything here is synchronous but [`StoreService`], which puts the storage traits on top. This crate must not know
//! HTTP, other tiers, or who asks; its time and its disk are handed in.

mod blobs;
mod body;
mod checkpoint;
mod codec;
mod committer;
mod core;
mod disk;
mod entries;
mod evict;
mod files;
pub mod fsck;
mod group;
mod heat;
mod index;
mod log;
mod options;
mod overlay;
mod pool;
mod read;
mod recover;
mod row;
mod rows;
mod scan;
mod scrub;
mod service;
mod status;
mod store;
mod thread;
mod transfer;

pub use blobs::BlobReader;
pub use disk::{Disk, DiskFile, FsDisk};
pub use evict::Evicted;
pub use options::{Durability, Options};
pub use recover::Recovery;
pub use scrub::Scrubbed;
pub use service::StoreService;
pub use status::StoreStatus;
pub use store::Store;

#[cfg(test)]
mod tests;
