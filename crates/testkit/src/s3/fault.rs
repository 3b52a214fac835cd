//! What can be broken, and when.

use std::collections::BTreeSet;

use super::Operation;

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and code, and nothing is done.
    Refuse(u16, &'static str),
    /// It is answered 200 after some white space, with an error of this code inside, and nothing is done.
    RefuseInside(&'static str),
    /// The connection is closed, and nothing is done.
    Reset,
    /// It is done, and the connection is closed without an answer.
    ResetAfter,
    /// It is done, and the body of the answer breaks off after so many bytes.
    BreakOff(usize),
    /// It is done, and the body of the answer stops after so many bytes.
    Stall(usize),
    /// It waits, its body unread, until the test lets it go on ([`super::FakeS3::release`]).
    Hold,
    /// As `Hold`, with at least so many bytes of its body read.
    HoldBody(usize),
    /// It is done, and its answer waits.
    HoldAnswer,
    /// None: it is served as ever, so that a later one is broken.
    Pass,
    /// It is done, and the answer is a 200 with the whole object, whatever range was asked for.
    IgnoreRange,
}

/// Faults that wait, and those that stay.
#[derive(Default)]
pub(super) struct Faults {
    waiting: Vec<(Operation, Fault, usize)>,
    pub(super) denied: BTreeSet<Operation>,
    pub(super) lacked: BTreeSet<Operation>,
}

impl Faults {
    pub(super) fn add(&mut self, operation: Operation, fault: Fault, times: usize) {
        self.waiting.push((operation, fault, times));
    }

    /// The fault of this request, if it has one.
    pub(super) fn take(&mut self, operation: Operation) -> Option<Fault> {
        let next = self.waiting.iter_mut().find(|(of, _, times)| *of == operation && *times > 0)?;
        next.2 -= 1;
        Some(next.1)
    }
}
