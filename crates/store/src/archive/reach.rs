//! Whether the bucket can be reached: after a failure nobody waits for it again and again.

use std::time::Duration;

use larder_base::Timestamp;
use parking_lot::Mutex;

/// How long the bucket is left alone after the first failure; twice as long after each more.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    again_at: Timestamp,
}

/// Counts failures in a row and says when the bucket may be asked again.
#[derive(Debug, Default)]
pub(super) struct Reach {
    state: Mutex<State>,
}

impl Reach {
    /// Whether to ask the bucket now. After failures one caller a pause may, and the others need not wait.
    pub(super) fn may_ask(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        let pause = Self::pause(state.failures);
        // The second: a clock that was set back must not make the pause longer.
        if state.failures == 0 || now >= state.again_at || now.plus(pause) < state.again_at {
            state.again_at = now.plus(pause);
            return true;
        }
        false
    }

    /// The bucket answered.
    pub(super) fn answered(&self) {
        self.state.lock().failures = 0;
    }

    /// The bucket did not answer.
    pub(super) fn failed(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        state.again_at = now.plus(Self::pause(state.failures));
    }

    /// How often it failed since it last answered.
    pub(super) fn failures(&self) -> u32 {
        self.state.lock().failures
    }

    fn pause(failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(5);
        (PAUSE * (1 << doublings)).min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests;
