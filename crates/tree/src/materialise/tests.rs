use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use bytes::Bytes;
use larder_base::HashFunction;
use larder_base::chunk::Cut;
use larder_base::segment::Record;
use tempfile::TempDir;

use super::*;
use crate::testing::{LateClock, Shelf, compare, fill, noise, picture, put, restore, save, survey};
use crate::{Captured, Progress};

/// A tree with one of everything, saved.
fn sample() -> (TempDir, Shelf, Captured) {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    put(at, "large", noise(1, 5_000_000));
    put(at, "d/small", "small");
    put(at, "d/e/same", "small");
    put(at, "d/empty", "");
    put(at, "d/e/one", noise(2, 100_000));
    fs::hard_link(at.join("d/e/one"), at.join("d/e/two")).unwrap();
    fs::hard_link(at.join("d/e/one"), at.join("three")).unwrap();
    symlink("../large", at.join("d/link")).unwrap();
    symlink("nowhere", at.join("dangling")).unwrap();
    fs::create_dir_all(at.join("d/hollow/inner")).unwrap();
    fs::set_permissions(at.join("d/small"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(at.join("d/hollow"), fs::Permissions::from_mode(0o555)).unwrap();
    let shelf = Shelf::default();
    let captured = save(at, Memory::new(), &shelf);
    assert_eq!(captured.omissions, []);
    (root, shelf, captured)
}

fn drafts(root: &Path) -> Vec<String> {
    picture(root).into_iter().filter(|line| line.contains(".larder~")).collect()
}

#[test]
fn a_restored_tree_is_the_saved_one() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let (restored, progress) = restore(&captured, &shelf, target.path(), Memory::new());
    assert!(restored.is_complete());
    assert_eq!(picture(target.path()), picture(source.path()));
    assert_eq!((restored.files_written, restored.files_kept, restored.links_made), (5, 0, 4));
    assert_eq!(progress.bytes_read.get(), 0);
    assert_eq!(progress.bytes_written.get(), 5_100_010);
    assert_eq!((progress.files_done.get(), progress.files.get()), (7, 7));
    assert_eq!(progress.bytes_done.get(), progress.bytes.get());
}

#[test]
fn a_target_that_does_not_exist_is_made() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("not/yet");
    restore(&captured, &shelf, &path, Memory::new());
    assert_eq!(picture(&path), picture(source.path()));
}

#[test]
fn a_tree_that_is_as_saved_is_neither_read_nor_written() {
    let (_source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let (mut first, _) = restore(&captured, &shelf, target.path(), Memory::new());
    let before = inodes(target.path());
    // Without memory everything is read, with it nothing.
    for (memory, read) in [(Memory::new(), 5_100_010), (first.memories.remove(0).1, 0)] {
        let (again, progress) = restore(&captured, &shelf, target.path(), memory);
        assert!(again.is_complete());
        assert_eq!((again.files_kept, again.files_written, again.files_touched, again.links_made), (7, 0, 0, 0));
        assert_eq!((progress.bytes_read.get(), progress.bytes_written.get()), (read, 0));
        assert_eq!(inodes(target.path()), before, "nothing was made anew");
    }
}

/// Everything that changes when something is made anew or its state is set, by path.
fn inodes(root: &Path) -> Vec<(u64, i64, i64)> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(at) = waiting.pop() {
        let meta = fs::symlink_metadata(&at).unwrap();
        found.push((meta.ino(), meta.ctime(), meta.ctime_nsec()));
        if meta.is_dir() {
            let mut below: Vec<_> = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()).collect();
            below.sort();
            waiting.extend(below);
        }
    }
    found
}

#[test]
fn only_what_differs_is_written_and_what_is_not_saved_is_left_alone() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    let at = target.path();
    let large = fs::metadata(at.join("large")).unwrap();
    fs::write(at.join("d/small"), "SMALL").unwrap();
    put(at, "d/mine", "mine");
    let (restored, progress) = restore(&captured, &shelf, at, Memory::new());
    assert_eq!((restored.files_written, restored.links_made), (1, 0));
    // The content is the same as another file's here, so it is not even fetched.
    assert_eq!(progress.bytes_written.get(), 5);
    assert_eq!(fs::read(at.join("d/mine")).unwrap(), b"mine");
    assert_eq!(fs::metadata(at.join("large")).unwrap().ino(), large.ino());
    fs::remove_file(at.join("d/mine")).unwrap();
    let time = fs::FileTimes::new().set_modified(fs::metadata(source.path().join("d")).unwrap().modified().unwrap());
    fs::File::open(at.join("d")).unwrap().set_times(time).unwrap();
    assert_eq!(picture(at), picture(source.path()));
}

