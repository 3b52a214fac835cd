//! Which calls break, and how.

use std::collections::HashMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use larder_base::{BlobStream, Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::Gate;

/// A verb of a storage trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `Blobs::get`.
    GetBlob,
    /// `Blobs::put`.
    PutBlob,
    /// `Blobs::missing`.
    MissingBlobs,
    /// `Entries::get`.
    GetEntry,
    /// `Entries::put`.
    PutEntry,
    /// `Entries::list`.
    ListEntries,
    /// `Entries::delete`.
    DeleteEntry,
    /// `Segments::locate`.
    Locate,
    /// `Segments::read`.
    ReadSegment,
    /// `Segments::receive`.
    ReceivePart,
    /// `Segments::read_urls`.
    ReadUrls,
    /// `Segments::receive_url`.
    ReceiveUrl,
    /// `Segments::adopt`.
    AdoptPart,
    /// `Segments::waiting`.
    WaitingParts,
    /// `Segments::discard`.
    DiscardParts,
}

/// How a call breaks.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It fails and never reaches the tier.
    Fail(ErrorKind),
    /// It reaches the tier and takes effect, but the caller is told that it failed.
    LoseAnswer(ErrorKind),
    /// Its body, whichever way that goes, fails after so many bytes. A verb without a body takes it as [`Fault::Fail`].
    Tear {
        /// The bytes that still arrive.
        after: u64,
        /// What the body fails with.
        kind: ErrorKind,
    },
    /// It waits at the gate, and then reaches the tier.
    Hold(Gate),
}

/// The faults of a [`super::Faulty`], and the count of its calls; clones are handles on the same faults.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    calls: HashMap<Verb, u64>,
}

#[derive(Debug)]
struct Rule {
    verb: Verb,
    calls: (Bound<u64>, Bound<u64>),
    fault: Fault,
}

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// Breaks the calls of `verb` with these numbers: `..` all, `1..=1` the first, `3..` all from the third. The first
    /// call to the wrapper is number 1. Where several faults name a call, the one added first is met.
    pub fn add(&self, verb: Verb, calls: impl RangeBounds<u64>, fault: Fault) {
        let calls = (calls.start_bound().cloned(), calls.end_bound().cloned());
        self.0.lock().rules.push(Rule { verb, calls, fault });
    }

    /// Breaks nothing more. Calls at a gate still wait for it, and the count of calls goes on.
    pub fn clear(&self) {
        self.0.lock().rules.clear();
    }

    /// How many calls of `verb` were made, broken ones included.
    pub fn calls(&self, verb: Verb) -> u64 {
        self.0.lock().calls.get(&verb).copied().unwrap_or(0)
    }

    /// Counts a call of a verb without a body, and meets its fault.
    pub(super) async fn enter(&self, verb: Verb) -> Result<Passage> {
        match self.enter_with_body(verb).await? {
            Passage { tear: Some((_, kind)), .. } => Err(failure(verb, kind)),
            passage => Ok(passage),
        }
    }

    /// Counts a call, and meets the part of its fault that comes before the tier is reached.
    pub(super) async fn enter_with_body(&self, verb: Verb) -> Result<Passage> {
        let passage = Passage { verb, lose_answer: None, tear: None };
        match self.count(verb) {
            None => Ok(passage),
            Some(Fault::Fail(kind)) => Err(failure(verb, kind)),
            Some(Fault::LoseAnswer(kind)) => Ok(Passage { lose_answer: Some(kind), ..passage }),
            Some(Fault::Tear { after, kind }) => Ok(Passage { tear: Some((after, kind)), ..passage }),
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                Ok(passage)
            }
        }
    }

    fn count(&self, verb: Verb) -> Option<Fault> {
        let mut plan = self.0.lock();
        let count = plan.calls.entry(verb).or_default();
        *count += 1;
        let number = *count;
        let met = plan.rules.iter().find(|rule| rule.verb == verb && rule.calls.contains(&number));
        met.map(|rule| rule.fault.clone())
    }
}

/// A call that is on its way through the wrapper.
pub(super) struct Passage {
    verb: Verb,
    lose_answer: Option<ErrorKind>,
    tear: Option<(u64, ErrorKind)>,
}

impl Passage {
    /// The tier's answer, or the failure that hides it.
    pub(super) fn leave<T>(&self, answer: Result<T>) -> Result<T> {
        self.lose_answer.map_or(answer, |kind| Err(failure(self.verb, kind)))
    }

    /// The body, or its beginning and a failure.
    pub(super) fn tear(&self, body: BlobStream) -> BlobStream {
        let Some((after, kind)) = self.tear else { return body };
        let verb = self.verb;
        // The state is the body and the bytes that may still pass; none once it has failed.
        let state = Some((body, after));
        Box::pin(stream::unfold(state, move |state| async move {
            let (mut body, left) = state?;
            if left == 0 {
                return Some((Err(failure(verb, kind)), None));
            }
            let piece: Result<Bytes> = body.next().await?;
            let piece = piece.map(|piece| piece.slice(..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))));
            let passed = piece.as_ref().map_or(0, Bytes::len) as u64;
            Some((piece, Some((body, left - passed))))
        }))
    }
}

fn failure(verb: Verb, kind: ErrorKind) -> Error {
    Error::new(kind, "call faulty tier", format!("{verb:?} failed on request of a test"))
}
