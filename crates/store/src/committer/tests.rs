use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::*;
use crate::Store;
use crate::tests::support::*;

/// Holds the committer until what is given back is dropped, so that all that is submitted meanwhile is one group.
pub(crate) fn hold(store: &Store) -> Sender<()> {
    let (go_on, wait) = bounded(0);
    let (begin, begun) = bounded(1);
    let op = move |_: &mut Group<'_>| {
        begin.send(()).unwrap();
        assert!(wait.recv().is_err(), "nothing is sent, the other end goes");
        Ok(())
    };
    store.core().queue.submit(Terms::housekeeping(0), op, |_| {});
    begun.recv().unwrap();
    go_on
}

/// Submits ten operations through a relay; their answers come by number.
fn submit_ten(store: &Store, relay: &Arc<Relay>) -> Receiver<(u32, Result<()>)> {
    let (answer, answered) = unbounded();
    for number in 0..10 {
        let answer = answer.clone();
        let done = move |result| answer.send((number, result)).unwrap();
        store.core().queue.submit_through(Some(Arc::clone(relay)), Terms::write(0), |_| Ok(()), done);
    }
    answered
}

#[test]
fn those_behind_one_relay_are_answered_by_it_with_one_call_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (take, taken) = unbounded();
    let [relay, other] = [take.clone(), take].map(|take| Relay::new(move |answers| take.send(answers).unwrap()));
    let go_on = hold(&store);
    let [answered, others] = [&relay, &other].map(|relay| submit_ten(&store, relay));
    drop(go_on);
    // Without a relay: this is the last of a later group.
    store.core().queue.call(Terms::write(0), |_| Ok(())).unwrap();
    assert_eq!((taken.len(), answered.len(), others.len()), (2, 0, 0), "one call each, and the answers are with it");
    drop(taken.recv().unwrap());
    let numbers: Vec<u32> = answered.iter().map(|(number, result)| (number, result.unwrap()).0).collect();
    assert_eq!((numbers, others.len()), ((0..10).collect(), 0));
    drop(taken.recv().unwrap());
    assert_eq!(others.iter().count(), 10);
}

#[test]
fn a_relay_that_takes_no_answers_any_more_keeps_them_from_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let answered = submit_ten(&store, &Relay::new(drop));
    assert!(answered.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_group_that_fails_is_refused_to_those_behind_a_relay_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let go_on = hold(&store);
    let answered = submit_ten(&store, &Relay::new(drop));
    let fail = |group: &mut Group<'_>| {
        group.after_sync.push(Box::new(|_| Err(Error::new(ErrorKind::Full, "test", "no space"))));
        Ok(())
    };
    store.core().queue.submit(Terms::write(0), fail, |result| assert!(result.is_err()));
    drop(go_on);
    let errors: Vec<Error> = answered.iter().map(|(_, result)| result.unwrap_err()).collect();
    assert_eq!(errors.len(), 10);
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Full && error.message() == "no space"));
}
