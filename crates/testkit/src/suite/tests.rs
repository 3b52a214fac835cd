use std::sync::{Arc, mpsc};
use std::time::Duration;

use larder_base::{BoxFuture, ContentHash, Namespace};

use super::{Case, blobs, check, check_within, entries, readers, segments};
use crate::clock::FakeClock;
use crate::faulty::{Faults, Faulty};
use crate::memory::Memory;

fn memory() -> (Memory, FakeClock) {
    let clock = FakeClock::default();
    (Memory::new(Arc::new(clock.clone())), clock)
}

fn faultless() -> (Memory, Arc<Faulty<Memory>>, FakeClock) {
    let (memory, clock) = memory();
    (memory.clone(), Arc::new(Faulty::new(Arc::new(memory), Faults::none())), clock)
}

fn case<S>(name: &'static str, run: fn(S) -> BoxFuture<'static, ()>) -> Case<S> {
    Case { name, run }
}

fn losing(memory: Memory) -> entries::Lose {
    Box::new(move |namespace: Namespace, hash: ContentHash| -> BoxFuture<'static, ()> {
        assert!(memory.forget(&namespace, &hash), "a case loses only what is there");
        Box::pin(std::future::ready(()))
    })
}

#[test]
fn memory_keeps_the_promises_of_blobs() {
    blobs::check(async || blobs::Subject { blobs: Arc::new(memory().0), keep: Box::new(()) });
}

#[test]
fn memory_keeps_the_promises_of_entries() {
    let fresh = |memory: Memory, clock| entries::Subject {
        entries: Arc::new(memory.clone()),
        blobs: Arc::new(memory),
        clock,
        keep: Box::new(()),
    };
    entries::check(async || {
        let (memory, clock) = memory();
        fresh(memory, clock)
    });
    entries::check_loss(async || {
        let (memory, clock) = memory();
        (fresh(memory.clone(), clock), losing(memory))
    });
}

#[test]
fn memory_keeps_the_promises_of_readers() {
    readers::check(async || {
        let (memory, clock) = memory();
        let memory = Arc::new(memory);
        readers::Subject { readers: memory.clone(), entries: memory, clock, keep: Box::new(()) }
    });
}

#[test]
fn memory_keeps_the_promises_of_segments() {
    segments::check(async || {
        let (memory, _) = memory();
        segments::Subject { segments: Arc::new(memory.clone()), blobs: Arc::new(memory), keep: Box::new(()) }
    });
}

#[test]
fn a_wrapper_without_faults_keeps_every_promise_of_what_it_wraps() {
    blobs::check(async || blobs::Subject { blobs: faultless().1, keep: Box::new(()) });
    entries::check_loss(async || {
        let (memory, faulty, clock) = faultless();
        let subject = entries::Subject { entries: faulty.clone(), blobs: faulty, clock, keep: Box::new(()) };
        (subject, losing(memory))
    });
    entries::check(async || {
        let (_, faulty, clock) = faultless();
        entries::Subject { entries: faulty.clone(), blobs: faulty, clock, keep: Box::new(()) }
    });
    segments::check(async || {
        let (_, faulty, _) = faultless();
        segments::Subject { segments: faulty.clone(), blobs: faulty, keep: Box::new(()) }
    });
}

#[test]
fn every_broken_promise_is_named_with_its_reason_and_the_kept_ones_are_not() {
    let cases = [
        case("first_is_kept", |_: u8| Box::pin(async {})),
        case("second_is_broken", |subject| Box::pin(async move { assert_eq!(subject, 8, "seven is not eight") })),
        case("third_is_broken", |_| Box::pin(async { panic!("plainly") })),
    ];
    let report = std::panic::catch_unwind(|| check("sample", &cases, async || 7)).unwrap_err();
    let report = report.downcast::<String>().unwrap();
    assert!(report.starts_with("sample: 2 of 3 promises are broken:"), "{report}");
    assert!(report.contains("second_is_broken: ") && report.contains("seven is not eight"), "{report}");
    assert!(report.contains("third_is_broken: plainly"), "{report}");
    assert!(!report.contains("first_is_kept"), "{report}");
}

#[test]
fn a_case_that_hangs_is_named_even_when_it_blocks_its_thread() {
    let cases = [
        case("waits_for_ever", |_: mpsc::Receiver<()>| Box::pin(std::future::pending())),
        case("blocks_for_ever", |never| Box::pin(async move { never.recv().unwrap_or(()) })),
    ];
    let (sender, receiver) = mpsc::channel();
    let receivers = std::cell::RefCell::new(vec![receiver, mpsc::channel().1]);
    let report = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let fresh = async || receivers.borrow_mut().pop().unwrap();
        check_within(Duration::from_millis(50), "sample", &cases, fresh);
    }));
    drop(sender);
    let report = report.unwrap_err().downcast::<String>().unwrap();
    assert!(report.contains("waits_for_ever: did not end within"), "{report}");
    assert!(report.contains("blocks_for_ever: did not end within"), "{report}");
}
