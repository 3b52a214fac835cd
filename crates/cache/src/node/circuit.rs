//! Whether the Larder above is asked at all.
//!
//! The first failure opens the circuit: from then on clients get what is here at once, and only the node's own job tries
//! again, more and more rarely. Its first success closes the circuit.

use std::future::Future;
use std::time::Duration;

use larder_base::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often a failure is told at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Circuit {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When to try again; `None` while the circuit is closed.
    open: Option<Instant>,
    /// The pause before the last try. It is forgotten only when a client got its answer: a Larder that answers the node's
    /// own questions and no others is left alone ever longer too.
    pause: Duration,
    told: Option<Instant>,
    /// Whether it was told that it is away.
    is_told: bool,
    untold: u64,
    last_error: Option<String>,
}

impl Circuit {
    /// Whether clients may ask.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().open.is_none()
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.state.lock().last_error.clone()
    }

    /// How long the node's own job has to wait before it tries again; `None` while all is well.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.state.lock().open.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Asks for a client: its patience is short, and a failure is no answer.
    pub(super) async fn ask<T>(&self, patience: Duration, question: impl Future<Output = Result<T>>) -> Option<T> {
        if !self.is_closed() {
            return None;
        }
        let answer = self.try_now(patience, question).await.ok();
        if answer.is_some() {
            self.state.lock().pause = Duration::ZERO;
        }
        answer
    }

    /// Asks whatever the state, and learns from the answer.
    ///
    /// # Errors
    /// Those of the question, and [`ErrorKind::Unavailable`] when patience ends.
    pub(super) async fn try_now<T>(&self, patience: Duration, question: impl Future<Output = Result<T>>) -> Result<T> {
        let asked = Instant::now();
        let answer = timeout(patience, question).await.unwrap_or_else(|_| {
            let message = format!("no answer came for {} s", patience.as_secs());
            Err(Error::new(ErrorKind::Unavailable, "ask upstream", message))
        });
        match &answer {
            Ok(_) => self.succeeded(asked),
            // A refusal is an answer too.
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Corrupt) => self.failed(error),
            Err(error) => {
                self.succeeded(asked);
                self.tell(error);
            }
        }
        answer
    }

    /// Notes that the Larder above cannot be used now.
    pub(super) fn failed(&self, error: &Error) {
        let mut state = self.state.lock();
        let now = Instant::now();
        // Many questions that were under way when it went away are one failure.
        if state.open.is_none_or(|at| at <= now) {
            state.pause = (state.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            state.open = Some(now + state.pause);
        }
        drop(state);
        self.tell(error);
    }

    fn succeeded(&self, asked: Instant) {
        let mut state = self.state.lock();
        // An answer to a question from before the failure tells nothing of now.
        if state.open.is_some_and(|at| asked + state.pause >= at) {
            state.open = None;
            let was_told = std::mem::take(&mut state.is_told);
            drop(state);
            if was_told {
                info!("upstream answers again");
            }
        }
    }

    /// One line a minute, however much fails.
    fn tell(&self, error: &Error) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.last_error = Some(error.to_string());
        if state.told.is_some_and(|told| now - told < TELL_EVERY) {
            state.untold += 1;
            return;
        }
        state.told = Some(now);
        state.is_told = state.open.is_some();
        let untold = std::mem::take(&mut state.untold);
        drop(state);
        warn!(%error, untold, "upstream failed; clients get what is here");
    }
}
