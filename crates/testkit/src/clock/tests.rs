use std::time::Duration;

use larder_base::{Clock as _, Timestamp};

use super::FakeClock;

#[test]
fn clones_show_the_time_that_any_of_them_was_set_to() {
    let clock = FakeClock::at(Timestamp::from_millis(5));
    let other = clock.clone();
    assert_eq!(other.now().as_millis(), 5);
    clock.advance(Duration::from_secs(2));
    assert_eq!(other.now().as_millis(), 2005);
    other.set(Timestamp::from_millis(1));
    assert_eq!(clock.now().as_millis(), 1);
}
