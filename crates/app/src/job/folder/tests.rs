use std::fs;
use std::os::unix::fs::PermissionsExt;

use larder_base::ErrorKind;

use super::Folder;
use crate::job::queue::{Queue, Status};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_job_is_private_has_one_owner_at_a_time_and_is_gone_when_removed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new/job");
    let owned = Folder::create(&path).unwrap();
    assert_eq!((mode(&path.join("state")), mode(&path.join("state/queue.json"))), (0o700, 0o600));
    assert_eq!(mode(&path) & 0o066, 0, "nobody else may list it");
    assert_eq!(Folder::create(&path).err().unwrap().kind(), ErrorKind::Invalid);
    let other = Folder::at(&path);
    assert_eq!(other.own().err().unwrap().kind(), ErrorKind::Unavailable);
    drop(owned);
    other.own().unwrap().remove().unwrap();
    assert!(!path.exists());
    assert_eq!(other.own().err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn what_was_stored_is_in_force_whatever_a_crash_left_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("job");
    let owned = Folder::create(&path).unwrap();
    let mut queue = Queue::default();
    queue.end(Status::Failure);
    owned.store(&queue).unwrap();
    fs::write(path.join("state/queue.new"), "{\"vers").unwrap();
    assert_eq!(Folder::at(&path).load().unwrap().ending(), Some(Status::Failure));
    owned.store(&Queue::default()).unwrap();
    assert_eq!(Folder::at(&path).load().unwrap().ending(), None);
}

#[test]
fn a_queue_that_cannot_be_understood_is_an_error_and_no_empty_queue() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("job");
    let _owned = Folder::create(&path).unwrap();
    for text in ["{\"version\":1,", "{\"version\":2,\"queue\":{\"ending\":null,\"tasks\":[]}}", ""] {
        fs::write(path.join("state/queue.json"), text).unwrap();
        assert_eq!(Folder::at(&path).load().err().unwrap().kind(), ErrorKind::Corrupt, "{text}");
    }
}

#[test]
fn a_path_that_no_socket_can_have_is_refused_before_anything_is_made() {
    let place = tempfile::tempdir().unwrap();
    for name in ["x".repeat(100), "a\nb".into()] {
        assert_eq!(Folder::create(&place.path().join(name)).err().unwrap().kind(), ErrorKind::Invalid);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
