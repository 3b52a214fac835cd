//! Whether the direct way is taken.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The first time for which a client that lives long goes through the server instead; it doubles with each failure.
const PAUSE_MIN: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(900);

/// Whether bytes may move by URLs that lead elsewhere than to the server.
#[derive(Debug)]
pub(crate) struct DirectWay {
    state: Mutex<State>,
    is_tried_again: bool,
}

#[derive(Debug, Default)]
struct State {
    closed: Option<Closed>,
    /// The last pause, forgotten when a transfer succeeds.
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Closed {
    For(Duration, Instant),
    Ever,
}

impl DirectWay {
    /// A way that the first failure closes for good: for a client that soon ends.
    pub(crate) fn once() -> Self {
        Self { state: Mutex::default(), is_tried_again: false }
    }

    /// A way that is tried again after a while.
    pub(crate) fn lasting() -> Self {
        Self { state: Mutex::default(), is_tried_again: true }
    }

    /// Whether it may be taken.
    pub(crate) fn is_open(&self) -> bool {
        match self.state.lock().closed {
            None => true,
            Some(Closed::For(pause, since)) => since.elapsed() >= pause,
            Some(Closed::Ever) => false,
        }
    }

    /// Notes that a transfer failed.
    pub(crate) fn failed(&self) {
        // Of many that were under way together the first counts.
        if !self.is_open() {
            return;
        }
        let mut state = self.state.lock();
        state.closed = Some(if self.is_tried_again {
            state.pause = (state.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            Closed::For(state.pause, Instant::now())
        } else {
            Closed::Ever
        });
    }

    /// Notes that a transfer succeeded.
    pub(crate) fn succeeded(&self) {
        self.state.lock().pause = Duration::ZERO;
    }

    /// Notes that what failed was no fault of its.
    pub(crate) fn forgive(&self) {
        *self.state.lock() = State::default();
    }

    /// Leaves it alone for a while though nothing failed: there is no such way now.
    pub(crate) fn rest(&self, pause: Duration) {
        self.state.lock().closed = Some(Closed::For(pause, Instant::now()));
    }
}

#[cfg(test)]
mod tests;
