//! What trials and checks of the bucket leave when they are cut off.

use super::*;
use crate::server::{command, wait_until};

/// The names of what trials and checks have left.
fn left(place: &Place) -> Vec<String> {
    place.objects().into_iter().filter(|name| name.starts_with("larder/check/")).collect()
}

#[test]
fn one_sweep_leaves_nothing_of_a_trial_that_the_server_was_killed_in() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("file"), "for the trial").unwrap();
    place.behind(&[], || {
        let server = Server::start(&data, &[]);
        // A trial ends with it.
        place.store.inject(Operation::Delete, Fault::Hold, 1);
        let save = Running::start(&Machine::of(&server), folder.path(), &["save", "key", "file"]);
        wait_until("the trial is about to end", || place.store.held() > 0);
        server.kill();
        save.kill();
        place.store.release();
    });
    assert!(
        matches!(left(&place).as_slice(), [trial] if trial.starts_with("larder/check/first-")),
        "{:?}",
        left(&place)
    );
    place.behind(&[], || {
        let server = Server::start(&data, &[]);
        let swept = Machine::of(&server).json(Path::new("/"), &["gc"]);
        assert_eq!(swept["deleted_check_objects"], 0, "it may be of a trial that is under way: {swept}");
    });
    assert_eq!(left(&place).len(), 1);
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        let server = Server::start(&data, &[]);
        Machine::of(&server).json(Path::new("/"), &["gc"]);
        assert_eq!(left(&place), [""; 0]);
    });
}

#[test]
fn one_sweep_leaves_nothing_of_a_check_that_was_killed() {
    let place = Place::new();
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        place.store.inject(Operation::Abort, Fault::Hold, 1);
        let mut check = command();
        check.args(["server", "check-bucket"]).envs(place.variables()).stdout(Stdio::null()).stderr(Stdio::null());
        let check = Running(check.spawn().unwrap());
        wait_until("the check is about to end an upload", || place.store.held() > 0);
        check.kill();
        place.store.release();
        let (objects, uploads) = place.store.counts();
        assert!(objects > 0 && uploads > 0, "{objects} objects and {uploads} uploads");
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        Machine::of(&server).json(Path::new("/"), &["gc"]);
        assert_eq!(place.store.counts(), (0, 0));
    });
}

#[test]
fn what_a_check_left_and_cannot_be_removed_keeps_nothing_else_from_being_swept() {
    let place = Place::new();
    place.store.begin_upload(&format!("larder/check/{}/parts", "0a".repeat(8)));
    place.store.deny(&[Operation::Abort]);
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        let machine = Machine::of(&server);
        let swept = machine.json(Path::new("/"), &["gc"]);
        assert_eq!((&swept["deleted_objects"], &swept["aborted_check_uploads"]), (&0.into(), &0.into()), "{swept}");
        // And whoever looks after the server is told.
        wait_until("the sweep has come by", || {
            let stats = machine.json(Path::new("/"), &["stats"]).to_string();
            assert!(!stats.contains("failing"), "{stats}");
            stats.contains("AccessDenied")
        });
    });
}

#[test]
fn the_jobs_own_sweep_removes_it_too() {
    let place = Place::new();
    place.store.put(&format!("larder/check/first-{}", "0a".repeat(8)), "first");
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        let folder = tempfile::tempdir().unwrap();
        let _server = Server::start(&folder.path().join("data"), &[]);
        wait_until("the sweep has come by", || place.store.counts() == (0, 0));
    });
}
