//! Single flight: who wants the same thing waits for whoever fetches it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

/// Things that are being fetched, by name.
pub(super) struct Turns<K>(Mutex<HashMap<K, Arc<Lock<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// The right to fetch one of them; given back when dropped.
pub(super) struct Turn<K: Hash + Eq> {
    turns: Arc<Turns<K>>,
    name: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Waits for one's turn.
    pub(super) async fn take(self: &Arc<Self>, name: K) -> Turn<K> {
        let lock = Arc::clone(self.0.lock().entry(name.clone()).or_default());
        // Made before the wait, so that one who gives up waiting tidies up too.
        let mut turn = Turn { turns: self.clone(), name, guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

impl<K: Hash + Eq> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        drop(self.guard.take());
        if turns.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            turns.remove(&self.name);
        }
    }
}
