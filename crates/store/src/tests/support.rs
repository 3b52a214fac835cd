//! What the tests share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_base::{
    Attributes, ByteRange, Clock, ContentHash, Digest, DoorName, EntryAddress, EntryBody, Namespace, NewEntry, Result,
    Timestamp,
};

use crate::index::Table;
use crate::row::{BlobRow, EntryRow};
use crate::{Options, Store};

/// A clock that a test moves.
#[derive(Default)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Small segments, so that a test sees many.
pub(crate) fn options(dir: &Path) -> Options {
    Options { segment_len: 256 << 10, workers: 2, ..Options::new(dir, 1 << 30) }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(options(dir), HandClock::new()).unwrap()
}

pub(crate) fn ns(name: &str) -> Namespace {
    name.parse().unwrap()
}

/// Bytes that look random, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

pub(crate) fn put(store: &Store, namespace: &str, content: &Bytes) -> Result<Digest> {
    let hash = ContentHash::of(content);
    let mut pieces = content.chunks(100_000).map(|piece| Ok(content.slice_ref(piece)));
    store.put(&ns(namespace), Some(&hash), Some(content.len() as u64), &mut pieces)
}

pub(crate) fn get(store: &Store, namespace: &str, hash: &ContentHash) -> Option<Vec<u8>> {
    get_range(store, namespace, hash, ByteRange::ALL)
}

pub(crate) fn get_range(store: &Store, namespace: &str, hash: &ContentHash, range: ByteRange) -> Option<Vec<u8>> {
    let reader = store.get(&ns(namespace), hash, range).unwrap()?;
    Some(reader.map(Result::unwrap).collect::<Vec<_>>().concat())
}

pub(crate) fn address(namespace: &str, scope: &str, door: &'static str, key: &str) -> EntryAddress {
    EntryAddress {
        namespace: ns(namespace),
        scope: scope.parse().unwrap(),
        door: DoorName::new(door),
        key: key.parse().unwrap(),
    }
}

pub(crate) fn value(content: impl Into<Bytes>) -> NewEntry {
    NewEntry {
        body: EntryBody::Value(content.into()),
        attributes: Attributes::new(),
        links: Arc::default(),
        writer: "test".into(),
    }
}

pub(crate) fn linked(content: impl Into<Bytes>, links: &[ContentHash]) -> NewEntry {
    NewEntry { links: links.into(), ..value(content) }
}

/// Numbers that look random, the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Prunes until there is nothing to do.
pub(crate) fn prune_all(store: &Store) -> Result<u64> {
    let mut all = crate::Pruned::default();
    while !all.wrapped {
        all.add(&store.prune_step()?);
    }
    Ok(all.rows)
}

/// Rows of records in segments that are no more.
pub(crate) fn stale_rows(store: &Store) -> usize {
    let core = store.core();
    let mut stale = 0;
    let mut count = |table, segment_of: fn(&[u8]) -> Result<u32>| {
        let rows = core.index.scan(table, &[], |_, row| {
            stale += usize::from(!core.heat.exists(segment_of(row)?));
            Ok(true)
        });
        rows.unwrap();
    };
    count(Table::Blobs, BlobRow::segment_of);
    count(Table::Entries, EntryRow::segment_of);
    stale
}
