use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_base::{Clock as _, ErrorKind, HashFunction, chunk::Cut};
use larder_proto::manifest::Manifest;
use larder_proto::reapi::Directory;
use prost::Message as _;

use super::*;
use crate::Memory;
use crate::survey::tests::Hook;
use crate::testing::{LateClock, Shelf, limits, noise, put, save, source, survey};

fn manifest_of(captured: &Captured) -> Manifest {
    Manifest::decode(captured.manifest.bytes.clone()).unwrap()
}

fn top(captured: &Captured) -> Directory {
    let manifest = manifest_of(captured);
    Directory::decode(manifest.roots[0].tree.clone().unwrap().root).unwrap()
}

#[test]
fn every_chunk_that_the_manifest_needs_is_sent_once() {
    let root = tempfile::tempdir().unwrap();
    let large = noise(1, 3 * Cut::TREE.max_len() + 12_345);
    put(root.path(), "large", &large);
    put(root.path(), "d/same", &large);
    put(root.path(), "small", b"small");
    put(root.path(), "d/small", b"small");
    put(root.path(), "exact", noise(2, Cut::TREE.max_len()));
    put(root.path(), "empty", b"");
    let shelf = Shelf::default();
    let captured = save(root.path(), Memory::new(), &shelf);
    assert_eq!((captured.files, captured.omissions.len()), (6, 0));
    let manifest = manifest_of(&captured);
    assert_eq!(manifest.recipes.len(), 1);
    let recipe = &manifest.recipes[0];
    let whole: Vec<u8> = recipe
        .hashes
        .chunks(32)
        .flat_map(|hash| shelf.content(&ContentHash::new(HashFunction::TREE, hash.try_into().unwrap())).unwrap())
        .collect();
    assert!(whole == large);
    assert!(shelf.content(&HashFunction::TREE.hash(b"small")).is_some());
    assert!(shelf.content(&HashFunction::TREE.hash(&noise(2, Cut::TREE.max_len()))).is_some());
    assert_eq!(shelf.content(&captured.manifest.chunks[0].0.hash).unwrap(), captured.manifest.chunks[0].1);
    let asked = shelf.asked.lock();
    assert_eq!(asked.len(), asked.iter().collect::<BTreeSet<_>>().len(), "no chunk is asked about twice");
    let file = top(&captured).files.into_iter().find(|file| file.name == "large").unwrap();
    assert_eq!(file.node_properties.unwrap().properties[0].value, "recipe");
}

#[test]
fn chunks_of_a_large_file_are_those_of_the_published_cut() {
    let root = tempfile::tempdir().unwrap();
    let large = noise(3, 20_000_000);
    put(root.path(), "large", &large);
    let manifest = manifest_of(&save(root.path(), Memory::new(), &Shelf::default()));
    let mut lengths = Vec::new();
    let mut rest = &large[..];
    while !rest.is_empty() {
        let length = Cut::TREE.next(rest);
        lengths.push(length as u32);
        rest = &rest[length..];
    }
    assert_eq!(manifest.recipes[0].lengths, lengths);
}

#[test]
fn an_unchanged_tree_is_not_read_and_gives_the_same_manifest() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "large", noise(1, 5_000_000));
    put(root.path(), "d/small", b"small");
    let shelf = Shelf::default();
    let first = save(root.path(), Memory::new(), &shelf);
    let progress = Progress::new();
    let sources = vec![source(root.path(), first.memories[0].clone())];
    let survey = Survey::take(sources, &LateClock, 3, &progress).unwrap();
    assert_eq!(survey.unread(), 0);
    assert_eq!(survey.manifest().unwrap().digest, first.manifest.digest);
    let sent = shelf.segments.load(Ordering::SeqCst);
    let second = survey.save(&shelf, &limits(), &progress).unwrap();
    assert_eq!(progress.bytes_read.get(), 0);
    assert_eq!((progress.files_done.get(), progress.bytes_done.get()), (2, 5_000_005));
    assert_eq!(shelf.segments.load(Ordering::SeqCst), sent);
    assert_eq!(second.manifest.digest, first.manifest.digest);
    // A third, from the memory of the second, still knows all.
    let third = crate::testing::survey(root.path(), second.memories[0].clone());
    assert_eq!(third.unread(), 0);
}

#[test]
fn looking_reads_without_sending_and_saves_reading_again_only_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "large", noise(1, 5_000_000));
    put(root.path(), "small", b"small");
    let mut looked = survey(root.path(), Memory::new());
    assert!(looked.manifest().is_none());
    let progress = Progress::new();
    looked.look(&limits(), &progress).unwrap();
    assert_eq!(progress.bytes_read.get(), 5_000_005);
    let digest = looked.manifest().unwrap().digest;
    let shelf = Shelf::default();
    put(root.path(), "small2", b"small");
    let other = tempfile::tempdir().unwrap();
    put(other.path(), "s", b"small");
    save(other.path(), Memory::new(), &shelf);
    let progress = Progress::new();
    let captured = looked.save(&shelf, &limits(), &progress).unwrap();
    assert_eq!(captured.manifest.digest, digest);
    assert_eq!(progress.bytes_read.get(), 5_000_000, "the small file's chunk was there already");
    assert!(shelf.raw_bytes() > 5_000_000);
}

