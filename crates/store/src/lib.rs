//! The durable local store: an append-only log of checksummed records in segments, and an index derived from it.
//!
//! The log is the truth. A write is one record or a few, appended by one thread and made durable with one sync that all
//! who wait share; the index (LMDB) follows in checkpoints and is caught up from the log after a crash. `docs/format.md`
//! has the bytes. Space comes back by dropping whole segments, after copying forward what is still promised. With a
//! bucket, sealed segments are shipped there, and space on the disk comes back by leaving their chunks to the bucket;
//! `docs/design/003-bucket-tier.md` says why it is so.
//!
//! Everything here is synchronous but [`StoreService`], which puts the storage traits on top. This crate must not know
//! HTTP, other tiers, or who asks; its time, its disk and its bucket are handed in.

mod account;
mod archive;
mod at_hand;
mod blobs;
mod body;
mod bucket;
mod checkpoint;
mod codec;
mod committer;
mod core;
mod disk;
mod entries;
mod evict;
mod files;
mod format;
pub mod fsck;
mod group;
mod heat;
mod index;
mod log;
mod merged;
mod options;
mod overlay;
mod pool;
mod prune;
mod read;
mod read_ahead;
mod readers;
mod recover;
mod row;
mod rows;
mod run;
mod scan;
mod scrub;
mod served;
mod service;
mod ship;
mod status;
mod store;
mod stub;
mod sweep;
mod thread;
mod transfer;
mod whole;

pub use account::{Account, AccountLimits, Stamp, Sum, UnusedScope};
pub use blobs::BlobReader;
pub use bucket::{Bucket, BucketOptions, Object, ObjectName, ObjectPage};
pub use disk::{DirectFile, Disk, DiskFile, FsDisk, ReadAt};
pub use evict::{Evicted, Repacked};
pub use options::{Durability, Options};
pub use prune::Pruned;
pub use recover::Recovery;
pub use scrub::Scrubbed;
pub use service::StoreService;
pub use ship::Shipped;
pub use status::{BucketStatus, StoreStatus};
pub use store::{Store, lock};
pub use sweep::Swept;

#[cfg(test)]
mod tests;
