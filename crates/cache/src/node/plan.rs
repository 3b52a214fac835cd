//! Planned segments: places for records that are still above.
//!
//! A client is told where to read before the bytes are here. A plan lists records with the lengths that they have above, one
//! behind the other as in a segment; its number is none that a local segment has.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use larder_base::segment::{RECORD_HEADER_LEN, SEGMENT_HEADER};
use larder_base::{ByteRange, ContentHash, Digest, Located, Namespace, RecordLength, chunk};
use parking_lot::Mutex;

/// What tells the number of a plan from that of a local segment, which counts from zero.
const PLANNED: u64 = 1 << 63;
/// Records of all plans together, about a hundred bytes each; the oldest plan is forgotten first, and located again.
const RECORDS_MAX: usize = 500_000;

/// Where a record will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) digest: Digest,
    offset: u64,
    pub(super) length: u64,
}

struct Plan {
    namespace: Namespace,
    records: Vec<Planned>,
}

/// Some records of a plan, one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) namespace: Namespace,
    pub(super) records: Vec<Planned>,
}

impl Run {
    pub(super) fn hashes(&self) -> Vec<ContentHash> {
        self.records.iter().map(|record| record.digest.hash).collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.length).sum()
    }
}

/// All plans.
pub(super) struct Plans(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    plans: BTreeMap<u64, Arc<Plan>>,
    places: HashMap<(Namespace, ContentHash), Located>,
    records: usize,
}

impl Plans {
    /// Plans that are numbered from a random number on: an address that was signed for one of an earlier process is to
    /// find none of this one, which may be another namespace's.
    pub(super) fn new(random: u64) -> Self {
        Self(Mutex::new(State { next: random, ..State::default() }))
    }

    /// Where records are planned already: who asks for them again is to wait for the same bytes.
    pub(super) fn known(&self, namespace: &Namespace, hashes: &[ContentHash]) -> Vec<Located> {
        let state = self.0.lock();
        hashes.iter().filter_map(|hash| state.places.get(&(namespace.clone(), *hash)).copied()).collect()
    }

    /// Plans records in the order given, and says where they will be. What no record can be is left out.
    pub(super) fn add(&self, namespace: &Namespace, wanted: &[ContentHash], records: &[RecordLength]) -> Vec<Located> {
        let mut wanted: std::collections::HashSet<_> = wanted.iter().copied().collect();
        let mut offset = SEGMENT_HEADER.len() as u64;
        let mut planned = Vec::new();
        for RecordLength { digest, length } in records {
            // Lengths come from above and are believed only as far as a record may go.
            let may_be = (RECORD_HEADER_LEN as u64..=(RECORD_HEADER_LEN + chunk::MAX_LEN) as u64).contains(length);
            if may_be && digest.size <= chunk::MAX_LEN as u64 && wanted.remove(&digest.hash) {
                planned.push(Planned { digest: *digest, offset, length: *length });
                offset += length;
            }
        }
        if planned.is_empty() {
            return Vec::new();
        }
        let mut state = self.0.lock();
        let segment = PLANNED | state.next;
        state.next = state.next.wrapping_add(1);
        let place =
            |record: &Planned| Located { digest: record.digest, segment, offset: record.offset, length: record.length };
        let located: Vec<Located> = planned.iter().map(place).collect();
        state.records += planned.len();
        for place in &located {
            state.places.insert((namespace.clone(), place.digest.hash), *place);
        }
        state.plans.insert(segment, Arc::new(Plan { namespace: namespace.clone(), records: planned }));
        while state.records > RECORDS_MAX && state.plans.len() > 1 {
            state.forget_first();
        }
        located
    }

    /// Forgets where records are planned, so that they are asked for anew.
    pub(super) fn forget(&self, run: &Run) {
        let mut state = self.0.lock();
        for record in &run.records {
            state.places.remove(&(run.namespace.clone(), record.digest.hash));
        }
    }

    /// Whether a segment is a plan.
    pub(super) fn is_planned(segment: u64) -> bool {
        segment & PLANNED != 0
    }

    /// The records of a range, which has to begin and end with a record; `None` when there is no such plan any more.
    pub(super) fn run(&self, segment: u64, range: ByteRange) -> Option<Run> {
        let plan = self.0.lock().plans.get(&segment)?.clone();
        let end = match range.length {
            Some(length) => range.offset.checked_add(length)?,
            None => plan.records.last().map(|last| last.offset + last.length)?,
        };
        let first = plan.records.partition_point(|record| record.offset < range.offset);
        let behind = plan.records.partition_point(|record| record.offset < end);
        let records = plan.records.get(first..behind)?.to_vec();
        let begins = records.first()?.offset == range.offset;
        let ends = records.last().is_some_and(|last| last.offset + last.length == end);
        (begins && ends).then(|| Run { namespace: plan.namespace.clone(), records })
    }
}

impl State {
    fn forget_first(&mut self) {
        let Some((segment, plan)) = self.plans.pop_first() else { return };
        self.records -= plan.records.len();
        for record in &plan.records {
            let name = (plan.namespace.clone(), record.digest.hash);
            if self.places.get(&name).is_some_and(|place| place.segment == segment) {
                self.places.remove(&name);
            }
        }
    }
}
