//! The one thread that appends to the log.
//!
//! Whoever wants to write submits an operation: a closure that looks at the rows as they are, decides, and appends
//! records. The thread runs all that wait, one after the other, writes what they appended with one call, makes it durable
//! with one sync, publishes the rows and then answers. Who arrives during a sync shares the next one; there is no timer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use larder_base::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};

use crate::checkpoint::Checkpointer;
use crate::core::Core;
use crate::disk::OnDisk;
use crate::files::segment_path;
use crate::group::Group;
use crate::index::{Table, meta};
use crate::log::ActiveLog;
use crate::options::Durability;
use crate::row::Position;

/// Bytes that may wait in the queue before the next submitter waits.
const QUEUE_MAX: u64 = 64 << 20;
/// Bytes after which no more operations join a group.
const GROUP_MAX: u64 = 8 << 20;

/// How an operation is to be treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// About the bytes it will append.
    pub(crate) weight: u64,
    /// Its answer waits for the sync (under [`Durability::Synced`]).
    pub(crate) durable: bool,
    /// It may go beyond the quota, because it frees space or is tiny and keeps a promise.
    pub(crate) beyond_quota: bool,
}

impl Terms {
    /// A write of about so many bytes.
    pub(crate) fn write(weight: u64) -> Self {
        Self { weight, durable: true, beyond_quota: false }
    }

    /// A write that the store makes to keep its house.
    pub(crate) fn housekeeping(weight: u64) -> Self {
        Self { weight, durable: true, beyond_quota: true }
    }

    /// The answer need not wait for the sync: nothing is promised yet.
    pub(crate) fn unsynced(self) -> Self {
        Self { durable: false, ..self }
    }
}

/// Why a whole group came to nothing; every operation in it gets this.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
}

impl Refusal {
    fn of(error: &Error) -> Self {
        let mut message = error.message().to_owned();
        if let Some(source) = std::error::Error::source(error) {
            message = format!("{message}: {source}");
        }
        Self { kind: error.kind(), message, hint: error.hint() }
    }

