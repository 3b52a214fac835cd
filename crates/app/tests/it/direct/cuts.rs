//! The server, its client, or both killed at each step of an upload into the bucket.
//!
//! A step is reached when the object store holds the request that belongs to it, so that nothing depends on time.

use super::*;
use crate::server::wait_until;

/// What the test holds at a moment of a save.
struct Scene<'a> {
    place: &'a Place,
    server: Server,
    save: Running,
}

/// Lets a save come to where the object store holds one of its requests, lets `cut` happen there, and then sees that
/// what was acknowledged is there, that nothing is wrong, that the save can be repeated, and that one sweep leaves the
/// objects that something speaks of.
fn cut_at(faults: &[(Operation, Fault, usize)], cut: impl FnOnce(Scene<'_>)) {
    let place = Place::new();
    place.behind(&[("LARDER_BUCKET_ORPHAN_AGE", "0s")], || {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let (one, early) = (folder.path().join("one"), folder.path().join("early"));
        make_tree(&one);
        fs::create_dir_all(early.join("tree")).unwrap();
        fs::write(early.join("tree/file"), "before".repeat(100_000)).unwrap();
        let server = Server::start(&data, &[]);
        assert_eq!(Machine::of(&server).json(&early, &["save", "before", "tree"])["result"], "saved");
        for (operation, fault, times) in faults {
            place.store.inject(*operation, *fault, *times);
        }
        let machine = Machine::of(&server);
        let save = Running::start(&machine, &one, &["save", "key", "tree"]);
        wait_until("the save is at its step", || place.store.held() > 0);
        cut(Scene { place: &place, server, save });
        place.store.heal();
        place.store.release();
        wait_until("nothing is held", || place.store.held() == 0);
        check_after(&place, &data, &one, &early);
    });
}

/// What must hold after a cut, whatever it was.
fn check_after(place: &Place, data: &Path, one: &Path, early: &Path) {
    let server = Server::start(data, &[]);
    let restore = |key: &str| {
        let other = tempfile::tempdir().unwrap();
        let restored = Machine::of(&server).json(other.path(), &["restore", key]);
        (restored["result"].as_str().unwrap().to_owned(), describe(other.path()))
    };
    assert_eq!(restore("before"), ("hit".to_owned(), describe(early)), "what was acknowledged is there");
    let (result, found) = restore("key");
    match result.as_str() {
        "hit" => assert_eq!(found, describe(one)),
        other => assert_eq!((other, found.len()), ("miss", 0)),
    }
    let again = Machine::of(&server).json(one, &["save", "key", "tree"]);
    assert!(["saved", "unchanged"].contains(&again["result"].as_str().unwrap()), "{again}");
    assert_eq!(restore("key"), ("hit".to_owned(), describe(one)));
    Machine::of(&server).json(Path::new("/"), &["gc"]);
    let bucket = bucket_of(&server);
    assert_eq!(bucket["objects"].as_u64(), Some(place.objects().len() as u64), "{bucket}: {:?}", place.objects());
    assert_eq!((bucket["doomed_objects"].as_u64(), bucket["vanished"].as_u64()), (Some(0), Some(0)), "{bucket}");
    assert_eq!(restore("before"), ("hit".to_owned(), describe(early)));
    assert_eq!(restore("key"), ("hit".to_owned(), describe(one)));
}

#[test]
fn killed_when_a_url_was_given_and_nothing_was_put() {
    cut_at(&[(Operation::Put, Fault::Hold, 1)], |Scene { place, server, save }| {
        let before = place.objects();
        server.kill();
        save.kill();
        assert_eq!(place.objects(), before);
    });
}

#[test]
fn killed_when_a_part_was_put_and_the_server_was_not_told() {
    cut_at(&[(Operation::Put, Fault::HoldAnswer, 1)], |Scene { place, server, save }| {
        assert_eq!(place.objects().len(), 2);
        server.kill();
        place.store.release();
        assert_eq!(save.result(), "skipped");
    });
}

#[test]
fn a_client_killed_in_the_middle_of_a_part_leaves_no_object() {
    cut_at(&[(Operation::Put, Fault::HoldBody(100_000), 1)], |Scene { place, server, save }| {
        let before = place.objects();
        save.kill();
        place.store.release();
        wait_until("the torn part is refused", || place.store.held() == 0);
        server.kill();
        assert_eq!(place.objects(), before, "a torn body makes no object");
    });
}

#[test]
fn killed_at_every_read_between_the_last_part_and_the_entry() {
    let reads = reads_of_a_save();
    assert!(reads >= 3, "a part is verified with {reads} reads");
    let mut adopted = Vec::new();
    for read in 0..reads {
        cut_at(&[(Operation::Get, Fault::Pass, read), (Operation::Get, Fault::Hold, 1)], |scene| {
            adopted.push(bucket_of(&scene.server)["adopted"].as_u64().unwrap());
            scene.server.kill();
            assert_eq!(scene.save.result(), "skipped");
        });
    }
    // One is that of the earlier save.
    assert_eq!(adopted.first(), Some(&1), "before the adoption: {adopted:?}");
    assert_eq!(adopted.last(), Some(&2), "after the adoption and before the entry: {adopted:?}");
}

#[test]
fn killed_when_the_entry_was_published_and_the_parts_are_cleared_away() {
    cut_at(&[(Operation::List, Fault::Hold, 1)], |Scene { server, save, .. }| {
        let other = tempfile::tempdir().unwrap();
        assert_eq!(Machine::of(&server).json(other.path(), &["restore", "key"])["result"], "hit");
        server.kill();
        // The end of the upload was written down before; whether its client heard of it is a matter of luck.
        save.result();
    });
}

#[test]
fn killed_as_soon_as_the_entry_can_be_seen() {
    // The row of the upload may have ended or not; the tests of the ci door meet each of the two.
    cut_at(&[(Operation::Put, Fault::Hold, 1)], |Scene { place, server, save }| {
        let machine = Machine::of(&server);
        place.store.release();
        wait_until("the entry can be seen", || {
            let listed = machine.json(Path::new("/"), &["list"]);
            listed["entries"].as_array().unwrap().len() == 2
        });
        server.kill();
        save.result();
    });
}

/// How many reads the server makes of the bucket from the last part of a save to its entry.
fn reads_of_a_save() -> usize {
    let place = Place::new();
    let mut reads = 0;
    place.behind(&[], || {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"), &[]);
        make_tree(folder.path());
        assert_eq!(Machine::of(&server).json(folder.path(), &["save", "key", "tree"])["result"], "saved");
        reads = place.count(Operation::Get);
    });
    reads
}
