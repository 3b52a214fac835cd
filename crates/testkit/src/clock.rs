//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_base::{Clock, Timestamp};

/// A clock that a test sets and advances; clones show the same time.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_millis())))
    }

    /// Moves to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves forward; less than a millisecond is nothing.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().plus(duration));
    }
}

impl Default for FakeClock {
    /// A clock in late 2025, so that code which takes a small number for "never" is found out.
    fn default() -> Self {
        Self::at(Timestamp::from_millis(1_760_000_000_000))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests;