#[test]
fn a_file_whose_mode_or_time_differs_is_not_rewritten() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    let (small, large) = (target.path().join("d/small"), target.path().join("large"));
    fs::set_permissions(&small, fs::Permissions::from_mode(0o400)).unwrap();
    fs::File::open(&large).unwrap().set_times(fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH)).unwrap();
    let inode = fs::metadata(&small).unwrap().ino();
    let (restored, progress) = restore(&captured, &shelf, target.path(), Memory::new());
    assert_eq!((restored.files_touched, restored.files_written), (2, 0));
    assert_eq!(progress.bytes_written.get(), 0);
    assert_eq!(fs::metadata(&small).unwrap().ino(), inode);
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn a_name_shared_with_a_file_outside_is_given_a_file_of_its_own() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    let (small, mine) = (target.path().join("d/small"), target.path().join("mine"));
    fs::hard_link(&small, &mine).unwrap();
    fs::set_permissions(&small, fs::Permissions::from_mode(0o600)).unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    assert_eq!(fs::metadata(&mine).unwrap().mode() & 0o777, 0o600, "the other name keeps its mode");
    fs::remove_file(mine).unwrap();
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn chunks_of_a_changed_large_file_are_taken_from_it() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let (mut first, _) = restore(&captured, &shelf, target.path(), Memory::new());
    let memory = first.memories.remove(0).1;
    let large = target.path().join("large");
    let whole = fs::read(&large).unwrap();
    let mut flipped = whole.clone();
    flipped[2_500_000] ^= 1;
    let inserted = [&whole[..2_500_000], b"inserted", &whole[2_500_000..]].concat();
    for (changed, memory) in [(&flipped, Memory::new()), (&inserted, Memory::new()), (&flipped, memory)] {
        fs::write(&large, changed).unwrap();
        let progress = Progress::new();
        let comparison = compare(&captured, target.path(), memory, &progress);
        let fetched: u64 = comparison.needed().iter().map(|chunk| chunk.size).sum();
        assert!(comparison.needed().len() == 1 && fetched < Cut::TREE.max_len() as u64, "{fetched} bytes are fetched");
        fill(comparison.begin(&progress).unwrap(), &shelf).finish(&LateClock).unwrap();
        assert_eq!(picture(target.path()), picture(source.path()));
    }
}

