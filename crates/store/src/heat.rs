//! Which records are in use: touched within the retention time, pinned by a lease, or promised to stay where they are.
//!
//! Time is cut into slices of a quarter of the retention time. A record touched in slice `s` is kept until slice `s + 5`
//! begins: at least the retention time, at most a quarter more. A touch sets one bit in memory; only the first one in a
//! segment and slice is made durable, as a mark on the segment. After a crash every record of a segment with a living
//! mark counts as touched, so that no promise is lost and no read costs a write.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_base::Timestamp;
use parking_lot::{Mutex, RwLock};

/// How many slices the retention time has.
const SLICES: u64 = 4;

/// What a touch found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// The record was given up, or its segment is no more.
    Gone,
    /// The record stays.
    Kept {
        /// The segment has no durable mark of the present slice yet: one is due before anything is promised.
        mark_due: bool,
    },
}

/// Touches that were saved at a shutdown: a segment, the last moment of a slice, and the records touched in it (empty: all).
pub(crate) type Saved = (u32, Timestamp, Vec<u64>);

/// A time in which touching again what was touched in it changes nothing, as none of that was lost since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    slice: u64,
    losses: u64,
}

/// Records of a segment, by their ordinals.
#[derive(Clone, Debug, Default)]
pub(crate) struct InUse {
    whole: bool,
    words: Vec<u64>,
}

impl InUse {
    pub(crate) fn contains(&self, ordinal: u32) -> bool {
        let in_word = |word: &u64| word >> (ordinal % 64) & 1 == 1;
        self.whole || self.words.get(ordinal as usize / 64).is_some_and(in_word)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.whole && self.words.iter().all(|word| *word == 0)
    }
}

#[derive(Debug, Default)]
struct SegmentHeat {
    /// Being evicted since this slice: records that were not in use then are given up.
    frozen: Option<u64>,
    pins: u32,
    touched: Vec<(u64, Vec<u64>)>,
    /// The last slice in which every record counts as touched.
    whole: Option<u64>,
    marked: Option<u64>,
    held: Option<u64>,
    held_marked: Option<u64>,
    /// Records found bad, which the index may still speak of.
    bad: BTreeSet<u32>,
}

impl SegmentHeat {
    fn is_touched(&self, ordinal: u32, lives: impl Fn(u64) -> bool) -> bool {
        let (word, bit) = (ordinal as usize / 64, ordinal % 64);
        let in_bits = |bits: &Vec<u64>| bits.get(word).is_some_and(|bits| bits >> bit & 1 == 1);
        self.whole.is_some_and(&lives) || self.touched.iter().any(|(slice, bits)| lives(*slice) && in_bits(bits))
    }

    fn is_alive(&self, ordinal: u32) -> bool {
        // By the time of the freeze, for whoever asks: what the eviction takes for unused must not come to be promised.
        self.frozen.is_none_or(|frozen| self.is_touched(ordinal, lives_at(frozen))) && !self.bad.contains(&ordinal)
    }

    fn may_freeze(&self, lives: impl Fn(u64) -> bool) -> bool {
        self.pins == 0 && !self.held.is_some_and(lives)
    }

    fn set(&mut self, slice: u64, ordinal: u32, lives: impl Fn(u64) -> bool) {
        let at = match self.touched.iter().position(|(of, _)| *of == slice) {
            Some(at) => at,
            None => {
                self.touched.retain(|(of, _)| lives(*of));
                self.touched.push((slice, Vec::new()));
                self.touched.len() - 1
            }
        };
        let bits = &mut self.touched[at].1;
        let word = ordinal as usize / 64;
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << (ordinal % 64);
    }
}

/// Whether a touch in a slice still counts in the slice `now`. One in the future, after the clock was set back, counts for
/// as long as the step back was short, and then no more: it must not pin a segment for ever.
fn lives_at(now: u64) -> impl Fn(u64) -> bool + Copy {
    move |slice| slice.abs_diff(now) <= SLICES
}

/// The use of every live segment. A segment that is not here does not exist.
pub(crate) struct Heat {
    slice_ms: u64,
    segments: RwLock<HashMap<u32, Arc<Mutex<SegmentHeat>>>>,
    /// How often records were lost, or may have been.
    losses: AtomicU64,
}

impl Heat {
    pub(crate) fn new(retention: Duration) -> Self {
        let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        Self { slice_ms: retention.div_ceil(SLICES).max(1), segments: RwLock::default(), losses: AtomicU64::new(0) }
    }

    fn slice(&self, time: Timestamp) -> u64 {
        time.as_millis() / self.slice_ms
    }

