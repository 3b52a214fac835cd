//! A CI job's queue of commands for its end: queued by any process of the job over a Unix socket, kept on disk, run once.
//!
//! Two processes may own a job in turn, and a lock on its folder says which: first the one that serves the socket and
//! takes commands, then the one that runs them. Everything that either was told is on disk before it is acknowledged,
//! and a command is marked as begun before it is begun. So whatever crashes, the next owner knows which commands were
//! never begun, and begins no other.
//!
//! The socket asks for no credential. What guards it is scope: a peer may have run only what it could run itself, as
//! itself, and sees nothing of other users; requests are bounded in size, number and time.

pub mod child;
pub mod client;
pub mod folder;
mod owner;
pub mod queue;
pub mod runner;
pub mod server;
mod text;
mod wire;

pub use child::Signals;
pub use text::Text;
pub use wire::Request;

/// The variable that tells a job's processes where its folder is.
pub const VARIABLE: &str = "LARDER_JOB";
