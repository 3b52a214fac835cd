//! Who works on a part: what one adopts, another must not replace under its hands.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_base::PartName;
use parking_lot::{Condvar, Mutex};

/// The parts that someone works on.
#[derive(Default)]
pub(crate) struct Claims {
    parts: Mutex<BTreeSet<PartName>>,
    released: Condvar,
    receipts: AtomicU64,
}

impl Claims {
    /// Waits until nobody works on a part, and keeps others from it.
    pub(crate) fn claim(&self, part: &PartName) -> Claim<'_> {
        let mut parts = self.parts.lock();
        while !parts.insert(part.clone()) {
            self.released.wait(&mut parts);
        }
        Claim { claims: self, part: part.clone() }
    }

    /// A number for a receipt, so that two of one part do not write into one file.
    pub(super) fn next_receipt(&self) -> u64 {
        self.receipts.fetch_add(1, Ordering::Relaxed)
    }
}

/// The right to change a part, until it is dropped.
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    part: PartName,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.parts.lock().remove(&self.part);
        self.claims.released.notify_all();
    }
}