#[test]
fn a_remembered_chunk_that_the_other_side_lost_is_read_and_sent_again() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "large", noise(1, 5_000_000));
    put(root.path(), "small", b"small");
    let shelf = Shelf::default();
    let first = save(root.path(), Memory::new(), &shelf);
    let lost = manifest_of(&first).recipes[0].hashes[32..64].try_into().unwrap();
    shelf.records.lock().remove(&ContentHash::new(HashFunction::TREE, lost)).unwrap();
    let progress = Progress::new();
    let remembering = survey(root.path(), first.memories[0].clone());
    remembering.save(&shelf, &limits(), &progress).unwrap();
    assert!(shelf.content(&ContentHash::new(HashFunction::TREE, lost)).is_some());
    assert_eq!(progress.chunks_sent.get(), 1);
    assert!(progress.bytes_read.get() < Cut::TREE.max_len() as u64);
}

#[test]
fn a_lost_chunk_whose_file_changed_is_found_in_another_that_held_it() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a", b"same content");
    put(root.path(), "b", b"same content");
    let first = save(root.path(), Memory::new(), &Shelf::default());
    let survey = survey(root.path(), first.memories[0].clone());
    assert_eq!(survey.unread(), 0);
    fs::write(root.path().join("a"), "now different").unwrap();
    let shelf = Shelf::default();
    let captured = survey.save(&shelf, &limits(), &Progress::new()).unwrap();
    assert!(shelf.content(&HashFunction::TREE.hash(b"same content")).is_some());
    assert!(shelf.content(&HashFunction::TREE.hash(b"now different")).is_some());
    let digests: Vec<String> = top(&captured).files.into_iter().map(|file| file.digest.unwrap().hash).collect();
    let expected =
        [b"now different".as_slice(), b"same content"].map(|content| HashFunction::TREE.hash(content).to_hex());
    assert_eq!(digests, expected);
}

#[test]
fn names_of_one_file_are_saved_as_one() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "d/one", noise(1, 1_000_000));
    fs::hard_link(root.path().join("d/one"), root.path().join("a")).unwrap();
    fs::hard_link(root.path().join("d/one"), root.path().join("d/two")).unwrap();
    put(root.path(), "alone", "x");
    let outside = tempfile::tempdir_in(root.path().parent().unwrap()).unwrap();
    fs::hard_link(root.path().join("alone"), outside.path().join("elsewhere")).unwrap();
    let progress = Progress::new();
    let captured = survey(root.path(), Memory::new()).save(&Shelf::default(), &limits(), &progress).unwrap();
    assert_eq!((captured.files, captured.bytes), (4, 1_000_001));
    assert_eq!(progress.bytes_read.get(), 1_000_001);
    let group = |file: &larder_proto::reapi::FileNode| {
        let properties = &file.node_properties.as_ref().unwrap().properties;
        properties.iter().find(|property| property.name == "larder.hardlink").map(|property| property.value.clone())
    };
    let top = top(&captured);
    assert_eq!(top.files.iter().map(group).collect::<Vec<_>>(), [Some("0".into()), None]);
    let below = Directory::decode(manifest_of(&captured).roots[0].tree.clone().unwrap().children[0].clone()).unwrap();
    assert_eq!(below.files.iter().map(group).collect::<Vec<_>>(), [Some("0".into()), Some("0".into())]);
}

