//! What the storage traits promise, as cases that any implementation or wrapper runs.
//!
//! Each suite has a `check` that takes an async function making a fresh tier, and runs every case of the suite against
//! one of its own. It reports all broken promises by name. A test of an implementation is no more than this:
//!
//! ```
//! use std::sync::Arc;
//! use larder_testkit::{clock::FakeClock, memory::Memory, suite};
//!
//! suite::blobs::check(async || suite::blobs::Subject {
//!     blobs: Arc::new(Memory::new(Arc::new(FakeClock::default()))),
//!     keep: Box::new(()),
//! });
//! ```

pub mod blobs;
pub mod entries;
pub mod readers;
pub mod segments;

use std::any::Any;
use std::fmt::Write as _;
use std::time::Duration;

use larder_base::BoxFuture;

/// What must live as long as a tier does: a temporary directory, a server. It is dropped after the case.
pub type Keep = Box<dyn Any + Send + Sync>;

/// A case that has not ended by then hangs. It is long because the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// One promise.
struct Case<S> {
    name: &'static str,
    run: fn(S) -> BoxFuture<'static, ()>,
}

/// The table of a suite; a case that is in no table is dead code to the compiler.
macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        &[$($crate::suite::Case { name: stringify!($case), run: |subject| Box::pin($module::$case(subject)) }),*]
    };
}
use cases;

/// Runs every case, each on a fresh subject and a runtime of its own, and then names the broken ones.
fn check<S: Send + 'static>(suite: &str, cases: &[Case<S>], fresh: impl AsyncFn() -> S) {
    check_within(DEADLINE, suite, cases, fresh);
}

fn check_within<S: Send + 'static>(deadline: Duration, suite: &str, cases: &[Case<S>], fresh: impl AsyncFn() -> S) {
    let mut broken = String::new();
    let mut count = 0;
    for case in cases {
        println!("{suite}: {}", case.name);
        if let Err(reason) = run(deadline, case, &fresh) {
            count += 1;
            write!(broken, "\n  {}: {reason}", case.name).expect("a string takes what is written to it");
        }
    }
    assert!(broken.is_empty(), "{suite}: {count} of {} promises are broken:{broken}", cases.len());
}

fn run<S: Send + 'static>(deadline: Duration, case: &Case<S>, fresh: &impl AsyncFn() -> S) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime needs threads and a poller only");
    let outcome = runtime.block_on(async {
        // On a task of its own, so that a case which blocks its thread does not block the deadline.
        let case = tokio::spawn((case.run)(fresh().await));
        tokio::time::timeout(deadline, case).await
    });
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(stopped)) => Err(reason(stopped)),
        Err(_) => Err(format!("did not end within {} seconds", deadline.as_secs())),
    }
}

fn reason(stopped: tokio::task::JoinError) -> String {
    let Ok(panic) = stopped.try_into_panic() else { return "was cancelled".to_owned() };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "panicked".to_owned(), |message| message.to_string()),
    }
}

#[cfg(test)]
mod tests;
