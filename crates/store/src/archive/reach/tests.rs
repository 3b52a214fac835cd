use super::*;

#[test]
fn after_a_failure_one_caller_a_pause_asks_and_pauses_grow_to_a_limit() {
    let reach = Reach::default();
    let mut now = Timestamp::from_millis(1_000_000);
    assert!(reach.may_ask(now) && reach.may_ask(now));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        reach.failed(now);
        let failed = now;
        while !reach.may_ask(now) {
            now = now.plus(Duration::from_millis(500));
        }
        pauses.push(now.since(failed).as_secs());
        assert!(!reach.may_ask(now), "one is enough");
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    reach.answered();
    assert!(reach.may_ask(now) && reach.may_ask(now));
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_the_bucket_away() {
    let reach = Reach::default();
    reach.failed(Timestamp::from_millis(1_000_000_000));
    assert!(reach.may_ask(Timestamp::from_millis(1_000)));
}
