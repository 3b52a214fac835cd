//! Sessions of a directory bucket: credentials for some minutes, begun with those of the account.

use std::time::Duration;

use http::Method;
use larder_base::{BoxFuture, Error, ErrorKind, Result, Timestamp};
use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use super::bucket::Bucket;
use super::credentials::{Credentials, moment};
use super::refusal::date_of;
use super::sign::{Authority, Request};
use super::xml::Element;

const BEGIN: &str = "begin session";
/// The most bytes of an answer that holds a session.
const ANSWER_MAX_BYTES: usize = 256 << 10;
/// Who renews a session that is still good waits no longer for the next one: less than a read of the bucket may take, which
/// goes on with the one at hand.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a failed renewal the next is tried, while the session at hand is good.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Stores tell moments by the second.
const ROUNDING: Duration = Duration::from_secs(2);

/// The session of a bucket, begun when it is needed and anew when about half of its time is over, so that a URL signed in it
/// lives for about the other half at least. One caller begins a session; the others go on with the last one while enough of it
/// is left, and wait for the next after that. Where it cannot be begun, all go on with the last one to its end.
#[derive(Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
    /// Held by whoever begins a session.
    beginning: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    kept: Option<Session>,
    /// How often a session was begun, or could not be.
    attempts: u64,
    /// Why the last attempt failed.
    failure: Option<Failure>,
}

/// An error, for all who waited for the same.
#[derive(Clone)]
struct Failure {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
}

/// A session that was begun.
#[derive(Clone)]
pub(super) struct Session {
    /// They end by this machine's clock, whatever that shows.
    credentials: Credentials,
    /// From when on another is to be begun.
    due: Timestamp,
    /// From when on so little of it is left that all wait while another is being begun.
    late: Timestamp,
}

/// An attempt to begin another session while one is at hand. Where it ends without one, also because whoever makes it gives up
/// waiting and drops it, it is not made again at once, and nobody waits for the next.
struct Renewal<'a> {
    sessions: &'a Sessions,
    bucket: &'a Bucket,
    at_hand: Credentials,
    _alone: MutexGuard<'a, ()>,
}

/// What is at hand.
enum AtHand {
    Good(Credentials),
    /// Good, and to be renewed.
    Due {
        credentials: Credentials,
        is_late: bool,
    },
    None {
        attempts: u64,
    },
}

impl Sessions {
    /// The credentials of a session that is good for a while.
    ///
    /// # Errors
    /// Those of beginning one, where there is none that is good.
    pub(super) async fn current(&self, bucket: &Bucket) -> Result<Credentials> {
        let attempts = match self.at_hand(bucket.clock_now()) {
            AtHand::Good(credentials) => return Ok(credentials),
            AtHand::Due { credentials, is_late } => return Ok(self.renew(bucket, credentials, is_late).await),
            AtHand::None { attempts } => attempts,
        };
        let _alone = self.beginning.lock().await;
        match self.at_hand(bucket.clock_now()) {
            AtHand::Good(credentials) | AtHand::Due { credentials, .. } => return Ok(credentials),
            // Whoever waited for an attempt that failed does not make another one: many may be waiting in line.
            AtHand::None { attempts: now } if now != attempts => {
                if let Some(failure) = self.state.lock().failure.clone() {
                    return Err(failure.into());
                }
            }
            AtHand::None { .. } => {}
        }
        match bucket.begin_session().await {
            Ok(session) => Ok(self.keep(session)),
            Err(error) => {
                let mut state = self.state.lock();
                state.attempts += 1;
                state.failure = Some(Failure::from(&error));
                Err(error)
            }
        }
    }

