//! A bucket that refuses, stalls, breaks off, lies and forgets: no build fails by it, and the word for it is right.

use super::*;
use crate::server::wait_until;

/// Every kind of request.
const ALL: [Operation; 12] = [
    Operation::Put,
    Operation::Get,
    Operation::Head,
    Operation::Delete,
    Operation::DeleteBatch,
    Operation::List,
    Operation::Create,
    Operation::Part,
    Operation::Complete,
    Operation::Abort,
    Operation::ListParts,
    Operation::ListUploads,
];

/// A server behind a bucket, and a tree to save.
struct Job {
    folder: tempfile::TempDir,
    server: Server,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        make_tree(&folder.path().join("one"));
        // So that faults meet clients, and not the server's trial of the bucket.
        try_bucket(&server);
        Self { folder, server }
    }

    fn save(&self, key: &str) -> String {
        let saved = Machine::of(&self.server).json(&self.folder.path().join("one"), &["save", key, "tree"]);
        saved["result"].as_str().unwrap().to_owned()
    }

    /// The result of a restore on a fresh machine; one that is a hit is compared.
    fn restore(&self, key: &str) -> String {
        let other = tempfile::tempdir().unwrap();
        let restored = Machine::of(&self.server).json(other.path(), &["restore", key]);
        if restored["result"] == "hit" {
            assert_eq!(describe(other.path()), describe(&self.folder.path().join("one")));
        }
        restored["result"].as_str().unwrap().to_owned()
    }

    fn change(&self) {
        fs::write(self.folder.path().join("one/tree/large"), vec![7; 5_000_000]).unwrap();
    }
}

#[test]
fn a_bucket_made_read_only_still_serves_and_what_comes_stays_with_the_server() {
    let place = Place::new();
    place.behind(&[], || {
        let job = Job::new();
        assert_eq!(job.save("before"), "saved");
        let kept = place.objects();
        place.store.deny(&[Operation::Put, Operation::Create, Operation::Part, Operation::Complete, Operation::Delete]);
        assert_eq!(job.restore("before"), "hit");
        job.change();
        assert_eq!(job.save("after"), "saved");
        assert_eq!(job.restore("after"), "hit");
        assert_eq!(place.objects(), kept);
    });
}

#[test]
fn a_storm_of_refusals_is_sat_out_and_one_without_end_goes_through_the_server() {
    let place = Place::new();
    place.behind(&[], || {
        let job = Job::new();
        let before = place.objects().len();
        let storm = |times| ALL.iter().for_each(|of| place.store.inject(*of, Fault::Refuse(503, "SlowDown"), times));
        storm(2);
        assert_eq!(job.save("first"), "saved");
        assert_eq!(place.objects().len(), before + 1, "it went to the bucket all the same");
        storm(2);
        assert_eq!(job.restore("first"), "hit");
        place.store.heal();
        job.change();
        storm(1000);
        assert_eq!(job.save("second"), "saved");
        assert_eq!(place.objects().len(), before + 1);
        place.store.heal();
        wait_until("the bucket is asked again", || job.restore("second") == "hit");
    });
}

#[test]
fn while_the_bucket_is_away_what_is_in_it_is_no_hit_and_afterwards_it_is_one() {
    let place = Place::new();
    place.behind(&[], || {
        let job = Job::new();
        assert_eq!(job.save("key"), "saved");
        place.store.inject(Operation::Get, Fault::Refuse(503, "SlowDown"), 1000);
        assert_eq!(job.restore("key"), "failed");
        place.store.heal();
        wait_until("the bucket is asked again", || job.restore("key") == "hit");
        assert_eq!(job.save("key"), "unchanged", "nothing was forgotten for it");
    });
}

#[test]
fn resets_stalls_and_answers_that_break_off_are_tried_again() {
    let place = Place::new();
    place.behind(&[], || {
        let job = Job::new();
        let before = place.objects().len();
        place.store.inject(Operation::Put, Fault::Reset, 1);
        place.store.inject(Operation::Put, Fault::ResetAfter, 1);
        place.store.inject(Operation::Get, Fault::BreakOff(1000), 1);
        assert_eq!(job.save("key"), "saved");
        assert_eq!(place.objects().len(), before + 1, "it went to the bucket all the same");
        for fault in [Fault::Reset, Fault::BreakOff(100_000), Fault::Stall(100_000)] {
            place.store.heal();
            place.store.inject(Operation::Get, fault, 1);
            assert_eq!(job.restore("key"), "hit", "{fault:?}");
        }
    });
}

#[test]
fn a_bucket_that_ignores_ranges_serves_nothing_wrong() {
    let place = Place::new();
    place.behind(&[], || {
        let job = Job::new();
        assert_eq!(job.save("key"), "saved");
        // Of the bucket itself: nobody can read there.
        place.store.inject(Operation::Get, Fault::IgnoreRange, 1000);
        assert_eq!(job.restore("key"), "failed");
        place.store.heal();
        // On one client's way: the server reads for it.
        place.store.inject(Operation::Get, Fault::IgnoreRange, 1);
        assert_eq!(job.restore("key"), "hit");
        assert_eq!(job.restore("key"), "hit");
    });
}

#[test]
fn a_url_that_expired_before_it_was_used_is_renewed() {
    let place = Place::new();
    place.behind(&[("LARDER_DOOR_CI_URL_SECONDS", "1")], || {
        let job = Job::new();
        let (puts, objects) = (place.count(Operation::Put), place.objects().len());
        place.store.inject(Operation::Put, Fault::Hold, 1);
        let machine = Machine::of(&job.server);
        let save = Running::start(&machine, &job.folder.path().join("one"), &["save", "key", "tree"]);
        wait_until("the part is on its way", || place.store.held() == 1);
        // The bucket judges by its clock once it has the request: the time of the URL is over by then.
        let signed = WallClock.now();
        wait_until("the URL expires", || WallClock.now().since(signed).as_millis() > 2100);
        place.store.release();
        assert_eq!(save.result(), "saved");
        let more = (place.count(Operation::Put) - puts, place.objects().len() - objects);
        assert_eq!(more, (2, 1), "the second went to the bucket");
        assert_eq!(job.restore("key"), "hit");
    });
}

#[test]
fn a_bucket_that_forgets_in_the_middle_of_a_restore_makes_it_a_miss() {
    let place = Place::new();
    place.behind(&[], || {
        let job = Job::new();
        assert_eq!(job.save("key"), "saved");
        // The list of files comes first, from the same object; then what is in them.
        place.store.inject(Operation::Get, Fault::Pass, 1);
        place.store.inject(Operation::Get, Fault::Hold, 1);
        let (other, machine) = (tempfile::tempdir().unwrap(), Machine::of(&job.server));
        let mut restore = Running::start(&machine, other.path(), &["restore", "key"]);
        loop {
            if place.store.held() == 1 {
                break;
            }
            assert!(!restore.has_ended(), "it made one read only");
            std::thread::yield_now();
        }
        place.objects().iter().for_each(|object| place.store.forget(object));
        place.store.release();
        assert_eq!(restore.result(), "failed");
        assert_eq!(job.restore("key"), "miss");
        assert_eq!(job.save("key"), "saved");
        assert_eq!(job.restore("key"), "hit");
    });
}
