//! How many files the process may have open, and how many of them may be connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// Raises the soft limit to the hard one; gives the limit that then holds, `None` where there is none.
pub(super) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            // It works as before, with fewer connections.
            debug!(%error, "the limit on open files stays as it was");
            limit.current
        }
    }
}

/// The connections that a limit on open files leaves room for: three quarters of it, as the store has open files too.
pub(super) fn connections(open_files: Option<u64>) -> usize {
    let room = open_files.map_or(u64::MAX, |limit| limit - limit / 4);
    usize::try_from(room).unwrap_or(usize::MAX).clamp(1, tokio::sync::Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests;
