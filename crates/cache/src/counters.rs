//! What is counted, once for every door.

use std::sync::Arc;

use larder_base::{DoorName, ErrorKind, Namespace, PutOutcome, Result as BaseResult};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How an operation of a door ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A lookup found its entry.
    Hit,
    /// A lookup found nothing.
    Miss,
    /// A write was stored.
    Stored,
    /// A write found an equal or immutable entry and changed nothing.
    Kept,
    /// A write lacked blobs it needs.
    Incomplete,
    /// It failed.
    Error(ErrorKind),
}

impl Outcome {
    /// How a put ended.
    pub(crate) fn of_put(outcome: &BaseResult<PutOutcome>) -> Self {
        match outcome {
            Ok(PutOutcome::Stored(_)) => Self::Stored,
            Ok(PutOutcome::Kept(_)) => Self::Kept,
            Ok(PutOutcome::Incomplete(_)) => Self::Incomplete,
            Err(error) => Self::Error(error.kind()),
        }
    }

    /// One lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stored => "stored",
            Self::Kept => "kept",
            Self::Incomplete => "incomplete",
            Self::Error(kind) => kind.as_str(),
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// A name as a label. Counting clones it, which takes no memory for a namespace nor for a door known to the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Label<T>(T);

impl EncodeLabelValue for Label<DoorName> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for Label<Namespace> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    door: Label<DoorName>,
    namespace: Label<Namespace>,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BytesLabels {
    door: Label<DoorName>,
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SoftAnswerLabels {
    door: Label<DoorName>,
    client: &'static str,
    outcome: Outcome,
}

/// The counters of one process. Hit ratios come from `lookups` alone: blob reads would flatter them.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    inner: Arc<Families>,
}

#[derive(Debug, Default)]
struct Families {
    lookups: Family<OperationLabels, Counter>,
    writes: Family<OperationLabels, Counter>,
    bytes: Family<BytesLabels, Counter>,
    soft_answers: Family<SoftAnswerLabels, Counter>,
}

impl Counters {
    /// Makes the counters known to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("larder_lookups", "Lookups of entries, by outcome", self.inner.lookups.clone());
        registry.register("larder_writes", "Writes of entries, by outcome", self.inner.writes.clone());
        registry.register("larder_bytes", "Bytes of values that crossed a door", self.inner.bytes.clone());
        registry.register(
            "larder_soft_answers",
            "Faults that a client was not told of, so that its build goes on",
            self.inner.soft_answers.clone(),
        );
    }

    /// Counts one lookup.
    pub fn lookup(&self, door: &DoorName, namespace: &Namespace, outcome: Outcome) {
        self.inner.lookups.get_or_create(&operation(door, namespace, outcome)).inc();
    }

    /// Counts one write.
    pub fn write(&self, door: &DoorName, namespace: &Namespace, outcome: Outcome) {
        self.inner.writes.get_or_create(&operation(door, namespace, outcome)).inc();
    }

    /// Counts bytes that came in through a door.
    pub fn bytes_in(&self, door: &DoorName, bytes: u64) {
        self.inner.bytes.get_or_create(&BytesLabels { door: Label(door.clone()), direction: "in" }).inc_by(bytes);
    }

    /// Counts bytes that went out through a door.
    pub fn bytes_out(&self, door: &DoorName, bytes: u64) {
        self.inner.bytes.get_or_create(&BytesLabels { door: Label(door.clone()), direction: "out" }).inc_by(bytes);
    }

    /// Counts one fault that a client was answered a miss or a success for, so that its build goes on. `client` is the
    /// tool as the door calls it.
    pub fn soft_answer(&self, door: &DoorName, client: &'static str, fault: ErrorKind) {
        self.inner.soft_answers.get_or_create(&soft_answer(door, client, fault)).inc();
    }

    /// Soft answers so far for this fault, of one door and client.
    pub fn soft_answers(&self, door: &DoorName, client: &'static str, fault: ErrorKind) -> u64 {
        self.inner.soft_answers.get_or_create(&soft_answer(door, client, fault)).get()
    }

    /// Lookups so far with this outcome, of one door and namespace.
    pub fn lookups(&self, door: &DoorName, namespace: &Namespace, outcome: Outcome) -> u64 {
        self.inner.lookups.get_or_create(&operation(door, namespace, outcome)).get()
    }
}

fn soft_answer(door: &DoorName, client: &'static str, fault: ErrorKind) -> SoftAnswerLabels {
    SoftAnswerLabels { door: Label(door.clone()), client, outcome: Outcome::Error(fault) }
}

fn operation(door: &DoorName, namespace: &Namespace, outcome: Outcome) -> OperationLabels {
    OperationLabels { door: Label(door.clone()), namespace: Label(namespace.clone()), outcome }
}
