//! What is remembered of jobs over a restart: an entry each, in a namespace of the server's own.
//!
//! All of it stands in the entry's attributes, so that one listing reads it. An entry is written again with the next run,
//! long before eviction could drop it; one that is lost all the same costs a run too many, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Attributes, DoorName, Entries, EntryAddress, EntryBody, EntryPrefix, Namespace, NewEntry, PutIf, Result, Scope,
    Timestamp,
};

use super::{LastRun, RunOutcome};

/// An address that no client can name.
const NAMESPACE: &str = "~jobs";
const DOOR: DoorName = DoorName::new("jobs");
const WRITER: &str = "larder";
/// More jobs than any server has.
const JOBS_MAX: usize = 256;
/// The most bytes that are kept of a text.
const TEXT_MAX_BYTES: usize = 1000;

const RUNNING: &str = "running";
const BEGAN: &str = "began";
const ENDED: &str = "ended";
const OUTCOME: &str = "outcome";
const REASON: &str = "reason";
const DID: &str = "did";
const SUCCESS: &str = "last-success";
const INTERRUPTED: &str = "last-interrupted";
const REST: &str = "rest";

/// What is remembered of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// When the present run began.
    pub(super) running: Option<Timestamp>,
    /// The last run that is over.
    pub(super) last: Option<LastRun>,
    /// When the last run that did not fail ended.
    pub(super) last_success: Option<Timestamp>,
    /// When the last run began that was cut off.
    pub(super) last_interrupted: Option<Timestamp>,
    /// How long the job meant to rest after its last run.
    pub(super) rest: Duration,
}

impl Memory {
    /// A run that never ended was cut off by the end of its process.
    pub(super) fn after_a_restart(mut self) -> Self {
        if let Some(began) = self.running.take() {
            self.interrupt(began, None, "the server ended while it ran");
        }
        self
    }

    /// The run that began at this time was cut off.
    pub(super) fn interrupt(&mut self, began: Timestamp, ended: Option<Timestamp>, reason: &str) {
        self.last_interrupted = Some(began);
        let (outcome, reason) = (RunOutcome::Interrupted, Some(reason.to_owned()));
        self.last = Some(LastRun { began, ended, outcome, reason, did: String::new() });
    }

    /// How long the job still rests, by what it did in an earlier process. A clock that was set back lets no job wait longer.
    pub(super) fn rests_for(&self, now: Timestamp) -> Duration {
        let Some(LastRun { ended: Some(ended), outcome: RunOutcome::Succeeded, .. }) = self.last else {
            return Duration::ZERO;
        };
        if ended > now { Duration::ZERO } else { self.rest.saturating_sub(now.since(ended)) }
    }

    fn to_attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        let mut set = |name: &str, value: String| drop(attributes.insert(name.to_owned(), value));
        let time = |time: Timestamp| time.as_millis().to_string();
        if let Some(LastRun { began, ended, outcome, reason, did }) = &self.last {
            set(BEGAN, time(*began));
            ended.iter().for_each(|ended| set(ENDED, time(*ended)));
            set(OUTCOME, outcome.as_str().to_owned());
            reason.iter().for_each(|reason| set(REASON, cut(reason).to_owned()));
            set(DID, cut(did).to_owned());
        }
        let times = [(RUNNING, self.running), (SUCCESS, self.last_success), (INTERRUPTED, self.last_interrupted)];
        times.into_iter().filter_map(|(name, at)| Some((name, at?))).for_each(|(name, at)| set(name, time(at)));
        set(REST, self.rest.as_millis().to_string());
        attributes
    }

    /// What was kept; what cannot be read is left out.
    fn of(attributes: &Attributes) -> Self {
        let number = |name: &str| attributes.get(name)?.parse().ok();
        let time = |name: &str| number(name).map(Timestamp::from_millis);
        let last = || {
            Some(LastRun {
                began: time(BEGAN)?,
                ended: time(ENDED),
                outcome: attributes.get(OUTCOME)?.parse().ok()?,
                reason: attributes.get(REASON).cloned(),
                did: attributes.get(DID).cloned().unwrap_or_default(),
            })
        };
        Self {
            running: time(RUNNING),
            last: last(),
            last_success: time(SUCCESS),
            last_interrupted: time(INTERRUPTED),
            rest: number(REST).map_or(Duration::ZERO, Duration::from_millis),
        }
    }
}

/// Where it is kept.
#[derive(Clone)]
pub(super) struct Ledger {
    entries: Arc<dyn Entries>,
}

impl Ledger {
    pub(super) fn new(entries: Arc<dyn Entries>) -> Self {
        Self { entries }
    }

    /// What an earlier process left, by the names of the jobs.
    pub(super) async fn read(&self) -> Result<HashMap<String, Memory>> {
        let prefix = EntryPrefix {
            namespace: namespace(),
            scope: Some(Scope::Trusted),
            door: Some(DOOR),
            prefix: String::new(),
        };
        let page = self.entries.list(&prefix, None, JOBS_MAX).await?;
        let remembered = page.entries.iter().map(|listed| {
            let name = listed.address.key.as_str().to_owned();
            (name, Memory::of(&listed.entry.attributes).after_a_restart())
        });
        Ok(remembered.collect())
    }

    /// Remembers this of a job from now on.
    pub(super) async fn write(&self, name: &'static str, memory: &Memory) -> Result<()> {
        let key = name.parse().expect("the name of a job is a word");
        let address = EntryAddress { namespace: namespace(), scope: Scope::Trusted, door: DOOR, key };
        let entry = NewEntry {
            body: EntryBody::Value(Bytes::new()),
            attributes: memory.to_attributes(),
            links: Arc::new([]),
            writer: WRITER.to_owned(),
        };
        self.entries.put(&address, entry, PutIf::Always).await.map(drop)
    }
}

fn namespace() -> Namespace {
    NAMESPACE.parse().expect("a name in the code is valid")
}

/// The beginning of a text that may be kept.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX_BYTES)]
}

#[cfg(test)]
mod tests;
