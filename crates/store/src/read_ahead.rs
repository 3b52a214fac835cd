//! What went to the disk past the system's memory, and that nobody has read since.
//!
//! Values that are put together are asked for together: a second machine builds what the first one built. If each of them had
//! to be read by itself, the first to ask would pay a request to the disk for every few KiB. So who reads the first value of
//! a window has the system fetch the whole window, once; from then on the system's memory decides, as for any file. It is
//! forgotten when the store is closed, and not known of a window in which a group went to the disk the other way: there each
//! value is read by itself.

use std::collections::BTreeMap;
use std::ops::Range;

use parking_lot::Mutex;

/// Bytes fetched at a time. To read them takes a disk not much longer than to read one value.
const WINDOW: u64 = 256 << 10;
/// Segments remembered; of older ones each value is read by itself.
const SEGMENTS_MAX: usize = 64;

/// The windows of the log that are to be fetched once.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    /// By segment, a bit for each window.
    unread: Mutex<BTreeMap<u32, Vec<u64>>>,
}

impl ReadAhead {
    /// A range of a segment went to the disk past the system's memory. The window in which the range ends is not counted:
    /// it would be fetched before all of it is there.
    pub(crate) fn wrote(&self, segment: u32, range: Range<u64>) {
        let windows = range.start / WINDOW..range.end / WINDOW;
        if windows.is_empty() {
            return;
        }
        let mut unread = self.unread.lock();
        let bits = unread.entry(segment).or_default();
        bits.resize(bits.len().max(windows.end as usize / 64 + 1), 0);
        windows.for_each(|window| bits[window as usize / 64] |= 1 << (window % 64));
        if unread.len() > SEGMENTS_MAX {
            unread.pop_first();
        }
    }

    /// What to fetch before a range of a segment is read: its windows, if it is the first to be read there.
    pub(crate) fn take(&self, segment: u32, range: Range<u64>) -> Option<Range<u64>> {
        let mut unread = self.unread.lock();
        let bits = unread.get_mut(&segment)?;
        let mut taken: Option<Range<u64>> = None;
        for window in range.start / WINDOW..range.end.div_ceil(WINDOW) {
            let Some(word) = bits.get_mut(window as usize / 64) else { break };
            let bit = 1 << (window % 64);
            if *word & bit != 0 {
                *word &= !bit;
                let start = taken.map_or(window * WINDOW, |taken| taken.start);
                taken = Some(start..(window + 1) * WINDOW);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests;
