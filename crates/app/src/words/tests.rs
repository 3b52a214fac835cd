use larder_base::Timestamp;

use super::{ago, counted};

#[test]
fn time_is_told_in_one_unit() {
    let now = Timestamp::from_millis(1_000_000_000);
    let told = |seconds: u64| ago(now, Timestamp::from_millis(now.as_millis() - seconds * 1000));
    assert_eq!(told(5), "just now");
    assert_eq!(told(61), "1 minute ago");
    assert_eq!(told(7300), "2 hours ago");
    assert_eq!(told(900_000), "10 days ago");
    assert_eq!(ago(Timestamp::from_millis(0), now), "just now");
}

#[test]
fn one_is_told_as_one() {
    assert_eq!([0, 1, 2].map(|number| counted(number, "file")), ["0 files", "1 file", "2 files"]);
    assert_eq!([0, 1, 2].map(|number| counted(number, "entry")), ["0 entries", "1 entry", "2 entries"]);
}