    fn error(&self) -> Error {
        let error = Error::new(self.kind, "write to the log", self.message.clone());
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

trait Operation: Send {
    fn terms(&self) -> Terms;
    fn relay(&self) -> Option<&Arc<Relay>>;
    fn run(&mut self, group: &mut Group<'_>);
    fn refuse(&mut self, error: Error);
    fn answer(self: Box<Self>, outcome: std::result::Result<(), &Refusal>);
}

struct Call<T, Op, Done> {
    terms: Terms,
    relay: Option<Arc<Relay>>,
    op: Option<Op>,
    result: Option<Result<T>>,
    done: Done,
}

impl<T, Op, Done> Operation for Call<T, Op, Done>
where
    T: Send,
    Op: FnOnce(&mut Group<'_>) -> Result<T> + Send,
    Done: FnOnce(Result<T>) + Send,
{
    fn terms(&self) -> Terms {
        self.terms
    }

    fn relay(&self) -> Option<&Arc<Relay>> {
        self.relay.as_ref()
    }

    fn run(&mut self, group: &mut Group<'_>) {
        if let Some(op) = self.op.take() {
            self.result = Some(op(group));
        }
    }

    fn refuse(&mut self, error: Error) {
        self.op = None;
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>, outcome: std::result::Result<(), &Refusal>) {
        let result = match (self.result, outcome) {
            (Some(Ok(_)), Err(refusal)) => Err(refusal.error()),
            (Some(result), _) => result,
            (None, _) => Err(stopped()),
        };
        (self.done)(result);
    }
}

/// Takes the answers of a group to where they are waited for, all at once: the committer would wake that place once for each
/// of them. It must not block.
pub(crate) struct Relay(Box<dyn Fn(Answers) + Send + Sync>);

impl Relay {
    pub(crate) fn new(take: impl Fn(Answers) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(take)))
    }
}

/// What a group came to, for some of those that wait for it. They are answered when this is dropped, and so however a relay
/// ends.
pub(crate) struct Answers {
    operations: Vec<Box<dyn Operation>>,
    outcome: std::result::Result<(), Refusal>,
}

impl Answers {
    /// Answers all operations of a group, those with a relay through it.
    fn give(operations: Vec<Box<dyn Operation>>, outcome: &std::result::Result<(), Refusal>) {
        let to_some = |operations| Self { operations, outcome: outcome.clone() };
        let mut by_relay: Vec<(Arc<Relay>, Self)> = Vec::new();
        let mut here = to_some(Vec::new());
        for operation in operations {
            let Some(relay) = operation.relay() else {
                here.operations.push(operation);
                continue;
            };
            match by_relay.iter_mut().find(|(known, _)| Arc::ptr_eq(known, relay)) {
                Some((_, answers)) => answers.operations.push(operation),
                None => by_relay.push((Arc::clone(relay), to_some(vec![operation]))),
            }
        }
        for (relay, answers) in by_relay {
            (relay.0)(answers);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for operation in std::mem::take(&mut self.operations) {
            operation.answer(self.outcome.as_ref().copied());
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "write to the log", "the store is closed")
}

#[derive(Default)]
struct Waiting {
    operations: VecDeque<Box<dyn Operation>>,
    bytes: u64,
    closed: bool,
}

/// What waits for the committer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    taken: Condvar,
}

impl Queue {
    /// Hands an operation to the committer; `done` is called once, on the committer's thread, and must not block. Waits
    /// while too many bytes are queued, except for what the store itself must write.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        terms: Terms,
        op: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.submit_through(None, terms, op, done);
    }

    /// As [`Queue::submit`], with `done` called where the relay, if there is one, takes the answer.
    pub(crate) fn submit_through<T: Send + 'static>(
        &self,
        relay: Option<Arc<Relay>>,
        terms: Terms,
        op: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let mut waiting = self.waiting.lock();
        while waiting.bytes > QUEUE_MAX && !waiting.closed && !terms.beyond_quota {
            self.taken.wait(&mut waiting);
        }
        if waiting.closed {
            drop(waiting);
            return done(Err(stopped()));
        }
        waiting.bytes += terms.weight;
        waiting.operations.push_back(Box::new(Call { terms, relay, op: Some(op), result: None, done }));
        self.arrived.notify_one();
    }

    /// As [`Queue::submit`], and waits for the answer.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        terms: Terms,
        op: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.submit(terms, op, move |result| {
            // The other end waits for exactly this.
            let _ = sender.send(result);
        });
        receiver.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// What waits, for one group; `None` once the queue is closed and empty.
    fn take(&self) -> Option<Vec<Box<dyn Operation>>> {
        let mut waiting = self.waiting.lock();
        while waiting.operations.is_empty() {
            if waiting.closed {
                return None;
            }
            self.arrived.wait(&mut waiting);
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < GROUP_MAX
            && let Some(operation) = waiting.operations.pop_front()
        {
            bytes += operation.terms().weight;
            taken.push(operation);
        }
        waiting.bytes -= bytes;
        self.taken.notify_all();
        Some(taken)
    }

    /// How many operations wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().operations.len()
    }

    /// Takes nothing more; what was taken is still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.arrived.notify_all();
        self.taken.notify_all();
    }
}

/// Closes the queue however the thread ends, so that nobody waits for ever.
struct Closing(Arc<Core>);

impl Drop for Closing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.poison(&Error::new(ErrorKind::Failed, "write to the log", "the writing thread panicked"));
        }
        self.0.queue.close();
        let left = std::mem::take(&mut self.0.queue.waiting.lock().operations);
        drop(left);
    }
}

/// Runs until the queue is closed and everything in it is done.
pub(crate) fn run(core: &Arc<Core>, checkpointer: &Checkpointer, mut log: ActiveLog) {
    let closing = Closing(Arc::clone(core));
    while let Some(operations) = core.queue.take() {
        if log.check_room(core, 2).is_err() {
            // Left so by a process that died, or while the quota was larger: nothing is refused before it was tried.
            seal_if_full(core, &mut log);
        }
        run_group(core, checkpointer, &mut log, operations);
        seal_if_full(core, &mut log);
        checkpointer.log_grew(core, log.appended());
    }
    log.end(core);
    drop(closing);
}

/// Seals a segment that is full and goes on in a new one, if the disk takes it.
fn seal_if_full(core: &Core, log: &mut ActiveLog) {
    if log.is_full(core.segment_len())
        && core.health.check("seal segment").is_ok()
        && let Err(error) = log.roll(core)
    {
        if error.kind() == ErrorKind::Full {
            core.usage.disk_full.store(true, Ordering::Relaxed);
        } else {
            core.health.poison(&error);
        }
    }
}