    /// Another session, or where that fails the one at hand.
    async fn renew(&self, bucket: &Bucket, at_hand: Credentials, is_late: bool) -> Credentials {
        let alone = match is_late {
            true => timeout(PATIENCE, self.beginning.lock()).await.ok(),
            false => self.beginning.try_lock().ok(),
        };
        let Some(alone) = alone else { return at_hand };
        let at_hand = match self.at_hand(bucket.clock_now()) {
            AtHand::Good(credentials) => return credentials,
            AtHand::Due { credentials, .. } => credentials,
            AtHand::None { .. } => at_hand,
        };
        let renewal = Renewal { sessions: self, bucket, at_hand, _alone: alone };
        let begun = timeout(PATIENCE, bucket.begin_session()).await.unwrap_or_else(|_| {
            let what = format!("there was no answer within {} s", PATIENCE.as_secs());
            Err(Error::new(ErrorKind::Unavailable, BEGIN, what))
        });
        match begun {
            Ok(session) => self.keep(session),
            Err(error) => {
                tracing::warn!(%error, "the session could not be renewed; the one at hand is good for a little longer");
                renewal.at_hand.clone()
            }
        }
    }

    /// Forgets the session that a store has refused, so that the next look begins another.
    pub(super) fn forget(&self, refused: &Credentials) {
        let mut state = self.state.lock();
        if state.kept.as_ref().is_some_and(|kept| kept.credentials == *refused) {
            state.kept = None;
        }
    }

    fn at_hand(&self, now: Timestamp) -> AtHand {
        let state = self.state.lock();
        match state.kept.as_ref().filter(|kept| kept.credentials.expires.is_some_and(|end| now < end)) {
            Some(kept) if now < kept.due => AtHand::Good(kept.credentials.clone()),
            Some(kept) => AtHand::Due { credentials: kept.credentials.clone(), is_late: now >= kept.late },
            None => AtHand::None { attempts: state.attempts },
        }
    }

    fn keep(&self, session: Session) -> Credentials {
        let mut state = self.state.lock();
        state.attempts += 1;
        state.failure = None;
        state.kept.insert(session).credentials.clone()
    }
}

impl Drop for Renewal<'_> {
    fn drop(&mut self) {
        let mut state = self.sessions.state.lock();
        // Another session has other credentials.
        if let Some(kept) = state.kept.as_mut().filter(|kept| kept.credentials == self.at_hand) {
            kept.due = self.bucket.clock_now().plus(RETRY_AFTER);
            kept.late = kept.credentials.expires.unwrap_or(kept.late);
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.message().to_owned(), hint: error.hint() }
    }
}

impl From<Failure> for Error {
    fn from(Failure { kind, message, hint }: Failure) -> Self {
        let error = Self::new(kind, BEGIN, message);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl Bucket {
    /// Begins a session that may do everything. A future of a known size: the request is made as all others are, which look
    /// for a session first.
    fn begin_session(&self) -> BoxFuture<'_, Result<Session>> {
        Box::pin(async move {
            let mut request = Request::new(BEGIN, Method::GET, None).query("session", "");
            request = request.sign("x-amz-create-session-mode", "ReadWrite");
            request.authority = Authority::Account;
            let asked = self.clock_now();
            let answer = self.need(&request, ANSWER_MAX_BYTES).await?;
            let document = Element::parse(answer.body())?;
            let given = document.child("Credentials").ok_or_else(|| {
                Error::new(ErrorKind::Failed, BEGIN, format!("{} began a session without credentials", self.name()))
                    .with_hint("is the endpoint an object store that knows directory buckets?")
            })?;
            let expiration = moment(given.need("Expiration")?)?;
            // This machine's clock may be wrong by minutes without any request being refused, and neither a session nor what
            // is signed in it lasts longer: so the store's tells how long that is, and dates what is signed.
            let date = date_of(answer.headers());
            if let Some(date) = date {
                self.learn_clock(date, self.ahead());
            }
            let life = expiration.since(date.unwrap_or_else(|| self.now())).saturating_sub(ROUNDING);
            let spread = self.http().pauses().after(1, life.mul_f64(0.2));
            Ok(Session {
                due: asked.plus(life.saturating_sub(life.mul_f64(0.4) + spread)),
                late: asked.plus(life.mul_f64(0.55)),
                credentials: Credentials {
                    access_key_id: given.need("AccessKeyId")?.to_owned(),
                    secret_access_key: given.need("SecretAccessKey")?.to_owned(),
                    session_token: Some(given.need("SessionToken")?.to_owned()),
                    expires: Some(asked.plus(life)),
                },
            })
        })
    }
}

#[cfg(test)]
mod tests;
