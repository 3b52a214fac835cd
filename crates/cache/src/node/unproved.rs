//! What came from above, was passed on to a reader who checks it, and is not proved here.
//!
//! Such a part is *received* and not *adopted*: it lies on the disk, and for everybody in the store it is not there. Proving it
//! is adopting it, which verifies every chunk. That is done when nothing is being fetched, so that it takes no time from a
//! restore, and before that for whoever asks for one of its chunks. What a crash leaves unproved is nobody's part, and is swept
//! as the parts of uploads that have ended are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use larder_base::{BoxFuture, ContentHash, Error, ErrorKind, Namespace, PartName, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::turns::Turns;
use super::{Node, add};
use crate::jobs::{Job, Next};

/// How long nothing is fetched before what came is proved unasked: a restore pauses for less between two questions.
const QUIET: Duration = Duration::from_secs(2);
/// How long a client waits for what it asks for to be proved, beside what it waits for the Larder above.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a part waits for quiet at most: a client that never reads its answer to the end must not keep it waiting.
const LONGEST: Duration = Duration::from_secs(60);
/// The most chunks that wait, a hundred bytes of memory each.
const CHUNKS_MAX: usize = 500_000;
/// How often the job looks when nothing tells it to.
const IDLE: Duration = Duration::from_secs(3600);

/// A part of which every record names a chunk that was asked for, and has right checksums.
pub(super) struct Part {
    pub(super) name: PartName,
    pub(super) namespace: Namespace,
    pub(super) length: u64,
    pub(super) chunks: Vec<ContentHash>,
    since: Instant,
}

/// A part that is being received; given up when this is dropped.
pub(super) struct Expected<'a> {
    unproved: &'a Unproved,
    name: PartName,
    has_arrived: bool,
}

impl Expected<'_> {
    /// The part was received and waits from here on.
    pub(super) fn arrived(mut self, namespace: &Namespace, length: u64, chunks: Vec<ContentHash>) {
        self.has_arrived = true;
        let (name, namespace) = (self.name.clone(), namespace.clone());
        self.unproved.add(Part { name, namespace, length, chunks, since: Instant::now() });
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        if !self.has_arrived {
            // Whoever fetched it may be gone while the disk still has it to write: the sweep takes what comes of that.
            self.unproved.state.lock().names.remove(&self.name);
        }
    }
}

/// All parts that wait to be proved.
pub(super) struct Unproved {
    /// The most bytes that wait, but for a single part that is larger: before more are put by, the oldest are proved.
    most_bytes: u64,
    state: Mutex<State>,
    /// Parts that are being proved, by number.
    proofs: Arc<Turns<u64>>,
}

struct State {
    next: u64,
    /// By number, the oldest first.
    parts: BTreeMap<u64, Arc<Part>>,
    places: HashMap<(Namespace, ContentHash), u64>,
    /// The names of these and of those that are being received.
    names: BTreeSet<PartName>,
    bytes: u64,
    fetches: usize,
    /// When the last fetch ended.
    fetched: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            next: 0,
            parts: BTreeMap::new(),
            places: HashMap::new(),
            names: BTreeSet::new(),
            bytes: 0,
            fetches: 0,
            fetched: Instant::now(),
        }
    }
}

/// That something is being fetched, until it is dropped.
pub(super) struct Fetching {
    node: Node,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let mut state = self.node.inner.unproved.state.lock();
        state.fetches -= 1;
        state.fetched = Instant::now();
    }
}

