//! The listening side: connections, the routes of all doors, and the pages about the server itself.

mod connection;
mod listener;
mod local;
mod open_files;
mod pages;
mod patience;
mod socket;
mod tokens;
mod workers;

pub use listener::{Listener, ServerLimits};
pub use local::only_local;
pub use pages::{About, Kept, pages};
