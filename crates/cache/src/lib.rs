//! What a door sees of storage: tiers behind one handle, rights, counters and background jobs.
//!
//! This crate decides who may read and write what; a door only extracts the credential its protocol carries. It knows
//! tiers as trait objects and must not know which there are, nor HTTP, gRPC or files.

mod cache;
mod counters;
mod jobs;
mod node;
mod quota;
mod rights;
mod signer;
mod tokens;

pub use cache::{Cache, DoorCache, Found, Lookup, MissReason, Tiers, is_own};
pub use counters::{Counters, Outcome};
pub use jobs::{Job, JobHandle, JobReport, JobState, Jobs, LastRun, Next, RunOutcome};
pub use node::{Node, NodeOptions, NodeStatus, Upstream};
pub use quota::{Limits, Quotas, Usage};
pub use rights::{Caller, Credential, Grant, JobGrant, NamespacePattern, Rights, TokenHash};
pub use signer::Signer;
pub use tokens::{IssuedToken, IssuedTokens};
