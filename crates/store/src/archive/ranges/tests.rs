use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::tests::support::{Dice, noise};

const PATIENCE: Duration = Duration::from_secs(60);

/// An object whose reads are noted.
struct Origin {
    bytes: Bytes,
    reads: Mutex<Vec<(u64, u64)>>,
}

impl Origin {
    fn new(length: usize) -> Self {
        Self { bytes: noise(1, length), reads: Mutex::default() }
    }

    fn fetch(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        self.reads.lock().push((offset, length));
        Ok(self.bytes.slice(offset as usize..(offset + length) as usize))
    }

    fn read(&self, ranges: &Ranges, offset: u64, length: usize) {
        let mut buffer = vec![0; length];
        let fetch = |offset, length| self.fetch(offset, length);
        ranges.read(1, self.bytes.len() as u64, offset, &mut buffer, &fetch).unwrap();
        assert_eq!(buffer, self.bytes[offset as usize..offset as usize + length]);
    }
}

#[test]
fn any_range_reads_as_it_is_in_the_object_within_the_limit() {
    for limit in [0, 1500, 5000, 1 << 20] {
        let origin = Origin::new(20_500);
        let ranges = Ranges::new(limit, PATIENCE);
        let mut dice = Dice(limit as u64);
        for _ in 0..500 {
            let offset = dice.roll(20_500);
            origin.read(&ranges, offset, dice.roll((20_500 - offset).min(4000) + 1) as usize);
            assert!(ranges.state.lock().bytes <= limit);
            let kept = ranges.state.lock().blocks.values().all(|block| matches!(block, Block::Kept { .. }));
            assert!(kept, "nothing is under way");
        }
    }
}

#[test]
fn missing_neighbours_are_fetched_with_one_read_and_kept_ones_with_none() {
    let origin = Origin::new(20_500);
    let ranges = Ranges::new(1 << 20, PATIENCE);
    origin.read(&ranges, 1500, 3000);
    assert_eq!(*origin.reads.lock(), [(1000, 4000)]);
    origin.read(&ranges, 1000, 4000);
    assert_eq!(origin.reads.lock().len(), 1);
    // A gap before, and the end of the object.
    origin.read(&ranges, 0, 3000);
    origin.read(&ranges, 19_000, 1500);
    assert_eq!(origin.reads.lock()[1..], [(0, 1000), (19_000, 1500)]);
    let mut buffer = [0; 500];
    assert!(ranges.read_at_once(1, 20_000, &mut buffer));
    assert_eq!(buffer[..], origin.bytes[20_000..]);
    assert!(!ranges.read_at_once(1, 5500, &mut buffer));
    assert!(!ranges.read_at_once(1, 20_400, &mut buffer));
}

#[test]
fn what_is_larger_than_all_that_is_kept_is_fetched_once() {
    let origin = Origin::new(20_500);
    let ranges = Ranges::new(3000, PATIENCE);
    origin.read(&ranges, 100, 20_000);
    assert_eq!(origin.reads.lock().iter().map(|(_, length)| length).sum::<u64>(), 20_500);
}

#[test]
fn who_reads_on_is_read_ahead_for() {
    let origin = Origin::new(100_000);
    let ranges = Ranges::new(1 << 20, PATIENCE);
    (0..200).for_each(|n| origin.read(&ranges, n * 500, 500));
    let reads = origin.reads.lock();
    assert!(reads.len() < 12, "{} reads of 100 blocks", reads.len());
    assert_eq!(reads.iter().map(|(_, length)| length).sum::<u64>(), 100_000);
}

#[test]
fn many_who_want_one_block_share_one_read() {
    let origin = Origin::new(10_000);
    let ranges = Ranges::new(1 << 20, PATIENCE);
    let (begun, waiting) = (Barrier::new(8), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                begun.wait();
                waiting.fetch_add(1, Ordering::SeqCst);
                let fetch = |offset, length| {
                    // Until all others are at it, or wait behind this.
                    while waiting.load(Ordering::SeqCst) < 8 {
                        std::thread::yield_now();
                    }
                    origin.fetch(offset, length)
                };
                let mut buffer = [0; 100];
                ranges.read(1, 10_000, 4200, &mut buffer, &fetch).unwrap();
                assert_eq!(buffer[..], origin.bytes[4200..4300]);
            });
        }
    });
    assert_eq!(*origin.reads.lock(), [(4000, 1000)]);
}

#[test]
fn a_read_that_fails_or_panics_leaves_nobody_waiting() {
    let origin = Origin::new(10_000);
    let ranges = Ranges::new(1 << 20, PATIENCE);
    let mut buffer = [0; 100];
    let fail = |_, _| Err(io::ErrorKind::HostUnreachable.into());
    let error = ranges.read(1, 10_000, 0, &mut buffer, &fail).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
    let short = |_, _| Ok(Bytes::from_static(b"short"));
    assert_eq!(ranges.read(1, 10_000, 0, &mut buffer, &short).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let panics = |_, _| panic!("as a broken implementation would");
    let panicked = std::thread::scope(|scope| scope.spawn(|| ranges.read(1, 10_000, 0, &mut [0; 100], &panics)).join());
    assert!(panicked.is_err());
    origin.read(&ranges, 0, 100);
}

#[test]
fn who_waits_too_long_for_anothers_read_gives_up() {
    let ranges = Ranges::new(1 << 20, Duration::from_millis(1));
    let fetch = |_, length: u64| {
        // While this is under way, another wants the same.
        let error = ranges.read(1, 10_000, 0, &mut [0; 100], &|_, _| unreachable!("one fetches")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        Ok(Bytes::from(vec![7; length as usize]))
    };
    let mut buffer = [0; 100];
    ranges.read(1, 10_000, 0, &mut buffer, &fetch).unwrap();
    assert_eq!(buffer, [7; 100]);
}
