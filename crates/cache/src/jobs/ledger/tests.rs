use std::time::Duration;

use larder_base::{ATTRIBUTES_MAX_BYTES, Attributes, Timestamp};

use super::{LastRun, Memory, RunOutcome};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn run(outcome: RunOutcome) -> LastRun {
    LastRun { began: at(5), ended: Some(at(1000)), outcome, reason: None, did: "nothing".into() }
}

#[test]
fn what_is_kept_is_what_is_read() {
    let all = Memory {
        running: Some(at(2000)),
        last: Some(LastRun { reason: Some("why".into()), ..run(RunOutcome::Failed) }),
        last_success: Some(at(7)),
        last_interrupted: Some(at(8)),
        rest: Duration::from_secs(9),
    };
    let cut_off = Memory { last: Some(LastRun { ended: None, ..run(RunOutcome::Interrupted) }), ..Memory::default() };
    for memory in [all, cut_off, Memory::default()] {
        assert_eq!(Memory::of(&memory.to_attributes()), memory);
    }
}

#[test]
fn texts_of_any_length_fit_and_nonsense_is_left_out() {
    let text = "ä".repeat(100_000);
    let last = LastRun { reason: Some(text.clone()), did: format!("a{text}"), ..run(RunOutcome::Failed) };
    let memory = Memory { last: Some(last), ..Memory::default() };
    let kept = memory.to_attributes();
    assert!(kept.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= ATTRIBUTES_MAX_BYTES);
    assert_eq!(Memory::of(&kept).last.unwrap().did.len(), 999);
    let nonsense = Attributes::from([("began".into(), "then".into()), ("outcome".into(), "well".into())]);
    assert_eq!(Memory::of(&nonsense), Memory::default());
}

#[test]
fn a_job_rests_on_only_after_a_success_and_never_longer_than_it_meant_to() {
    let rest = Duration::from_millis(500);
    let rests = |outcome, now| Memory { last: Some(run(outcome)), rest, ..Memory::default() }.rests_for(at(now));
    assert_eq!(rests(RunOutcome::Succeeded, 1200), Duration::from_millis(300));
    assert_eq!(rests(RunOutcome::Succeeded, 1000), rest);
    assert_eq!(rests(RunOutcome::Succeeded, 999), Duration::ZERO);
    assert_eq!(rests(RunOutcome::Succeeded, 9000), Duration::ZERO);
    assert_eq!(rests(RunOutcome::Failed, 1200), Duration::ZERO);
    assert_eq!(rests(RunOutcome::Interrupted, 1200), Duration::ZERO);
    assert_eq!(Memory::default().rests_for(at(1)), Duration::ZERO);
}