#[test]
fn a_local_chunk_that_changes_meanwhile_is_fetched() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    fs::remove_file(target.path().join("d/small")).unwrap();
    let progress = Progress::new();
    let comparison = compare(&captured, target.path(), Memory::new(), &progress);
    assert_eq!(comparison.needed(), []);
    fs::write(target.path().join("d/e/same"), "SMALL").unwrap();
    let materialiser = comparison.begin(&progress).unwrap();
    assert_eq!(materialiser.needed(), [Digest::by(HashFunction::TREE, b"small")]);
    fill(materialiser, &shelf).finish(&LateClock).unwrap();
    // What changed after it was compared is as it was changed; the next restore sees it.
    assert_eq!(fs::read(target.path().join("d/small")).unwrap(), b"small");
    restore(&captured, &shelf, target.path(), Memory::new());
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn a_damaged_chunk_is_refused_and_its_file_untouched() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    put(target.path(), "d/small", "before");
    let progress = Progress::new();
    let materialiser = compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap();
    let (header, body) = shelf.records.lock()[&HashFunction::TREE.hash(b"small")].clone();
    let mut flipped = body.to_vec();
    flipped[0] ^= 1;
    let other = Record::chunk(header.hash, Bytes::from_static(b"SMALL"), 1);
    let longer = Record::chunk(header.hash, Bytes::from_static(b"small and more"), 1);
    let raw = Record::chunk(header.hash, Bytes::from(vec![7; 1000]), 1);
    for (header, body) in [
        (&header, &flipped[..]),
        (&header, &body[1..]),
        (&other.header, &other.body),
        (&longer.header, &longer.body),
        (&raw.header, &raw.body),
    ] {
        let error = materialiser.push(header, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(fs::read(target.path().join("d/small")).unwrap(), b"before");
    }
    assert_eq!(materialiser.push(&header, &body).unwrap(), Pushed::Written);
    assert_eq!(materialiser.push(&header, &body).unwrap(), Pushed::NotNeeded);
    let stranger = Record::chunk(HashFunction::TREE.hash(b"stranger"), Bytes::from_static(b"stranger"), 1);
    assert_eq!(materialiser.push(&stranger.header, &stranger.body).unwrap(), Pushed::NotNeeded);
    fill(materialiser, &shelf).finish(&LateClock).unwrap();
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn files_whose_chunks_do_not_all_come_are_as_they_were_and_named() {
    let (_source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    put(target.path(), "large", "before");
    put(target.path(), "three", "before");
    let progress = Progress::new();
    let materialiser = compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap();
    let needed = materialiser.needed().to_vec();
    let one = HashFunction::TREE.hash(&noise(2, 100_000));
    let last_of_large = needed.iter().rfind(|chunk| chunk.size > 100_000).unwrap().hash;
    for chunk in needed.iter().filter(|chunk| chunk.hash != one && chunk.hash != last_of_large) {
        let (header, body) = shelf.records.lock()[&chunk.hash].clone();
        materialiser.push(&header, &body).unwrap();
    }
    assert!(!drafts(target.path()).is_empty());
    let restored = materialiser.finish(&LateClock).unwrap();
    let names: Vec<String> = restored.incomplete.iter().map(|path| path.rsplit('/').next().unwrap().into()).collect();
    assert_eq!(names, ["one", "two", "large", "three"]);
    assert_eq!(fs::read(target.path().join("large")).unwrap(), b"before");
    assert_eq!(fs::read(target.path().join("three")).unwrap(), b"before");
    assert_eq!(fs::read(target.path().join("d/small")).unwrap(), b"small");
    assert_eq!(drafts(target.path()), [""; 0]);
}

#[test]
fn an_abandoned_restore_leaves_no_drafts() {
    let (_source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let progress = Progress::new();
    let materialiser = compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap();
    let first = materialiser.needed()[0];
    let (header, body) = shelf.records.lock()[&first.hash].clone();
    materialiser.push(&header, &body).unwrap();
    assert_eq!(drafts(target.path()).len(), 1);
    progress.stop();
    assert_eq!(materialiser.push(&header, &body).unwrap_err().kind(), ErrorKind::Unavailable);
    drop(materialiser);
    assert_eq!(drafts(target.path()), [""; 0]);
}

#[test]
fn what_is_in_the_way_is_replaced_unless_it_is_a_directory_with_something_in_it() {
    let (source, shelf, captured) = sample();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "small", "outside");
    let target = tempfile::tempdir().unwrap();
    let at = target.path();
    // A link where a directory goes, a file where a directory goes, an empty directory where a file, a link and a
    // further name go, a link where a file goes.
    symlink(outside.path(), at.join("d")).unwrap();
    fs::create_dir(at.join("large")).unwrap();
    fs::create_dir(at.join("dangling")).unwrap();
    symlink(outside.path().join("small"), at.join("three")).unwrap();
    let (restored, _) = restore(&captured, &shelf, at, Memory::new());
    assert!(restored.is_complete(), "{:?}", restored.refusals);
    assert_eq!(picture(at), picture(source.path()));
    assert_eq!(fs::read(outside.path().join("small")).unwrap(), b"outside");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);

    let target = tempfile::tempdir().unwrap();
    let at = target.path();
    put(at, "d/e", "a file");
    for full in ["large", "dangling", "three", "d/small"] {
        put(at, &format!("{full}/mine"), "mine");
    }
    let (restored, _) = restore(&captured, &shelf, at, Memory::new());
    let refused: Vec<&str> = restored.refusals.iter().map(|refusal| refusal.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(refused, ["one", "two", "small", "dangling", "large", "three"]);
    assert!(restored.refusals[0].reason.contains("its other name"), "{}", restored.refusals[0]);
    assert!(restored.refusals[2].reason.contains("not empty"), "{}", restored.refusals[2]);
    assert_eq!(restored.incomplete, [""; 0]);
    for full in ["large", "dangling", "three", "d/small"] {
        assert_eq!(fs::read(at.join(full).join("mine")).unwrap(), b"mine");
    }
    assert_eq!(fs::read(at.join("d/e/same")).unwrap(), b"small", "the file gave way to the directory");
}

#[test]
fn a_file_of_which_one_name_is_taken_has_its_others() {
    let source = tempfile::tempdir().unwrap();
    put(source.path(), "file", "content");
    fs::create_dir(source.path().join("d")).unwrap();
    for other in ["d/taken", "last"] {
        fs::hard_link(source.path().join("file"), source.path().join(other)).unwrap();
    }
    let shelf = Shelf::default();
    let captured = save(source.path(), Memory::new(), &shelf);
    let target = tempfile::tempdir().unwrap();
    put(target.path(), "d/taken/mine", "mine");
    let (restored, _) = restore(&captured, &shelf, target.path(), Memory::new());
    let refused: Vec<&str> = restored.refusals.iter().map(|refusal| refusal.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(refused, ["taken"]);
    let inode = |name: &str| fs::metadata(target.path().join(name)).unwrap().ino();
    assert_eq!(fs::read(target.path().join("file")).unwrap(), b"content");
    assert_eq!(inode("file"), inode("last"));
    assert_eq!(fs::read(target.path().join("d/taken/mine")).unwrap(), b"mine");
}

#[test]
fn a_link_planted_after_the_comparison_leads_nothing_outside() {
    let (_source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("e")).unwrap();
    let at = target.path();
    fs::create_dir_all(at.join("d/e")).unwrap();
    let progress = Progress::new();
    let comparison = compare(&captured, at, Memory::new(), &progress);
    fs::rename(at.join("d"), at.join("moved")).unwrap();
    symlink(outside.path(), at.join("d")).unwrap();
    let materialiser = comparison.begin(&progress).unwrap();
    fill(materialiser, &shelf).finish(&LateClock).unwrap();
    assert_eq!(fs::read_dir(outside.path().join("e")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_draft_that_was_swapped_is_not_written_to() {
    let (_source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "victim", "victim");
    let progress = Progress::new();
    let materialiser = compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap();
    let parts: Vec<Digest> = materialiser.needed().iter().copied().filter(|chunk| chunk.size > 100_000).collect();
    let push = |chunk: &Digest| {
        let (header, body) = shelf.records.lock()[&chunk.hash].clone();
        materialiser.push(&header, &body).unwrap();
    };
    push(&parts[0]);
    // As if the handle had been closed for lack of room.
    let number =
        (0..materialiser.buildings.len()).find(|number| materialiser.planned(*number).size > 1_000_000).unwrap();
    materialiser.buildings[number].close_draft();
    let draft = target.path().join(building::draft_name(number));
    fs::remove_file(&draft).unwrap();
    fs::hard_link(outside.path().join("victim"), &draft).unwrap();
    for part in &parts[1..] {
        push(part);
    }
    let restored = materialiser.finish(&LateClock).unwrap();
    assert_eq!(fs::read(outside.path().join("victim")).unwrap(), b"victim");
    assert!(restored.refusals.iter().any(|refusal| refusal.path.ends_with("/large")));
}

#[test]
fn read_only_files_and_directories_are_restored_over() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    let (e, same) = (target.path().join("d/e"), target.path().join("d/e/same"));
    fs::write(&same, "other").unwrap();
    fs::set_permissions(&same, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&e, fs::Permissions::from_mode(0o500)).unwrap();
    let (restored, _) = restore(&captured, &shelf, target.path(), Memory::new());
    assert!(restored.is_complete());
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn two_restores_of_one_target_do_not_run_at_once() {
    let (_source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let progress = Progress::new();
    let first = compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap();
    let error = compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    fill(first, &shelf).finish(&LateClock).unwrap();
    compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap();
}

#[test]
fn a_root_without_a_target_is_refused_by_name() {
    let (_source, _shelf, captured) = sample();
    let plan = crate::Plan::read(captured.manifest.bytes, &crate::PlanLimits::default()).unwrap();
    let error = crate::Comparison::of(plan, vec![], &LateClock, 1, &Progress::new()).unwrap_err();
    assert!(error.message().contains("work"), "{error}");
}

/// The trees that a restore goes over: an empty one, one that is partly right, and one with everything in the way.
fn start(kind: usize, at: &Path) {
    if kind == 0 {
        return;
    }
    put(at, "large", noise(1, 4_000_000));
    put(at, "d/small", "before");
    put(at, "d/e/same", "small");
    put(at, "mine", "mine");
    if kind == 2 {
        fs::create_dir(at.join("three")).unwrap();
        fs::remove_file(at.join("d/e/same")).unwrap();
        fs::hard_link(at.join("large"), at.join("d/e/one")).unwrap();
        symlink("elsewhere", at.join("d/link")).unwrap();
        put(at, "d/hollow", "a file");
    }
}

/// What each file holds, by path.
fn contents(root: &Path) -> HashMap<String, Vec<u8>> {
    let mut found = HashMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_symlink() {
                found.insert(name, fs::read_link(&path).unwrap().display().to_string().into());
            } else if path.is_dir() {
                waiting.push(path);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn ended_at_any_change_every_file_is_as_it_was_or_as_it_should_be() {
    let (source, shelf, captured) = sample();
    let wanted = contents(source.path());
    for kind in 0..3 {
        let mut changes = 0;
        loop {
            let target = tempfile::tempdir().unwrap();
            let at = target.path();
            start(kind, at);
            let before = contents(at);
            let has_ended = end_after(changes, &captured, &shelf, at);
            for (name, content) in contents(at) {
                if name.contains(".larder~") {
                    continue;
                }
                let is_known = wanted.get(&name) == Some(&content) || before.get(&name) == Some(&content);
                assert!(is_known, "after {changes} changes {name} is neither old nor new");
            }
            for (name, content) in &before {
                let is_there = at.join(name).symlink_metadata().is_ok();
                // A file gives way to a directory in two changes, so it may be gone between them.
                let gives_way = name == "d/hollow";
                assert!(is_there || gives_way, "after {changes} changes {name} ({} bytes) is gone", content.len());
            }
            // The next restore removes what was left and completes the tree.
            let (restored, _) = restore(&captured, &shelf, at, Memory::new());
            assert!(restored.is_complete());
            assert_eq!(drafts(at), [""; 0]);
            let restored = contents(at);
            for (name, content) in &wanted {
                assert!(restored.get(name) == Some(content), "{name} is not as saved");
            }
            if has_ended {
                break;
            }
            changes += 1;
        }
        assert!(changes > 30, "{changes}");
    }
}

/// Restores until a number of changes were made to the disk; says whether it was all of them.
fn end_after(changes: i64, captured: &Captured, shelf: &Shelf, at: &Path) -> bool {
    let progress = Progress::new();
    let mut comparison = compare(captured, at, Memory::new(), &progress);
    comparison.edits = Edits::ending_after(changes);
    let Ok(materialiser) = comparison.begin(&progress) else { return false };
    for chunk in materialiser.needed().to_vec() {
        let (header, body) = shelf.records.lock()[&chunk.hash].clone();
        if materialiser.push(&header, &body).is_err() {
            return false;
        }
    }
    materialiser.finish(&LateClock).is_ok_and(|restored| restored.is_complete())
}

#[test]
fn files_that_change_places_are_not_fetched() {
    let (source, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    let at = |name: &str| target.path().join(name);
    // Each is the only place where the other's content is.
    fs::remove_file(at("d/e/same")).unwrap();
    fs::rename(at("d/small"), at("aside")).unwrap();
    fs::write(at("d/small"), noise(2, 100_000)).unwrap();
    for name in ["d/e/one", "d/e/two", "three"] {
        fs::remove_file(at(name)).unwrap();
    }
    fs::rename(at("aside"), at("three")).unwrap();
    let mut memories = {
        // A memory of what is there now, as a save would leave it.
        let shelf = Shelf::default();
        let captured = save(target.path(), Memory::new(), &shelf);
        captured.memories
    };
    let progress = Progress::new();
    let comparison = compare(&captured, target.path(), memories.remove(0), &progress);
    assert_eq!(comparison.needed(), []);
    let materialiser = comparison.begin(&progress).unwrap();
    assert_eq!(materialiser.needed(), []);
    assert!(materialiser.finish(&LateClock).unwrap().is_complete());
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn a_file_that_loses_a_name_after_a_restore_is_not_read_again() {
    let (_, shelf, captured) = sample();
    let target = tempfile::tempdir().unwrap();
    let (restored, _) = restore(&captured, &shelf, target.path(), Memory::new());
    let memory = restored.memories[0].1.clone();
    // The first name is the one that it is saved under; any other must do as well.
    fs::remove_file(target.path().join("three")).unwrap();
    assert_eq!(survey(target.path(), memory.clone()).unread(), 0);
    fs::remove_file(target.path().join("d/e/one")).unwrap();
    assert_eq!(survey(target.path(), memory.clone()).unread(), 0);
    // And when the tree was already as it should be.
    fs::hard_link(target.path().join("d/e/two"), target.path().join("d/e/one")).unwrap();
    fs::hard_link(target.path().join("d/e/two"), target.path().join("three")).unwrap();
    let (restored, _) = restore(&captured, &shelf, target.path(), memory);
    assert_eq!(restored.files_written, 0);
    fs::remove_file(target.path().join("three")).unwrap();
    assert_eq!(survey(target.path(), restored.memories[0].1.clone()).unread(), 0);
}

/// A tree of one file with two names, saved.
fn pair() -> (TempDir, Shelf, Captured) {
    let source = tempfile::tempdir().unwrap();
    put(source.path(), "one", "saved");
    fs::hard_link(source.path().join("one"), source.path().join("two")).unwrap();
    let shelf = Shelf::default();
    let captured = save(source.path(), Memory::new(), &shelf);
    (source, shelf, captured)
}

#[test]
fn what_somebody_writes_during_a_restore_is_not_taken_for_what_was_restored() {
    let (source, shelf, captured) = pair();
    let write: fn(&Path) = |file| fs::write(file, "other").unwrap();
    let replace: fn(&Path) = |file| {
        fs::write(file.with_extension("new"), "other").unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    };
    // Once the file is made, and once only its time is set.
    for is_there in [false, true] {
        for change in [write, replace] {
            let target = tempfile::tempdir().unwrap();
            if is_there {
                put(target.path(), "one", "saved");
                fs::hard_link(target.path().join("one"), target.path().join("two")).unwrap();
            }
            let progress = Progress::new();
            let filled =
                fill(compare(&captured, target.path(), Memory::new(), &progress).begin(&progress).unwrap(), &shelf);
            change(&target.path().join("one"));
            let mut restored = filled.finish(&LateClock).unwrap();
            let again = save(target.path(), restored.memories.remove(0).1, &shelf);
            let copy = tempfile::tempdir().unwrap();
            restore(&again, &shelf, copy.path(), Memory::new());
            assert_eq!(fs::read(copy.path().join("one")).unwrap(), b"other");
            assert_eq!(picture(copy.path()), picture(target.path()));
        }
    }
    drop(source);
}

#[test]
fn a_file_changed_after_the_comparison_is_not_given_the_time_of_the_saved_one() {
    let (_source, shelf, captured) = pair();
    let target = tempfile::tempdir().unwrap();
    put(target.path(), "one", "saved");
    fs::hard_link(target.path().join("one"), target.path().join("two")).unwrap();
    let progress = Progress::new();
    let comparison = compare(&captured, target.path(), Memory::new(), &progress);
    put(target.path(), "one", "other");
    let before = picture(target.path());
    let mut restored = fill(comparison.begin(&progress).unwrap(), &shelf).finish(&LateClock).unwrap();
    let reasons: Vec<&str> = restored.refusals.iter().map(|refusal| &*refusal.reason).collect();
    assert!(reasons[0].contains("changed during the restore"), "{reasons:?}");
    assert_eq!(picture(target.path()), before);
    assert_eq!(survey(target.path(), restored.memories.remove(0).1).unread(), 1);
}

#[test]
fn a_file_with_a_name_outside_keeps_its_mode_there_whatever_its_other_names_are() {
    let (source, shelf, captured) = pair();
    let target = tempfile::tempdir().unwrap();
    put(target.path(), "one", "saved");
    put(target.path(), "two", "another");
    let (one, mine) = (target.path().join("one"), target.path().join("mine"));
    fs::hard_link(&one, &mine).unwrap();
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
    restore(&captured, &shelf, target.path(), Memory::new());
    assert_eq!(fs::metadata(&mine).unwrap().mode() & 0o777, 0o600);
    fs::remove_file(mine).unwrap();
    assert_eq!(picture(target.path()), picture(source.path()));
}

#[test]
fn one_file_in_the_place_of_two_becomes_two() {
    let source = tempfile::tempdir().unwrap();
    for (number, [first, second]) in [["a", "x"], ["b", "y"]].into_iter().enumerate() {
        put(source.path(), first, "content");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000 + number as u64);
        fs::File::open(source.path().join(first)).unwrap().set_modified(time).unwrap();
        fs::hard_link(source.path().join(first), source.path().join(second)).unwrap();
    }
    let shelf = Shelf::default();
    let captured = save(source.path(), Memory::new(), &shelf);
    let target = tempfile::tempdir().unwrap();
    put(target.path(), "a", "content");
    for other in ["b", "x", "y"] {
        fs::hard_link(target.path().join("a"), target.path().join(other)).unwrap();
    }
    let (restored, _) = restore(&captured, &shelf, target.path(), Memory::new());
    assert!(restored.is_complete(), "{:?}", restored.refusals);
    assert_eq!(picture(target.path()), picture(source.path()));
}
