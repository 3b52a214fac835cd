//! What waits to be sent: a durable list of addresses, in the order they were written.
//!
//! Each is an entry of the local store in a namespace that is this Larder's own. It holds no content: what is sent is what
//! the local store has at the address when its turn comes. The line is written before the entry, so that no entry is there
//! without its line, and remembers the revision it found: after a crash in between, or when the write fails, that is still
//! the one there, and the line is about no write. So it remembers too what waited before it, which goes on waiting then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use larder_base::{
    Access, Clock, ContentHash, DoorName, EntryAddress, EntryBody, EntryPrefix, Error, ErrorKind, Key, Namespace,
    NewEntry, PutIf, Result, Scope, Timestamp, collect,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cache::Tiers;

const DOOR: DoorName = DoorName::new("node-spool");
const NAMESPACE: &str = "~node";
const PAGE: usize = 500;
/// Conflicts and refusals that are remembered; older ones are forgotten.
const NOTES_MAX: usize = 200;
/// Those that are shown.
const NOTES_SHOWN: usize = 10;
const LOCKS: usize = 64;
/// How long one that failed by itself waits before it is tried again, how much longer each time, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(10);
const PAUSE_GROWTH: u32 = 6;
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long a namespace is left alone that is full above.
const PAUSE_FULL: Duration = Duration::from_secs(60);

/// What is to be done above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// To put what is here, unless something is there.
    PutAbsent,
    /// To put what is here.
    PutAlways,
    /// To remove what is there.
    Delete,
}

/// One that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) address: EntryAddress,
    action: Action,
    since: Timestamp,
    /// The revision that was there before.
    before: Option<u64>,
    /// What waited before, and waits still as long as that revision is there.
    earlier: Option<Action>,
    /// Tells this write of the address from a later one.
    pub(super) turn: u64,
    apart: Option<Apart>,
}

/// One that failed, or was among several of which one did: it goes by itself, behind those that did not fail.
#[derive(Clone, Copy, Debug)]
struct Apart {
    tries: u32,
    due: Instant,
}

/// How one that waited ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It is there, or was never needed.
    Done,
    /// Another is there.
    Conflict(String),
    /// It is not wanted there, and stays here.
    Refused(String),
}

#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    namespace: String,
    scope: String,
    door: String,
    key: String,
    action: Action,
    since_ms: u64,
    #[serde(default)]
    before: Option<u64>,
    #[serde(default)]
    earlier: Option<Action>,
    /// Set when it is over and remembered for its reason only.
    #[serde(default)]
    refused: Option<String>,
}

/// What the line says of one that was refused.
struct Refused {
    waiting: Waiting,
    why: String,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u64, Waiting>,
    turns: HashMap<EntryAddress, u64>,
    /// Namespaces that are left alone until then.
    pauses: HashMap<Namespace, Instant>,
    next: u64,
    /// Those that stay here: not wanted above, which their lines tell of, or without a line, as they could not wait.
    refused: HashMap<EntryAddress, Option<Refused>>,
    notes: VecDeque<String>,
    conflicts: usize,
    dropped: u64,
}

pub(super) struct Spool {
    local: Tiers,
    clock: Arc<dyn Clock>,
    max: usize,
    namespace: Namespace,
    state: Mutex<State>,
    locks: Vec<tokio::sync::Mutex<()>>,
}

/// The spool in numbers.
pub(super) struct Summary {
    pub(super) waiting: usize,
    pub(super) oldest: Duration,
    pub(super) conflicts: usize,
    pub(super) refused: usize,
    pub(super) dropped: u64,
    pub(super) notes: Vec<String>,
}

