use super::remote_hits;

#[test]
fn the_hits_are_read_from_the_summary() {
    assert_eq!(remote_hits("INFO: 4 processes: 3 remote cache hit, 1 internal.\n"), 3);
    assert_eq!(remote_hits("INFO: 3 processes: 1 internal, 12 remote cache hit.\n"), 12);
    assert_eq!(remote_hits("INFO: 3 processes: 1 internal, 2 linux-sandbox.\n"), 0);
}
