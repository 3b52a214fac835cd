//! The client of S3-compatible object stores.
//!
//! Signing is the crate `rusty-s3`'s, and our own for directory buckets, which that does not know; transport is the one HTTP
//! client's. Every request is signed anew for each try; see [`Bucket`] for what is repeated and what an error tells.

mod bucket;
mod check;
mod config;
mod credentials;
mod refusal;
mod session;
mod sign;
mod xml;

pub use bucket::{
    Bucket, MultipartPlan, MultipartUpload, ObjectBody, ObjectPage, ObjectStat, OpenUpload, PART_MAX_BYTES,
    PART_MIN_BYTES, PARTS_MAX, PartTag, Presigned, StoredObject, UploadMarker, UploadPage,
};
pub use check::{BucketReport, CheckOutcome, CheckStep, SweptChecks, check_bucket, sweep_checks, trial_key};
pub use config::{BucketConfig, BucketUrl};
pub use credentials::{CredentialChain, CredentialSource, Credentials, Profile, WebIdentity};

#[cfg(test)]
mod tests;