    fn lives(&self, now: Timestamp) -> impl Fn(u64) -> bool + Copy + use<> {
        lives_at(self.slice(now))
    }

    /// The present epoch. Whoever is to rely on it asks before the first touch.
    pub(crate) fn epoch(&self, now: Timestamp) -> Epoch {
        Epoch { slice: self.slice(now), losses: self.losses.load(Ordering::SeqCst) }
    }

    /// To be called once the records are lost: whoever sees the new number finds them lost.
    fn lose(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    fn segment(&self, id: u32) -> Option<Arc<Mutex<SegmentHeat>>> {
        self.segments.read().get(&id).map(Arc::clone)
    }

    /// A segment exists from now on.
    pub(crate) fn add(&self, id: u32) {
        self.segments.write().entry(id).or_default();
    }

    /// A segment exists that the log goes on in: pinned from its first moment, until [`Heat::unpin`] when it is sealed.
    pub(crate) fn add_active(&self, id: u32) {
        self.segments.write().entry(id).or_default().lock().pins += 1;
    }

    /// A segment is no more.
    pub(crate) fn remove(&self, id: u32) {
        self.segments.write().remove(&id);
        self.lose();
    }

    pub(crate) fn exists(&self, id: u32) -> bool {
        self.segments.read().contains_key(&id)
    }

    /// The ids of all segments, oldest first.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.segments.read().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Counts a record as used at `now`.
    pub(crate) fn touch(&self, id: u32, ordinal: u32, now: Timestamp) -> Touch {
        let Some(segment) = self.segment(id) else { return Touch::Gone };
        let mut segment = segment.lock();
        if !segment.is_alive(ordinal) {
            return Touch::Gone;
        }
        let slice = self.slice(now);
        segment.set(slice, ordinal, self.lives(now));
        Touch::Kept { mark_due: segment.marked != Some(slice) }
    }

    /// Whether a record exists: its segment does, and eviction has not given it up.
    pub(crate) fn is_alive(&self, id: u32, ordinal: u32) -> bool {
        self.segment(id).is_some_and(|segment| segment.lock().is_alive(ordinal))
    }

    /// Whether a record of a segment that exists was found bad.
    pub(crate) fn is_condemned(&self, id: u32, ordinal: u32) -> bool {
        self.segment(id).is_some_and(|segment| segment.lock().bad.contains(&ordinal))
    }

    /// A record is bad: it is gone from now on, before the index forgets it. Says whether that is news.
    pub(crate) fn condemn(&self, id: u32, ordinal: u32) -> bool {
        let is_news = self.segment(id).is_some_and(|segment| segment.lock().bad.insert(ordinal));
        self.lose();
        is_news
    }

    /// Records are gone from now on, before the index forgets them.
    pub(crate) fn condemn_all(&self, id: u32, ordinals: impl Iterator<Item = u32>) {
        if let Some(segment) = self.segment(id) {
            segment.lock().bad.extend(ordinals);
        }
        self.lose();
    }

    /// When something in a segment was last used, as a number that grows; 0 when that is not known.
    pub(crate) fn last_use(&self, id: u32) -> u64 {
        let Some(segment) = self.segment(id) else { return 0 };
        let segment = segment.lock();
        let touched = segment.touched.iter().map(|(slice, _)| *slice);
        touched.chain(segment.whole).max().unwrap_or_default()
    }

    /// Counts records just written as used. The commit record of their group is the mark: see [`Heat::marked`] once it is
    /// durable.
    pub(crate) fn written(&self, id: u32, ordinals: std::ops::Range<u32>, now: Timestamp) {
        let Some(segment) = self.segment(id) else { return };
        let mut segment = segment.lock();
        let (slice, lives) = (self.slice(now), self.lives(now));
        for ordinal in ordinals {
            segment.set(slice, ordinal, lives);
        }
    }

    /// Counts every record of a segment as used at `time`.
    pub(crate) fn touch_whole(&self, id: u32, time: Timestamp) {
        if let Some(segment) = self.segment(id) {
            let slice = self.slice(time);
            let mut segment = segment.lock();
            segment.whole = segment.whole.max(Some(slice));
        }
    }

    /// A durable mark was made.
    pub(crate) fn marked(&self, id: u32, time: Timestamp, held: bool) {
        if let Some(segment) = self.segment(id) {
            let slice = self.slice(time);
            let mut segment = segment.lock();
            segment.marked = segment.marked.max(Some(slice));
            if held {
                segment.held = segment.held.max(Some(slice));
                segment.held_marked = segment.held_marked.max(Some(slice));
            }
        }
    }

    /// Keeps the records of a segment where they are; says whether a durable mark is due.
    pub(crate) fn hold(&self, id: u32, now: Timestamp) -> bool {
        let Some(segment) = self.segment(id) else { return false };
        let slice = self.slice(now);
        let mut segment = segment.lock();
        segment.held = segment.held.max(Some(slice));
        segment.held_marked != Some(slice)
    }

    /// Whether [`Heat::freeze`] would begin an eviction now.
    pub(crate) fn may_freeze(&self, id: u32, now: Timestamp) -> bool {
        self.segment(id).is_some_and(|segment| segment.lock().may_freeze(self.lives(now)))
    }

    /// Begins the eviction of a segment, unless it is leased or held. From now on a record that is not in use is gone; one
    /// that is will be written again elsewhere.
    pub(crate) fn freeze(&self, id: u32, now: Timestamp) -> bool {
        let Some(segment) = self.segment(id) else { return false };
        let mut segment = segment.lock();
        if !segment.may_freeze(self.lives(now)) {
            return false;
        }
        segment.frozen = Some(self.slice(now));
        drop(segment);
        self.lose();
        true
    }

    /// As [`Heat::freeze`], of a segment whose chunks are lost: nothing that was promised of them can be kept.
    pub(crate) fn freeze_lost(&self, id: u32, now: Timestamp) -> bool {
        self.segment(id).is_some_and(|segment| {
            segment.lock().frozen = Some(self.slice(now));
            self.lose();
            true
        })
    }

    /// Gives up an eviction that failed.
    pub(crate) fn thaw(&self, id: u32) {
        if let Some(segment) = self.segment(id) {
            segment.lock().frozen = None;
        }
    }

    /// The records of a segment that were touched so lately, at `now` or when it was frozen, that they must stay.
    pub(crate) fn in_use(&self, id: u32, now: Timestamp) -> InUse {
        let Some(segment) = self.segment(id) else { return InUse::default() };
        let segment = segment.lock();
        let lives = lives_at(segment.frozen.unwrap_or(self.slice(now)));
        let mut words = Vec::new();
        for (_, bits) in segment.touched.iter().filter(|(slice, _)| lives(*slice)) {
            words.resize(words.len().max(bits.len()), 0);
            words.iter_mut().zip(bits).for_each(|(all, some)| *all |= some);
        }
        InUse { whole: segment.whole.is_some_and(lives), words }
    }

    /// Keeps a segment from being evicted until [`Heat::unpin`]; false when it does not exist or is being evicted.
    pub(crate) fn pin(&self, id: u32) -> bool {
        self.segment(id).is_some_and(|segment| {
            let mut segment = segment.lock();
            segment.pins += u32::from(segment.frozen.is_none());
            segment.frozen.is_none()
        })
    }

    /// Takes one pin off.
    pub(crate) fn unpin(&self, id: u32) {
        if let Some(segment) = self.segment(id) {
            let mut segment = segment.lock();
            segment.pins = segment.pins.saturating_sub(1);
        }
    }

    /// Everything that still counts, to be saved at a shutdown.
    pub(crate) fn save(&self, now: Timestamp) -> Vec<Saved> {
        let lives = self.lives(now);
        let end = |slice: u64| Timestamp::from_millis((slice + 1).saturating_mul(self.slice_ms).saturating_sub(1));
        let mut saved = Vec::new();
        for (id, segment) in self.segments.read().iter() {
            let segment = segment.lock();
            saved.extend(segment.whole.filter(|slice| lives(*slice)).map(|slice| (*id, end(slice), Vec::new())));
            let touched = segment.touched.iter().filter(|(slice, bits)| lives(*slice) && !bits.is_empty());
            saved.extend(touched.map(|(slice, bits)| (*id, end(*slice), bits.clone())));
        }
        saved
    }

    /// Takes in what was saved.
    pub(crate) fn load(&self, (id, time, bits): Saved) {
        let Some(segment) = self.segment(id) else { return };
        let slice = self.slice(time);
        let mut segment = segment.lock();
        if bits.is_empty() {
            segment.whole = segment.whole.max(Some(slice));
        } else {
            match segment.touched.iter_mut().find(|(of, _)| *of == slice) {
                // Slices of another length may fall together.
                Some((_, mine)) => {
                    mine.resize(mine.len().max(bits.len()), 0);
                    mine.iter_mut().zip(&bits).for_each(|(mine, theirs)| *mine |= theirs);
                }
                None => segment.touched.push((slice, bits)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
