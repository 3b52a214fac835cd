use std::fs;

use super::*;
use crate::testing::{Shelf, compare, put, restore, save};

#[test]
fn a_chunk_read_from_a_file_that_changed_since_it_was_looked_at_is_not_believed() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(source.path(), "f", "content");
    let shelf = Shelf::default();
    let captured = save(source.path(), Memory::new(), &shelf);
    restore(&captured, &shelf, target.path(), Memory::new());
    let progress = Progress::new();
    let comparison = compare(&captured, target.path(), Memory::new(), &progress);
    let site = &comparison.sites[0];
    let Standing::Kept(stat) = site.files[0] else { panic!("{:?}", site.files[0]) };
    let what = || What::Piece { offset: 0, length: 7, hash: HashFunction::TREE.hash(b"content") };
    let reading = Reading { site: 0, file: 0, stat, what: what() };
    assert_eq!(site.read(&reading, &progress).unwrap().len(), 1);
    // The same bytes again, but what else happened to the file meanwhile is not known.
    fs::write(target.path().join("f"), "content").unwrap();
    let later = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::open(target.path().join("f")).unwrap().set_times(later).unwrap();
    assert_eq!(site.read(&reading, &progress).unwrap().len(), 0);
}

#[test]
fn a_comparison_writes_nothing() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(source.path(), "d/f", "content");
    let captured = save(source.path(), Memory::new(), &Shelf::default());
    let progress = Progress::new();
    let missing = target.path().join("missing");
    assert_eq!(compare(&captured, &missing, Memory::new(), &progress).differing(), 1);
    assert_eq!(
        compare(&captured, target.path(), Memory::new(), &progress).needed(),
        [Digest::by(HashFunction::TREE, b"content")]
    );
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}
