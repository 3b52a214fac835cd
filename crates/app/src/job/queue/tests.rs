use larder_base::ErrorKind;

use super::{Command, NAME_MAX_BYTES, QUEUE_MAX_BYTES, Queue, Stage, Status, TASKS_MAX, Task, When};
use crate::job::owner::Owner;

fn task(name: &str) -> Task {
    let command = Command { program: "p".into(), arguments: vec![], environment: vec![], directory: "/".into() };
    Task { name: name.into(), when: When::Always, owner: Owner { uid: 7, gid: 7 }, command, stage: Stage::Queued }
}

fn with_argument(name: &str, bytes: usize) -> Task {
    let mut task = task(name);
    task.command.arguments.push("x".repeat(bytes).into());
    task
}

fn run_all(queue: &mut Queue) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(at) = queue.next() {
        order.push(queue.tasks()[at].name.clone());
        queue.set_stage(at, Stage::Over);
    }
    order
}

#[test]
fn what_was_queued_last_runs_first_and_a_name_queued_again_counts_from_then() {
    let mut queue = Queue::default();
    for name in ["a", "b", "c", "a"] {
        queue.post(task(name)).unwrap();
    }
    assert_eq!(run_all(&mut queue), ["a", "c", "b"]);
}

#[test]
fn what_was_begun_is_never_begun_again() {
    let mut queue = Queue::default();
    queue.post(task("a")).unwrap();
    queue.post(task("b")).unwrap();
    let first = queue.next().unwrap();
    queue.set_stage(first, Stage::Begun);
    let mut read_back: Queue = serde_json::from_slice(&serde_json::to_vec(&queue).unwrap()).unwrap();
    assert_eq!(run_all(&mut read_back), ["a"]);
}

#[test]
fn a_job_that_has_ended_takes_nothing_more_and_its_first_end_counts() {
    let mut queue = Queue::default();
    assert_eq!(queue.end(Status::Failure), Status::Failure);
    assert_eq!(queue.end(Status::Success), Status::Failure);
    assert_eq!(queue.post(task("a")).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn names_of_others_are_theirs() {
    let mut queue = Queue::default();
    queue.post(task("a")).unwrap();
    let mut other = task("a");
    other.owner.uid = 8;
    assert_eq!(queue.post(other).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(queue.tasks()[0].owner.uid, 7);
}

#[test]
fn a_queue_is_bounded_in_number_and_bytes_and_a_replacement_counts_once() {
    let mut queue = Queue::default();
    for number in 0..TASKS_MAX {
        queue.post(task(&number.to_string())).unwrap();
    }
    assert_eq!(queue.post(task("more")).unwrap_err().kind(), ErrorKind::TooLarge);
    queue.post(task("3")).unwrap();

    let mut queue = Queue::default();
    queue.post(with_argument("a", QUEUE_MAX_BYTES - 100)).unwrap();
    assert_eq!(queue.post(with_argument("b", 100)).unwrap_err().kind(), ErrorKind::TooLarge);
    queue.post(with_argument("a", QUEUE_MAX_BYTES - 10)).unwrap();
    assert_eq!(queue.tasks().len(), 1);
}

#[test]
fn names_and_directories_are_checked() {
    let mut queue = Queue::default();
    for name in [String::new(), "a\nb".into(), "x".repeat(NAME_MAX_BYTES + 1)] {
        assert_eq!(queue.post(task(&name)).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
    }
    let mut relative = task("a");
    relative.command.directory = "here".into();
    assert_eq!(queue.post(relative).unwrap_err().kind(), ErrorKind::Invalid);
    queue.post(task("save rust/é (linux)")).unwrap();
}

#[test]
fn a_command_runs_after_the_ends_it_was_queued_for() {
    use Status::{Failure, Success};
    let runs = |when: When| (when.is_after(Success), when.is_after(Failure));
    assert_eq!(runs(When::Success), (true, false));
    assert_eq!(runs(When::Failure), (false, true));
    assert_eq!(runs(When::Always), (true, true));
}

#[test]
fn the_words_that_ci_systems_have_for_an_end_are_understood() {
    use clap::ValueEnum;
    let read = |word: &str| Status::from_str(word, false).unwrap();
    assert!(["success", "passed"].into_iter().all(|word| read(word) == Status::Success));
    let bad = ["failure", "failed", "cancelled", "canceled", "timedout"];
    assert!(bad.into_iter().all(|word| read(word) == Status::Failure));
}
