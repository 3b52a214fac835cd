use larder_base::{Digest, HashFunction, Located, SegmentRange};

use super::{RUN_BYTES, runs};

fn record(segment: u64, offset: u64, length: u64) -> Located {
    Located { digest: Digest::by(HashFunction::TREE, b""), segment, offset, length }
}

fn stretch(segment: u64, offset: u64, length: u64) -> SegmentRange {
    SegmentRange { segment, offset, length }
}

#[test]
fn only_records_that_touch_are_joined() {
    let located =
        vec![record(1, 116, 50), record(1, 16, 100), record(1, 167, 10), record(2, 177, 5), record(1, 177, 1)];
    assert_eq!(runs(located), [stretch(1, 16, 150), stretch(1, 167, 11), stretch(2, 177, 5)]);
}

#[test]
fn a_record_that_is_asked_for_twice_is_sent_once() {
    assert_eq!(runs(vec![record(1, 16, 100), record(1, 16, 100)]), [stretch(1, 16, 100)]);
}

#[test]
fn a_run_is_split_between_records() {
    let half = RUN_BYTES / 2;
    let located =
        vec![record(1, 0, half), record(1, half, half), record(1, 2 * half, 1), record(1, 2 * half + 1, half)];
    assert_eq!(runs(located), [stretch(1, 0, RUN_BYTES), stretch(1, RUN_BYTES, half + 1)]);
    assert_eq!(runs(vec![record(1, 0, RUN_BYTES + 5)]), [stretch(1, 0, RUN_BYTES + 5)]);
}