impl Unproved {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self { most_bytes, state: Mutex::default(), proofs: Arc::default() }
    }

    /// Whether a part is one of these, or is about to be.
    pub(super) fn is_ours(&self, part: &PartName) -> bool {
        self.state.lock().names.contains(part)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Before a part is received.
    pub(super) fn expect(&self, name: &PartName) -> Expected<'_> {
        self.state.lock().names.insert(name.clone());
        Expected { unproved: self, name: name.clone(), has_arrived: false }
    }

    fn add(&self, part: Part) {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.bytes += part.length;
        for chunk in &part.chunks {
            state.places.insert((part.namespace.clone(), *chunk), number);
        }
        state.parts.insert(number, Arc::new(part));
    }

    /// The oldest, if it must be proved before so many bytes and chunks more may wait.
    fn in_the_way_of(&self, bytes: u64, chunks: usize) -> Option<u64> {
        let state = self.state.lock();
        let is_full = state.bytes + bytes > self.most_bytes || state.places.len() + chunks > CHUNKS_MAX;
        state.parts.keys().next().copied().filter(|_| is_full)
    }

    /// The oldest, and how long it is left alone still.
    fn due(&self) -> Option<(u64, Duration)> {
        let state = self.state.lock();
        let (first, part) = state.parts.first_key_value()?;
        let quiet = if state.fetches > 0 { QUIET } else { QUIET.saturating_sub(state.fetched.elapsed()) };
        Some((*first, quiet.min(LONGEST.saturating_sub(part.since.elapsed()))))
    }

    /// Those that have one of these chunks.
    fn with(&self, namespace: &Namespace, chunks: &[ContentHash]) -> BTreeSet<u64> {
        let state = self.state.lock();
        if state.places.is_empty() {
            return BTreeSet::new();
        }
        chunks.iter().filter_map(|chunk| state.places.get(&(namespace.clone(), *chunk)).copied()).collect()
    }

    fn get(&self, number: u64) -> Option<Arc<Part>> {
        self.state.lock().parts.get(&number).cloned()
    }

    fn remove(&self, number: u64) {
        let mut state = self.state.lock();
        let Some(part) = state.parts.remove(&number) else { return };
        state.bytes -= part.length;
        state.names.remove(&part.name);
        for chunk in &part.chunks {
            let place = (part.namespace.clone(), *chunk);
            if state.places.get(&place) == Some(&number) {
                state.places.remove(&place);
            }
        }
    }
}

impl Node {
    /// Keeps what came unasked from being proved until this is dropped.
    pub(super) fn fetching(&self) -> Fetching {
        self.inner.unproved.state.lock().fetches += 1;
        Fetching { node: self.clone() }
    }

    /// Proves what came of these chunks, as far as a client may be kept waiting: what is not proved then is not here.
    pub(super) async fn prove(&self, namespace: &Namespace, chunks: &[ContentHash]) {
        let parts = self.inner.unproved.with(namespace, chunks);
        if parts.is_empty() {
            return;
        }
        let proving = async {
            for part in parts {
                self.prove_part(part).await;
            }
        };
        // Whoever asks for them next waits for the rest.
        let _ = timeout(PATIENCE, proving).await;
    }

    /// Proves until so much more may wait, as far as a client may be kept waiting for it; says whether it may.
    pub(super) async fn prove_to_fit(&self, bytes: u64, chunks: usize) -> bool {
        let proving = async {
            while let Some(part) = self.inner.unproved.in_the_way_of(bytes, chunks) {
                self.prove_part(part).await;
            }
        };
        timeout(PATIENCE, proving).await.is_ok()
    }

    async fn prove_part(&self, number: u64) {
        let inner = &self.inner;
        let _turn = inner.unproved.proofs.take(number).await;
        let Some(part) = inner.unproved.get(number) else { return };
        match self.adopt_part(&part).await {
            Ok(()) => {
                add(&inner.counts.kept, part.length);
                if !inner.copies.lock().is_empty() {
                    self.wake_pushing();
                }
            }
            Err(error) if error.kind() == ErrorKind::Invalid => {
                add(&inner.counts.bad, 1);
                let message = format!("what it sent is not what it was asked for: {error}");
                inner.circuit.failed(&Error::new(ErrorKind::Corrupt, "prove records", message));
            }
            Err(error) => tracing::debug!(%error, "records from above could not be kept"),
        }
        // Only now: whoever looked for its chunks meanwhile waits for its turn.
        inner.unproved.remove(number);
    }

    async fn adopt_part(&self, part: &Part) -> Result<()> {
        let segments = &self.inner.local.segments;
        let adopted = segments.adopt(&part.namespace, &part.name, part.length).await;
        if adopted.is_err() {
            segments.discard(&part.name.upload).await?;
        }
        adopted.map(drop)
    }
}

/// The job that proves.
pub(super) struct Proving {
    node: Node,
}

impl Proving {
    pub(super) fn new(node: Node) -> Self {
        Self { node }
    }
}

impl Job for Proving {
    fn name(&self) -> &'static str {
        "node-prove"
    }

    fn step(&self) -> BoxFuture<'_, Result<Next>> {
        Box::pin(async {
            match self.node.inner.unproved.due() {
                None => Ok(Next::After(IDLE)),
                Some((part, wait)) if wait.is_zero() => {
                    self.node.prove_part(part).await;
                    Ok(Next::Now)
                }
                Some((_, wait)) => Ok(Next::Soon(wait)),
            }
        })
    }

    fn status(&self) -> String {
        format!("{} bytes came from above and are still to be proved", self.node.inner.unproved.bytes())
    }
}
