//! The uploads that wait to be committed. What is durable about it are the uploads themselves: this is only an order.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use larder_base::{EntryAddress, UploadId};
use larder_cache::JobHandle;
use tokio::sync::{Notify, watch};

/// The commit queue of this process.
pub(crate) struct Queue {
    line: Mutex<Line>,
    /// How many may wait. Uploads that are finished already are let in beyond it: they are promises.
    places: usize,
    job: OnceLock<JobHandle>,
    arrived: Notify,
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Turn>,
    /// Places that were given to uploads about to be finished.
    reserved: usize,
    /// Waiting or being committed.
    known: HashSet<UploadId>,
    /// The addresses whose commits are under way: one at a time each.
    busy: HashSet<EntryAddress>,
}

/// An upload whose turn it is, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) upload: UploadId,
    pub(crate) address: EntryAddress,
}

/// A place in the queue that is held for an upload about to be finished.
pub(crate) struct Place<'a>(&'a Queue);

impl Queue {
    pub(crate) fn new(places: usize) -> Self {
        let (ended, _) = watch::channel(());
        Self { line: Mutex::default(), places, job: OnceLock::new(), arrived: Notify::new(), ended }
    }

    /// Names the job that is woken when an upload arrives.
    pub(crate) fn wake_with(&self, job: JobHandle) {
        // Set once, when the door is opened.
        let _ = self.job.set(job);
    }

    /// A place, if there is one.
    pub(crate) fn reserve(&self) -> Option<Place<'_>> {
        let mut line = self.line();
        if line.known.len() + line.reserved >= self.places {
            return None;
        }
        line.reserved += 1;
        Some(Place(self))
    }

    /// Puts an upload in the queue unless it is there.
    pub(crate) fn ensure(&self, upload: &UploadId, address: EntryAddress) {
        let mut line = self.line();
        if line.known.insert(upload.clone()) {
            line.waiting.push_back(Turn { upload: upload.clone(), address });
            drop(line);
            self.wake();
        }
    }

    /// The first upload whose key is free.
    pub(crate) fn take(&self) -> Option<Turn> {
        let mut line = self.line();
        let first = line.waiting.iter().position(|turn| !line.busy.contains(&turn.address))?;
        let turn = line.waiting.remove(first)?;
        line.busy.insert(turn.address.clone());
        Some(turn)
    }

    /// Says that a turn is over.
    pub(crate) fn done(&self, turn: &Turn) {
        let mut line = self.line();
        line.known.remove(&turn.upload);
        line.busy.remove(&turn.address);
        drop(line);
        self.ended.send_replace(());
    }

    /// How many wait, and how many are being committed.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        let line = self.line();
        (line.waiting.len(), line.busy.len())
    }

    /// Changes whenever a turn is over.
    pub(crate) fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// Waits for an upload to arrive.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    fn wake(&self) {
        self.arrived.notify_one();
        if let Some(job) = self.job.get() {
            job.wake();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Every change above is whole before anything could panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Takes the place.
    pub(crate) fn fill(self, upload: &UploadId, address: EntryAddress) {
        self.0.ensure(upload, address);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.line().reserved -= 1;
    }
}
