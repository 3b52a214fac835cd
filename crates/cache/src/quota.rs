//! How much a namespace may hold, and how much it does.
//!
//! What is compared with a quota is what the entries of a namespace take once stored: every chunk counted once, as it
//! lies on the disk. Who measures that, and removes what is too much, is a job of the application; here is what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use larder_base::{Error, ErrorKind, Namespace, Result, Timestamp};
use parking_lot::Mutex;

const RAISE: &str = "save less, or have the operator raise the quota of the namespace or of its writers";

/// How much the entries of one namespace may take, in bytes as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// All of them together; `None` is as much as the store has.
    pub namespace: Option<u64>,
    /// Those of each writer.
    pub owner: Option<u64>,
}

impl Limits {
    /// The least of the limits.
    fn least(self) -> Option<u64> {
        self.namespace.into_iter().chain(self.owner).min()
    }
}

/// What the entries of a namespace, or of one of its writers, take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes of what they hold, before compression, each entry by itself.
    pub logical_bytes: u64,
    /// Bytes of the records that they need, each counted once.
    pub stored_bytes: u64,
    /// The same for each writer; what two of them need counts for both.
    pub owners: BTreeMap<String, Usage>,
    /// When this was measured.
    pub measured: Timestamp,
}

/// The limits of every namespace, and what was last measured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    default: Limits,
    named: BTreeMap<Namespace, Limits>,
    usage: BTreeMap<Namespace, Usage>,
    changed: BTreeSet<Namespace>,
}

impl Quotas {
    /// Sets the limits: of all namespaces, and those of some that have their own.
    pub fn set_limits(&self, default: Limits, named: BTreeMap<Namespace, Limits>) {
        let mut inner = self.inner.lock();
        (inner.default, inner.named) = (default, named);
    }

    /// The limits of a namespace.
    pub fn limits(&self, namespace: &Namespace) -> Limits {
        let inner = self.inner.lock();
        inner.named.get(namespace).copied().unwrap_or(inner.default)
    }

    /// Refuses an entry that takes at least `stored` bytes when it would not fit even if every other one were removed for it.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], saying what it takes and what may be.
    pub fn check_fits(&self, namespace: &Namespace, stored: u64) -> Result<()> {
        match self.limits(namespace).least() {
            Some(limit) if stored > limit => Err(Error::new(
                ErrorKind::TooLarge,
                "admit entry",
                format!(
                    "it takes {stored} bytes as stored, and {limit} is all that namespace {namespace} may hold for it"
                ),
            )
            .with_hint(RAISE)),
            _ => Ok(()),
        }
    }

    /// The most bytes of a value whose size is not known yet, and the refusal of a larger one: `None` where nothing but the
    /// store limits it. A value counts as it is sent here, because what it takes once stored is only known then.
    pub(crate) fn most(&self, namespace: &Namespace) -> Option<(u64, Error)> {
        let most = self.limits(namespace).least()?;
        let message = format!("it has more than {most} bytes, which is all that namespace {namespace} may hold for it");
        Some((most, Error::new(ErrorKind::TooLarge, "admit entry", message).with_hint(RAISE)))
    }

    /// Notes that something was written or removed, so that what was measured may be wrong.
    pub fn note_change(&self, namespace: &Namespace) {
        let mut inner = self.inner.lock();
        if !inner.changed.contains(namespace) {
            inner.changed.insert(namespace.clone());
        }
    }

    /// The namespaces that changed since this was last asked.
    pub fn take_changed(&self) -> BTreeSet<Namespace> {
        std::mem::take(&mut self.inner.lock().changed)
    }

    /// Keeps what was measured; a namespace without entries is forgotten.
    pub fn record(&self, namespace: &Namespace, usage: Usage) {
        let mut inner = self.inner.lock();
        if usage.entries == 0 {
            inner.usage.remove(namespace);
        } else {
            inner.usage.insert(namespace.clone(), usage);
        }
    }

    /// What was last measured of each namespace that holds something.
    pub fn usage(&self) -> BTreeMap<Namespace, Usage> {
        self.inner.lock().usage.clone()
    }
}

#[cfg(test)]
mod tests;
