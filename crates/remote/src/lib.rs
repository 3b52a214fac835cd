//! The one HTTP client, and the clients of protocols that stand on it.
//!
//! This crate knows the network and the messages that cross it. It must not know doors, stores or configuration files; it
//! reads no environment and makes no randomness: what it needs of both is handed in.

pub mod ci;
mod http;
pub mod s3;
mod server;
mod signed_url;
#[cfg(test)]
mod testing;
pub mod tier;
mod url;

pub use http::{HttpClient, Policy};
pub use server::ServerClient;
pub use tier::{DirectStatus, UpstreamTier};
pub use url::ServerUrl;
