use std::pin::Pin;
use std::task::Poll;

use larder_base::{Blobs, BoxFuture, ContentHash, Digest, ErrorKind, Result, stream_of};
use tokio::runtime::{Builder, Runtime};

use crate::StoreService;
use crate::committer::Terms;
use crate::committer::tests::hold;
use crate::tests::support::*;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Puts of ten blobs, each of which waits for the committer.
fn ten_waiting<'a>(runtime: &Runtime, service: &'a StoreService) -> Vec<BoxFuture<'a, Result<Digest>>> {
    let put = |seed| -> BoxFuture<'a, Result<Digest>> {
        Box::pin(async move { Blobs::put(service, &ns("a"), None, None, stream_of(noise(seed, 500))).await })
    };
    let mut puts: Vec<_> = (0..10).map(put).collect();
    runtime.block_on(std::future::poll_fn(|context| {
        assert!(puts.iter_mut().all(|put| Pin::new(put).poll(context).is_pending()));
        Poll::Ready(())
    }));
    puts
}

fn all_are_there(service: &StoreService) -> bool {
    let hashes: Vec<_> = (0..10).map(|seed| ContentHash::of(&noise(seed, 500))).collect();
    service.store().missing(&ns("a"), &hashes).unwrap().is_empty()
}

#[test]
fn who_gives_up_waiting_keeps_the_answer_from_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, other) = (runtime(), runtime());
    let service = StoreService::new(open(dir.path()), 1);
    let go_on = hold(service.store());
    let mut puts = ten_waiting(&runtime, &service);
    puts.truncate(5);
    let in_other = ten_waiting(&other, &service).pop().unwrap();
    drop(puts.remove(0));
    drop(go_on);
    let answers = runtime.block_on(futures_util::future::join_all(puts));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    other.block_on(in_other).unwrap();
    assert!(all_are_there(&service));
}

#[test]
fn a_runtime_that_ends_gives_back_the_answers_it_was_to_give() {
    for ends_first in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut ending = Some(runtime());
        let service = StoreService::new(open(dir.path()), 1);
        let go_on = hold(service.store());
        let puts = ten_waiting(ending.as_ref().unwrap(), &service);
        if ends_first {
            ending = None;
        }
        drop(go_on);
        // Once this is answered the answers of the group before were sent.
        service.store().core().queue.call(Terms::write(0), |_| Ok(())).unwrap();
        drop(ending);
        let answers = runtime().block_on(futures_util::future::join_all(puts));
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert!(all_are_there(&service));
    }
}

#[test]
fn nobody_waits_for_ever_for_a_committer_that_panicked() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let service = StoreService::new(open(dir.path()), 1);
    let go_on = hold(service.store());
    let puts = ten_waiting(&runtime, &service);
    service.store().core().queue.submit::<()>(Terms::write(0), |_| panic!("on purpose"), |_| {});
    drop(go_on);
    let answers = runtime.block_on(futures_util::future::join_all(puts));
    assert!(answers.iter().all(|put| put.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable)));
}
