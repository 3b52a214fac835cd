use std::time::Duration;

use larder_base::Timestamp;

use super::{Heat, Touch};

const RETENTION: Duration = Duration::from_secs(1000);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + seconds * 1000)
}

fn heat() -> Heat {
    let heat = Heat::new(RETENTION);
    heat.add(1);
    heat
}

fn uses(heat: &Heat, id: u32, ordinal: u32, now: Timestamp) -> bool {
    heat.in_use(id, now).contains(ordinal)
}

#[test]
fn a_touch_holds_for_the_retention_time_and_not_for_ever() {
    // Wherever in its slice the touch falls.
    for begin in (0..600).step_by(7) {
        let heat = heat();
        assert_ne!(heat.touch(1, 70, at(begin)), Touch::Gone);
        for later in [0, 500, 999, 1000] {
            assert!(uses(&heat, 1, 70, at(begin + later)), "touched at {begin}, {later} s later");
            assert!(!uses(&heat, 1, 71, at(begin + later)));
        }
        assert!(!uses(&heat, 1, 70, at(begin + 1251)));
    }
}

#[test]
fn a_mark_is_due_once_a_segment_and_slice() {
    let heat = heat();
    assert_eq!(heat.touch(1, 0, at(0)), Touch::Kept { mark_due: true });
    // Due until it was made: who asks before must not promise on another's word.
    assert_eq!(heat.touch(1, 1, at(0)), Touch::Kept { mark_due: true });
    heat.marked(1, at(0), false);
    assert_eq!(heat.touch(1, 2, at(0)), Touch::Kept { mark_due: false });
    assert_eq!(heat.touch(1, 2, at(250)), Touch::Kept { mark_due: true });
    assert_eq!(heat.touch(2, 0, at(0)), Touch::Gone, "a segment that does not exist");
}

#[test]
fn after_a_crash_a_mark_stands_for_every_record() {
    let heat = heat();
    heat.touch_whole(1, at(0));
    assert!(uses(&heat, 1, 12345, at(999)));
    assert!(!uses(&heat, 1, 12345, at(1500)));
    assert!(!heat.in_use(1, at(999)).is_empty());
    assert!(heat.in_use(1, at(1500)).is_empty());
}

#[test]
fn freezing_gives_up_what_was_not_touched_and_keeps_the_rest() {
    let heat = heat();
    heat.touch(1, 3, at(0));
    assert!(heat.freeze(1, at(1)));
    assert!(heat.is_alive(1, 3));
    assert!(!heat.is_alive(1, 4));
    assert_eq!(heat.touch(1, 4, at(1)), Touch::Gone);
    assert_ne!(heat.touch(1, 3, at(1)), Touch::Gone);
    assert!(!heat.pin(1), "what is being evicted cannot be leased");
    heat.thaw(1);
    assert_ne!(heat.touch(1, 4, at(1)), Touch::Gone);
}

#[test]
fn a_leased_or_held_segment_is_not_evicted() {
    let heat = heat();
    assert!(heat.pin(1) && heat.pin(1));
    heat.unpin(1);
    assert!(!heat.freeze(1, at(0)));
    heat.unpin(1);
    assert!(heat.hold(1, at(0)), "a durable mark is due");
    assert!(!heat.freeze(1, at(999)));
    assert!(heat.freeze(1, at(1251)));
}

#[test]
fn a_condemned_record_is_gone_and_the_others_are_not() {
    let heat = heat();
    assert!(heat.condemn(1, 5));
    assert!(!heat.condemn(1, 5), "it is no news twice");
    assert_eq!(heat.touch(1, 5, at(0)), Touch::Gone);
    assert!(!heat.is_alive(1, 5));
    assert!(heat.is_alive(1, 6));
}

#[test]
fn touches_survive_saving_and_loading_even_with_another_retention_time() {
    let before = heat();
    before.touch(1, 100, at(0));
    before.touch(1, 3, at(300));
    before.add(2);
    before.touch_whole(2, at(300));
    for retention in [RETENTION, RETENTION * 3, RETENTION / 2] {
        let after = Heat::new(retention);
        after.add(1);
        after.add(2);
        before.save(at(400)).into_iter().for_each(|saved| after.load(saved));
        assert!(uses(&after, 1, 100, at(400)) && uses(&after, 1, 3, at(400)), "{retention:?}");
        assert!(!uses(&after, 1, 4, at(400)));
        assert!(uses(&after, 2, 999, at(400)));
    }
}

#[test]
fn a_clock_set_back_does_not_pin_for_ever() {
    let heat = heat();
    heat.touch(1, 0, at(1_000_000));
    assert!(!uses(&heat, 1, 0, at(0)));
    heat.touch(1, 1, at(0));
    assert!(uses(&heat, 1, 1, at(999)));
}

#[test]
fn what_is_in_use_is_taken_from_every_living_slice() {
    let heat = heat();
    for (ordinal, time) in [(0, 0), (0, 300), (64, 300), (65, 600)] {
        heat.touch(1, ordinal, at(time));
    }
    let in_use = |time| (0..200).filter(|ordinal| uses(&heat, 1, *ordinal, at(time))).collect::<Vec<u32>>();
    assert_eq!(in_use(600), [0, 64, 65]);
    assert_eq!(in_use(1400), [0, 64, 65]);
    assert_eq!(in_use(1700), [65]);
}

#[test]
fn what_an_eviction_gives_up_is_decided_when_it_begins() {
    let heat = heat();
    heat.touch(1, 3, at(0));
    assert!(heat.freeze(1, at(1200)));
    assert!(uses(&heat, 1, 3, at(1300)), "it was in use at the freeze, and the plan is made later");
    assert_ne!(heat.touch(1, 3, at(1300)), Touch::Gone);

    heat.thaw(1);
    heat.add(2);
    heat.touch(2, 4, at(0));
    assert!(heat.freeze(2, at(1300)));
    assert!(!uses(&heat, 2, 4, at(1200)), "someone's clock was read before");
    assert_eq!(heat.touch(2, 4, at(1200)), Touch::Gone);
}
