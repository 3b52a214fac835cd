//! The binary as its users meet it: real processes, real sockets, real client tools.

#![expect(clippy::disallowed_methods, reason = "tests read the environment and start threads as they need")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod bucket;
mod crash;
mod direct;
mod fleet;
mod http;
mod integration;
mod job;
mod limits;
mod node;
mod recipes;
mod rust_project;
mod save_restore;
mod server;
mod surface;
mod tier;