impl Spool {
    /// Reads what an earlier process left. What was refused waits again: the reason may be gone.
    pub(super) async fn open(local: Tiers, clock: Arc<dyn Clock>, max: usize) -> Result<Self> {
        let namespace: Namespace = NAMESPACE.parse().expect("a name in the code is valid");
        let locks = (0..LOCKS).map(|_| tokio::sync::Mutex::default()).collect();
        let spool = Self { local, clock, max, namespace, state: Mutex::default(), locks };
        let all = EntryPrefix {
            namespace: spool.namespace.clone(),
            scope: Some(Scope::Trusted),
            door: Some(DOOR),
            prefix: String::new(),
        };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = spool.local.entries.list(&all, after.as_deref(), PAGE).await?;
            for listed in page.entries {
                if let Some(waiting) = spool.read(&listed.address).await? {
                    found.push(waiting);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // Listed newest first.
        let mut state = State::default();
        for waiting in found.into_iter().rev() {
            state.add(waiting);
        }
        *spool.state.lock() = state;
        Ok(spool)
    }

    async fn read(&self, place: &EntryAddress) -> Result<Option<Waiting>> {
        let Some(entry) = self.local.entries.get(place, Access::Check).await? else { return Ok(None) };
        let value = match entry.inline {
            Some(value) => value,
            None => {
                let all = larder_base::ByteRange::ALL;
                let Some(blob) = self.local.blobs.get(&self.namespace, &entry.blob.hash, all).await? else {
                    return Ok(None);
                };
                collect(blob.body, larder_base::chunk::MAX_LEN).await?
            }
        };
        let bad = |what: String| Error::new(ErrorKind::Corrupt, "read spool", format!("{}: {what}", place.key));
        let line: Line = serde_json::from_slice(&value).map_err(|error| bad(error.to_string()))?;
        let address = EntryAddress {
            namespace: line.namespace.parse()?,
            scope: line.scope.parse()?,
            door: line.door.parse()?,
            key: line.key.parse()?,
        };
        let since = Timestamp::from_millis(line.since_ms);
        Ok(Some(Waiting {
            address,
            action: line.action,
            since,
            before: line.before,
            earlier: line.earlier,
            turn: 0,
            apart: None,
        }))
    }

    /// Held while an address and its line are changed together.
    pub(super) async fn lock(&self, address: &EntryAddress) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = place_hash(address);
        self.locks[usize::from(hash.as_bytes()[0]) % LOCKS].lock().await
    }

    /// Makes an address wait, durably, before it is written over the revision that is there; if it is not written, what
    /// waited goes on waiting. Call with its lock held.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] when as many wait as may; those of the local store.
    pub(super) async fn add(&self, address: &EntryAddress, action: Action, before: Option<u64>) -> Result<Waiting> {
        let since = self.clock.now();
        let mut waiting =
            Waiting { address: address.clone(), action, since, before, earlier: None, turn: 0, apart: None };
        {
            let mut state = self.state.lock();
            if state.waiting.len() >= self.max && !state.turns.contains_key(address) {
                state.dropped += 1;
                // It stays what is served here for as long as that can be remembered.
                if state.refused.len() < self.max {
                    state.refused.insert(address.clone(), None);
                }
                let message = format!("{} entries wait to be sent, and no more may", self.max);
                return Err(Error::new(ErrorKind::Full, "spool entry", message));
            }
            if let Some(earlier) = state.turns.get(address).and_then(|turn| state.waiting.get(turn)) {
                let earlier = earlier.effect(before);
                if action != Action::Delete {
                    waiting.earlier = earlier;
                }
                // What is above is not to win over what is written after its removal.
                if earlier == Some(Action::Delete) && action == Action::PutAbsent {
                    waiting.action = Action::PutAlways;
                }
            }
        }
        self.write(&waiting, None).await?;
        Ok(self.state.lock().add(waiting))
    }

    async fn write(&self, waiting: &Waiting, refused: Option<String>) -> Result<()> {
        let Waiting { address, action, since, before, earlier, .. } = waiting;
        let line = Line {
            version: 1,
            namespace: address.namespace.to_string(),
            scope: address.scope.to_string(),
            door: address.door.to_string(),
            key: address.key.to_string(),
            action: *action,
            since_ms: since.as_millis(),
            before: *before,
            earlier: *earlier,
            refused,
        };
        let value = serde_json::to_vec(&line).expect("names and numbers are JSON");
        let entry = NewEntry {
            body: EntryBody::Value(value.into()),
            attributes: Default::default(),
            links: Arc::new([]),
            writer: "larder".into(),
        };
        self.local.entries.put(&self.place(address), entry, PutIf::Always).await.map(drop)
    }

    /// Ends the wait of one, unless its address was written again meanwhile.
    pub(super) async fn settle(&self, waiting: &Waiting, settled: Settled) -> Result<()> {
        let _lock = self.lock(&waiting.address).await;
        self.settle_locked(waiting, settled).await
    }

    /// As [`Spool::settle`], with the lock held.
    pub(super) async fn settle_locked(&self, waiting: &Waiting, settled: Settled) -> Result<()> {
        let address = &waiting.address;
        if self.state.lock().turns.get(address) != Some(&waiting.turn) {
            return Ok(());
        }
        // First what survives, then what is seen: a crash in between sends once more what is there already.
        match &settled {
            Settled::Refused(why) => self.write(waiting, Some(why.clone())).await?,
            _ => self.local.entries.delete(&self.place(address)).await.map(drop)?,
        }
        let mut state = self.state.lock();
        state.waiting.remove(&waiting.turn);
        state.turns.remove(address);
        let why = match settled {
            Settled::Done => return Ok(()),
            Settled::Conflict(why) => {
                state.conflicts += 1;
                why
            }
            Settled::Refused(why) => {
                if state.refused.len() < self.max {
                    let refused = Refused { waiting: waiting.clone(), why: why.clone() };
                    state.refused.insert(address.clone(), Some(refused));
                }
                why
            }
        };
        let note = format!("{} {}: {why}", address.namespace, address.key);
        tracing::info!(%note, "the upstream did not take an entry");
        state.notes.push_back(note);
        if state.notes.len() > NOTES_MAX {
            state.notes.pop_front();
        }
        Ok(())
    }

    /// Notes a further try of one that goes on waiting; says how many there were. The next is later each time, but for the
    /// second, which is to find out whether it was this one that failed.
    pub(super) fn tried(&self, waiting: &Waiting) -> u32 {
        let mut state = self.state.lock();
        let Some(waiting) = state.waiting.get_mut(&waiting.turn) else { return 0 };
        let tries = waiting.apart.map_or(0, |apart| apart.tries).saturating_add(1);
        let pause = match tries {
            0 | 1 => Duration::ZERO,
            _ => PAUSE_MIN.saturating_mul(PAUSE_GROWTH.saturating_pow(tries - 2)).min(PAUSE_MAX),
        };
        waiting.apart = Some(Apart { tries, due: Instant::now() + pause });
        tries
    }

    /// Has one go by itself, and soon: it is not known that it is this one that failed.
    pub(super) fn set_apart(&self, waiting: &Waiting) {
        if let Some(waiting) = self.state.lock().waiting.get_mut(&waiting.turn) {
            waiting.apart.get_or_insert(Apart { tries: 0, due: Instant::now() });
        }
    }

    /// Leaves a namespace alone for a while in which nothing more fits above.
    pub(super) fn pause(&self, namespace: &Namespace) {
        self.state.lock().pauses.insert(namespace.clone(), Instant::now() + PAUSE_FULL);
    }

    /// When the next of those that wait is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let state = self.state.lock();
        let due = |waiting: &Waiting| {
            let own = waiting.apart.map(|apart| apart.due);
            own.max(state.pauses.get(&waiting.address.namespace).copied())
        };
        state.waiting.values().filter_map(due).min()
    }