fn run_group(core: &Core, checkpointer: &Checkpointer, log: &mut ActiveLog, mut operations: Vec<Box<dyn Operation>>) {
    let mut group = Group::new(core, log.segment, log.offset, log.ordinal, operations.len());
    for operation in &mut operations {
        let terms = operation.terms();
        let allowed = core.health.check("write").and_then(|()| {
            if terms.beyond_quota {
                // What frees space may still be written where nothing else is.
                return log.check_room(core, 3);
            }
            log.check_room(core, 2)?;
            core.check_index()?;
            if core.usage.fits(group.len() + terms.weight) { Ok(()) } else { Err(core.usage.full("write")) }
        });
        match allowed {
            Ok(()) => {
                group.durable |= terms.durable;
                operation.run(&mut group);
            }
            Err(error) => operation.refuse(error),
        }
    }
    let relaxed = core.options.durability == Durability::Relaxed;
    let early = relaxed && group.after_sync.is_empty();
    let sync = group.durable;
    let outcome = log.write(core, group, sync && !early).map_err(|error| Refusal::of(&error));
    Answers::give(operations, &outcome);
    if sync && early && outcome.is_ok() {
        // Who was answered did not wait for this. A failure shows in the next write.
        checkpointer.sync_soon();
    }
}

impl ActiveLog {
    /// Appends a group, syncs it if asked, and publishes its rows. On an error nothing of the group took effect; unless
    /// the error is that the disk is full, the store is poisoned.
    fn write(&mut self, core: &Core, mut group: Group<'_>, sync: bool) -> Result<()> {
        group.finish(self.synced)?;
        let (end, ordinals) = (group.end(), group.ordinals());
        let before = group.segment(self.segment)?;
        let lines = std::mem::take(&mut group.lines);
        let pieces = std::mem::take(&mut group.pieces);
        if !lines.is_empty() {
            self.append(core, &pieces, end, sync)?;
        }
        let poisoning = |error: Error| {
            core.health.poison(&error);
            error
        };
        if sync && !lines.is_empty() {
            self.sync_to(core, end).map_err(poisoning)?;
        }
        for action in std::mem::take(&mut group.after_sync) {
            action(core).map_err(poisoning)?;
        }
        let now = group.now;
        // A mark that a power cut may forget is due again. Relaxed stores promise nothing beyond that.
        let is_durable = sync || core.options.durability == Durability::Relaxed;
        for (due, held) in [(&group.due, false), (&group.held_due, true)].into_iter().filter(|_| is_durable) {
            due.iter().for_each(|segment| core.heat.marked(*segment, now, held));
        }
        if !lines.is_empty() {
            core.heat.written(self.segment, ordinals.clone(), now);
            if is_durable {
                core.heat.marked(self.segment, now, false);
            }
            let position = Position { segment: self.segment, offset: end, ordinal: ordinals.end };
            group.set(Table::Meta, meta::POSITION, position.encode());
            let row = self.row(end, ordinals.end, now, before);
            group.set(Table::Segments, &self.segment.to_be_bytes(), row.encode());
            core.usage.segments.fetch_add(end - self.offset, Ordering::Relaxed);
            self.advance(end, ordinals.end, lines);
        }
        core.publish(group.into_changes());
        Ok(())
    }

    /// Writes at the end of the segment, which is at `end` then. What could not be written is cut off again.
    fn append(&mut self, core: &Core, pieces: &[Bytes], end: u64, sync: bool) -> Result<()> {
        let path = segment_path(self.segment);
        let error = match self.write_pieces(pieces, sync, core.segment_len()).at("append to segment", &path) {
            Ok(past_memory) => {
                if past_memory {
                    core.read_ahead.wrote(self.segment, self.offset..end);
                }
                core.usage.disk_full.store(false, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => error,
        };
        match self.cut().at("cut segment after a failed write", &path) {
            Ok(()) if error.kind() == ErrorKind::Full => core.usage.disk_full.store(true, Ordering::Relaxed),
            Ok(()) => core.health.poison(&error),
            Err(cut) => core.health.poison(&cut),
        }
        Err(error)
    }
}

#[cfg(test)]
pub(crate) mod tests;
