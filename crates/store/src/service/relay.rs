//! How answers come from the committer to a runtime of one thread: those of a group with one wake.
//!
//! To wake a task of such a runtime from another thread is a system call each time; to wake it from a task of the same
//! runtime is none. So one task a runtime takes the answers in and wakes those who wait for them. It runs when they run: while
//! somebody drives the runtime.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::mpsc;

use crate::committer::Relay;

thread_local! {
    /// The relay of the runtime that this thread was last in.
    static LAST: RefCell<Option<(Id, Arc<Relay>)>> = const { RefCell::new(None) };
}

/// The relay to whoever waits in the present runtime; `None` where each is better woken alone.
pub(super) fn here() -> Option<Arc<Relay>> {
    let runtime = Handle::try_current().ok()?;
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return None;
    }
    LAST.with_borrow_mut(|last| {
        let known = last.as_ref().filter(|(id, _)| *id == runtime.id());
        let relay = known.map_or_else(|| begin(&runtime), |(_, relay)| Arc::clone(relay));
        *last = Some((runtime.id(), Arc::clone(&relay)));
        Some(relay)
    })
}

fn begin(runtime: &Handle) -> Arc<Relay> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    #[expect(clippy::disallowed_methods, reason = "it holds nothing but answers, and ends with its runtime")]
    runtime.spawn(async move {
        while let Some(answers) = receiver.recv().await {
            drop(answers);
        }
    });
    // Once the runtime has ended they come back, and are dropped and so given here.
    Relay::new(move |answers| drop(sender.send(answers)))
}

#[cfg(test)]
mod tests;
