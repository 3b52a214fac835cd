use std::time::Duration;

use super::{DirectWay, PAUSE_MAX, PAUSE_MIN};

#[tokio::test(start_paused = true)]
async fn a_way_that_failed_is_tried_again_after_ever_longer_pauses_until_it_succeeds() {
    let way = DirectWay::lasting();
    let mut pause = PAUSE_MIN;
    for _ in 0..6 {
        // Of several that fail together the first counts.
        (0..3).for_each(|_| way.failed());
        tokio::time::advance(pause - Duration::from_millis(1)).await;
        assert!(!way.is_open(), "{pause:?}");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(way.is_open(), "{pause:?}");
        pause = (pause * 2).min(PAUSE_MAX);
    }
    way.succeeded();
    way.failed();
    tokio::time::advance(PAUSE_MIN).await;
    assert!(way.is_open());
    way.failed();
    way.forgive();
    assert!(way.is_open());
}

#[tokio::test(start_paused = true)]
async fn the_way_of_a_client_that_soon_ends_fails_once_and_for_good() {
    let way = DirectWay::once();
    assert!(way.is_open());
    way.failed();
    tokio::time::advance(PAUSE_MAX * 100).await;
    assert!(!way.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_rest_is_no_failure() {
    let way = DirectWay::lasting();
    way.rest(Duration::from_secs(1));
    assert!(!way.is_open());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(way.is_open());
    way.failed();
    tokio::time::advance(PAUSE_MIN).await;
    assert!(way.is_open());
}