    /// Whether what is here counts, and not what is above.
    pub(super) fn is_ours(&self, address: &EntryAddress) -> bool {
        let state = self.state.lock();
        state.turns.contains_key(address) || state.refused.contains_key(address)
    }

    /// Whether the address waits already.
    pub(super) fn waits(&self, address: &EntryAddress) -> bool {
        self.state.lock().turns.contains_key(address)
    }

    /// The first that wait, all of one namespace; or the one that failed least often, by itself, if no others wait and it is
    /// due.
    pub(super) fn first(&self, most: usize) -> Vec<Waiting> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.pauses.retain(|_, until| *until > now);
        let state = &*state;
        let all = || state.waiting.values().filter(|waiting| !state.pauses.contains_key(&waiting.address.namespace));
        let fresh = || all().filter(|waiting| waiting.apart.is_none());
        if let Some(first) = fresh().next() {
            let namespace = &first.address.namespace;
            return fresh().filter(|waiting| waiting.address.namespace == *namespace).take(most).cloned().collect();
        }
        let apart = all().filter_map(|waiting| Some((waiting.apart?, waiting)));
        let due = apart.filter(|(apart, _)| apart.due <= now);
        due.min_by_key(|(apart, waiting)| (apart.tries, waiting.turn))
            .map(|(_, waiting)| waiting.clone())
            .into_iter()
            .collect()
    }

    /// The newest that wait to be put and came before a turn, of those that a listing is of, each with its turn.
    pub(super) fn matching(&self, prefix: &EntryPrefix, before: u64, most: usize) -> Vec<(u64, EntryAddress)> {
        let matches = |address: &EntryAddress| {
            address.namespace == prefix.namespace
                && prefix.scope.as_ref().is_none_or(|scope| *scope == address.scope)
                && prefix.door.as_ref().is_none_or(|door| *door == address.door)
                && address.key.as_str().starts_with(&prefix.prefix)
        };
        let state = self.state.lock();
        let newest = state.waiting.range(..before).rev().map(|(turn, waiting)| (*turn, waiting));
        newest
            .filter(|(_, waiting)| waiting.action != Action::Delete && matches(&waiting.address))
            .take(most)
            .map(|(turn, waiting)| (turn, waiting.address.clone()))
            .collect()
    }

    /// Has the local store keep what waits and what was refused, each with its line: eviction knows nothing of either. A
    /// line that went away all the same is written again.
    pub(super) async fn touch(&self) {
        for address in self.with_lines() {
            if let Err(error) = self.touch_one(&address).await {
                tracing::debug!(key = %address.key, %error, "what waits could not be touched");
            }
        }
    }

    async fn touch_one(&self, address: &EntryAddress) -> Result<()> {
        let _lock = self.lock(address).await;
        let Some((waiting, refused)) = self.state.lock().line_of(address) else { return Ok(()) };
        if self.local.entries.get(&self.place(address), Access::Check).await?.is_none() {
            self.write(&waiting, refused).await?;
        }
        self.local.entries.get(address, Access::Check).await.map(drop)
    }

    /// Every address that has a line.
    fn with_lines(&self) -> Vec<EntryAddress> {
        let state = self.state.lock();
        let refused = state.refused.iter().filter(|(_, refused)| refused.is_some()).map(|(address, _)| address);
        state.turns.keys().chain(refused).cloned().collect()
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn summary(&self, now: Timestamp) -> Summary {
        let state = self.state.lock();
        Summary {
            waiting: state.waiting.len(),
            oldest: state.waiting.values().next().map_or(Duration::ZERO, |first| now.since(first.since)),
            conflicts: state.conflicts,
            refused: state.refused.len(),
            dropped: state.dropped,
            notes: state.notes.iter().rev().take(NOTES_SHOWN).cloned().collect(),
        }
    }

    fn place(&self, address: &EntryAddress) -> EntryAddress {
        let key: Key = place_hash(address).to_hex().parse().expect("hexadecimal digits are a key");
        EntryAddress { namespace: self.namespace.clone(), scope: Scope::Trusted, door: DOOR, key }
    }
}

