use super::{connections, raise_limit};

#[test]
fn the_soft_limit_becomes_the_hard_one() {
    let limit = raise_limit();
    let now = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert_eq!((now.current, now.maximum), (limit, limit));
}

#[test]
fn connections_leave_files_to_the_store() {
    assert_eq!(connections(Some(1024)), 768);
    assert_eq!(connections(Some(0)), 1);
    assert!(connections(None) > 1_000_000);
}