#[test]
fn equal_trees_in_different_places_have_equal_manifests() {
    let digests: Vec<Digest> = (0..2)
        .map(|round| {
            let root = tempfile::tempdir().unwrap();
            let mut names: Vec<String> =
                (0..40).map(|number| format!("d{}/{}/f{number}", number % 3, number % 7)).collect();
            if round == 1 {
                names.reverse();
            }
            for name in &names {
                put(root.path(), name, name);
            }
            let time = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(5, 7));
            for name in &names {
                let path = root.path().join(name);
                fs::File::options().write(true).open(&path).unwrap().set_times(time).unwrap();
                for directory in path.ancestors().skip(1).take_while(|at| *at != root.path()) {
                    fs::File::open(directory).unwrap().set_times(time).unwrap();
                }
            }
            save(root.path(), Memory::new(), &Shelf::default()).manifest.digest
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
}

fn hooked(root: &Path, action: impl Fn(&str) + Send + Sync + 'static) -> Survey<'static> {
    let mut survey = survey(root, Memory::new());
    survey.roots[0].after_reading = Hook(Some(Arc::new(action)));
    survey
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    for length in [5, 5_000_000] {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "f", noise(1, length));
        let (path, changed) = (root.path().join("f"), AtomicU64::new(0));
        let survey = hooked(root.path(), move |_| {
            if changed.fetch_add(1, Ordering::SeqCst) == 0 {
                fs::write(&path, noise(2, length + 1)).unwrap();
            }
        });
        let shelf = Shelf::default();
        let captured = survey.save(&shelf, &limits(), &Progress::new()).unwrap();
        assert_eq!((captured.files, captured.bytes), (1, length as u64 + 1));
        assert_eq!(captured.omissions, []);
        assert!(captured.memories[0].len() == 1);
        let second = save(root.path(), Memory::new(), &shelf);
        assert_eq!(second.manifest.digest, captured.manifest.digest);
    }
}

#[test]
fn a_file_that_never_holds_still_is_left_out_by_name() {
    for length in [5, 5_000_000] {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "restless", noise(1, length));
        put(root.path(), "still", "s");
        let (path, grown) = (root.path().join("restless"), AtomicU64::new(0));
        let survey = hooked(root.path(), move |name| {
            if name == "restless" {
                let more = grown.fetch_add(1, Ordering::SeqCst) as usize;
                fs::write(&path, noise(2, length + more)).unwrap();
            }
        });
        let captured = survey.save(&Shelf::default(), &limits(), &Progress::new()).unwrap();
        assert_eq!(captured.omissions.len(), 1);
        assert!(captured.omissions[0].path.ends_with("/restless"));
        assert!(captured.omissions[0].reason.contains("changed while"));
        assert_eq!(top(&captured).files.len(), 1);
        assert_eq!(captured.memories[0].len(), 1);
    }
}

#[test]
fn a_file_removed_after_it_was_found_is_as_if_it_had_not_been_there() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a", "a");
    put(root.path(), "large", noise(1, 5_000_000));
    put(root.path(), "stays", "s");
    let survey = survey(root.path(), Memory::new());
    fs::remove_file(root.path().join("a")).unwrap();
    fs::remove_file(root.path().join("large")).unwrap();
    let captured = survey.save(&Shelf::default(), &limits(), &Progress::new()).unwrap();
    assert_eq!((captured.files, captured.omissions.len()), (1, 0));
    assert_eq!(top(&captured).files[0].name, "stays");
}

#[test]
fn a_file_replaced_by_a_pipe_or_a_directory_does_not_stop_the_save() {
    let root = tempfile::tempdir().unwrap();
    for name in ["pipe", "directory", "link", "fine"] {
        put(root.path(), name, name);
    }
    let survey = survey(root.path(), Memory::new());
    for name in ["pipe", "directory", "link"] {
        fs::remove_file(root.path().join(name)).unwrap();
    }
    let pipe = root.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    fs::create_dir(root.path().join("directory")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("link")).unwrap();
    let captured = survey.save(&Shelf::default(), &limits(), &Progress::new()).unwrap();
    assert_eq!(captured.omissions.len(), 3, "{:?}", captured.omissions);
    assert_eq!(captured.files, 1);
}

#[test]
fn the_modes_and_times_of_files_are_kept() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "f", "x");
    fs::set_permissions(root.path().join("f"), fs::Permissions::from_mode(0o4755)).unwrap();
    let meta = fs::metadata(root.path().join("f")).unwrap();
    let file = top(&save(root.path(), Memory::new(), &Shelf::default())).files.remove(0);
    assert!(file.is_executable);
    let properties = file.node_properties.unwrap();
    assert_eq!(properties.unix_mode, Some(0o755), "set-id bits are not kept");
    let mtime = properties.mtime.unwrap();
    assert_eq!((mtime.seconds, i64::from(mtime.nanos)), (meta.mtime(), meta.mtime_nsec()));
}

#[test]
fn the_sinks_failure_ends_the_save() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..40 {
        put(root.path(), &format!("f{number}"), noise(number, 400_000));
    }
    for accepts in [0, 1, 3] {
        let shelf = Shelf { accepts: Some(accepts), ..Shelf::default() };
        let limits = CaptureLimits { segment_bytes: 1_000_000, ..limits() };
        let error = survey(root.path(), Memory::new()).save(&shelf, &limits, &Progress::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
    }
}

#[test]
fn what_little_there_is_to_send_goes_in_more_than_one_segment() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..50 {
        put(root.path(), &format!("f{number}"), noise(number, 400_000));
    }
    let shelf = Shelf::default();
    survey(root.path(), Memory::new()).save(&shelf, &limits(), &Progress::new()).unwrap();
    assert_eq!(shelf.segments.into_inner(), 3, "20 MB of 8 MiB each, so that they are checked while the rest comes");
}