impl Waiting {
    /// What is to be done above when this revision is here: with its own write here its own action, else that which waited
    /// before it. A removal counts from its line on.
    pub(super) fn effect(&self, here: Option<u64>) -> Option<Action> {
        let is_written = self.action == Action::Delete || (here.is_some() && here != self.before);
        let action = if is_written { Some(self.action) } else { self.earlier };
        // An entry that is not here cannot be put, but a removal before it can be done.
        action.filter(|action| *action == Action::Delete || here.is_some())
    }
}

impl State {
    /// What the line of an address says, if it has one.
    fn line_of(&self, address: &EntryAddress) -> Option<(Waiting, Option<String>)> {
        if let Some(waiting) = self.turns.get(address).and_then(|turn| self.waiting.get(turn)) {
            return Some((waiting.clone(), None));
        }
        let refused = self.refused.get(address)?.as_ref()?;
        Some((refused.waiting.clone(), Some(refused.why.clone())))
    }

    fn add(&mut self, mut waiting: Waiting) -> Waiting {
        if let Some(before) = self.turns.get(&waiting.address) {
            self.waiting.remove(before);
        }
        self.refused.remove(&waiting.address);
        waiting.turn = self.next;
        self.next += 1;
        self.turns.insert(waiting.address.clone(), waiting.turn);
        self.waiting.insert(waiting.turn, waiting.clone());
        waiting
    }
}

fn place_hash(address: &EntryAddress) -> ContentHash {
    let EntryAddress { namespace, scope, door, key } = address;
    ContentHash::of(format!("{namespace}\n{scope}\n{door}\n{key}").as_bytes())
}
