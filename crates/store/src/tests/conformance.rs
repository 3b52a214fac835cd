//! The promises of the storage traits, kept by the service.

use std::sync::Arc;

use larder_base::segment::BadRecord;
use larder_testkit::clock::FakeClock;
use larder_testkit::suite;

use super::support::options;
use crate::committer::Terms;
use crate::index::Table;
use crate::row::BlobRow;
use crate::{Store, StoreService};

fn fresh(clock: &FakeClock) -> (Arc<StoreService>, suite::Keep) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path()), Arc::new(clock.clone())).unwrap();
    (Arc::new(StoreService::new(store, 4)), Box::new(dir))
}

#[test]
fn the_service_keeps_the_promises_of_blobs() {
    suite::blobs::check(async || {
        let (service, keep) = fresh(&FakeClock::default());
        suite::blobs::Subject { blobs: service, keep }
    });
}

#[test]
fn the_service_keeps_the_promises_of_entries() {
    suite::entries::check(async || subject().0);
}

fn subject() -> (suite::entries::Subject, Arc<StoreService>) {
    let clock = FakeClock::default();
    let (service, keep) = fresh(&clock);
    let (entries, blobs) = (service.clone(), service.clone());
    (suite::entries::Subject { entries, blobs, clock, keep }, service)
}

#[test]
fn the_service_keeps_the_promises_of_entries_whose_blobs_disappear() {
    suite::entries::check_loss(async || {
        let (subject, service) = subject();
        let lose: suite::entries::Lose = Box::new(move |_, hash| {
            let store = service.store().clone();
            Box::pin(async move {
                let core = store.core();
                let row = core.index.get(Table::Blobs, &hash.to_key()).unwrap().unwrap();
                core.quarantine(&hash, &BlobRow::decode(&row).unwrap(), BadRecord::Body);
                core.queue.call(Terms::housekeeping(0), |_| Ok(())).unwrap();
            })
        });
        (subject, lose)
    });
}

#[test]
fn the_service_keeps_the_promises_of_readers() {
    suite::readers::check(async || {
        let clock = FakeClock::default();
        let (service, keep) = fresh(&clock);
        suite::readers::Subject { readers: service.clone(), entries: service, clock, keep }
    });
}

#[test]
fn the_service_keeps_the_promises_of_segments() {
    suite::segments::check(async || {
        let (service, keep) = fresh(&FakeClock::default());
        suite::segments::Subject { segments: service.clone(), blobs: service, keep }
    });
}