struct Silent;

impl Sink for Silent {
    fn missing(&self, _: &[Digest]) -> Result<Vec<ContentHash>> {
        Err(larder_base::Error::new(ErrorKind::Unavailable, "ask", "nobody is there"))
    }

    fn send(&self, _: Segment) -> Result<()> {
        panic!("nothing may be sent that was not asked about");
    }
}

#[test]
fn a_question_without_an_answer_ends_the_save() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "f", "x");
    let error = survey(root.path(), Memory::new()).save(&Silent, &limits(), &Progress::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

struct Panicking;

impl Sink for Panicking {
    fn missing(&self, chunks: &[Digest]) -> Result<Vec<ContentHash>> {
        Ok(chunks.iter().map(|chunk| chunk.hash).collect())
    }

    fn send(&self, _: Segment) -> Result<()> {
        panic!("as the test wants");
    }
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn a_panicking_sink_does_not_hang_the_save() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..40 {
        put(root.path(), &format!("f{number}"), noise(number, 400_000));
    }
    let limits = CaptureLimits { segment_bytes: 1_000_000, senders: 1, ..limits() };
    let _ = survey(root.path(), Memory::new()).save(&Panicking, &limits, &Progress::new());
}

#[test]
fn content_in_memory_is_bounded_whatever_the_size_of_files() {
    let root = tempfile::tempdir().unwrap();
    for (number, length) in [24_000_000, 20_000_000, 16_000_000].into_iter().enumerate() {
        put(root.path(), &format!("large{number}"), noise(number as u64, length));
    }
    for number in 0..60 {
        put(root.path(), &format!("f{number}"), noise(number + 10, 300_000));
    }
    // A window on one large file and the chunks of one step are the least that a save can do with.
    let least = 2 * (6 << 20);
    for held_bytes in [1, 20 << 20] {
        let shelf = Shelf::default();
        let limits = CaptureLimits { held_bytes, segment_bytes: 4 << 20, ..limits() };
        let captured = survey(root.path(), Memory::new()).save(&shelf, &limits, &Progress::new()).unwrap();
        assert_eq!(captured.files, 63);
        assert!(captured.most_held_bytes <= held_bytes.max(least), "{} bytes were held", captured.most_held_bytes);
        assert!(shelf.raw_bytes() > 78_000_000);
    }
}

#[test]
fn a_racy_file_is_read_again_next_time() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "f", "x");
    let changed = fs::metadata(root.path().join("f")).unwrap();
    let moment =
        u64::try_from(changed.ctime()).unwrap() * 1000 + u64::try_from(changed.ctime_nsec()).unwrap() / 1_000_000;
    let late = LateClock.now().as_millis();
    for (looked, read, unread) in [(moment, moment, 1), (moment, moment + 5, 1), (moment, late, 0), (late, late, 0)] {
        let source = |memory| vec![source(root.path(), memory)];
        let clock = HandClock(AtomicU64::new(looked));
        let survey = Survey::take(source(Memory::new()), &clock, 1, &Progress::new()).unwrap();
        clock.0.store(read, Ordering::SeqCst);
        let mut captured = survey.save(&Shelf::default(), &limits(), &Progress::new()).unwrap();
        let again = Survey::take(source(captured.memories.remove(0)), &clock, 1, &Progress::new()).unwrap();
        assert_eq!(
            again.unread(),
            unread,
            "looked at {} ms and read {} ms after the change",
            looked - moment,
            read - moment
        );
    }
}

/// A clock that is moved by hand.
struct HandClock(AtomicU64);

impl larder_base::Clock for HandClock {
    fn now(&self) -> larder_base::Timestamp {
        larder_base::Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn a_file_that_gains_or_loses_a_name_is_not_read_again() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    put(root.path(), "deps/lib", noise(1, 1_000_000));
    let save = |memory: Memory| {
        let survey = survey(root.path(), memory);
        let unread = survey.unread();
        let mut captured = survey.save(&Shelf::default(), &limits(), &Progress::new()).unwrap();
        (unread, captured.memories.remove(0))
    };
    let (_, memory) = save(Memory::new());
    // The new name comes before the one that is known.
    fs::hard_link(at("deps/lib"), at("app")).unwrap();
    let (unread, memory) = save(memory);
    assert_eq!(unread, 0, "it has one name more");
    // What stays is not the name that it was first found by.
    fs::remove_file(at("app")).unwrap();
    let (unread, memory) = save(memory);
    assert_eq!(unread, 0, "it has one name less");
    fs::hard_link(at("deps/lib"), at("app")).unwrap();
    fs::write(at("app"), noise(2, 1_000_000)).unwrap();
    let (unread, _) = save(memory);
    assert_eq!(unread, 1, "it has one name more, and other content");
}
