//! The one place where the store starts threads. Each ends with the store: see [`crate::Store::close`].

use std::thread::JoinHandle;

use larder_base::{Error, ErrorKind, Result};

/// Starts a thread with a name of at most 15 bytes, which is what the system shows.
#[expect(clippy::disallowed_methods, reason = "the store's threads live as long as it does, and it joins them")]
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        Error::new(ErrorKind::Failed, "start thread", name)
            .with_hint("the limit on threads or memory of this process may be too low")
            .with_source(error)
    })
}
