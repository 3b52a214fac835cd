//! Saving and restoring together.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use crate::testing::{LateClock, Shelf, noise, picture, put, restore, save, source, survey};
use crate::{CaptureLimits, Memory, Progress, Selection, Source, Survey};

/// One thing that a random tree may hold.
#[derive(Clone, Debug)]
enum Node {
    File { seed: u64, length: usize, mode: u32, time: u32 },
    Directory { mode: u32 },
    Link { target: &'static str },
    Name { of: usize },
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c.d", "ä e", "-"]), 1..4)
        .prop_map(|names| names.join("/"))
}

fn node() -> impl Strategy<Value = Node> {
    let length = prop_oneof![
        6 => 0..3_usize,
        6 => 200..5_000_usize,
        1 => 2_000_000..2_200_000_usize,
        1 => 2_300_000..6_000_000_usize,
    ];
    let mode = prop::sample::select(vec![0o644, 0o600, 0o755, 0o400, 0o444]);
    prop_oneof![
        8 => (0..4_u64, length, mode, 0..3_u32).prop_map(|(seed, length, mode, time)| Node::File { seed, length, mode, time }),
        2 => prop::sample::select(vec![0o755, 0o700, 0o555, 0o1777]).prop_map(|mode| Node::Directory { mode }),
        1 => prop::sample::select(vec!["a", "b/c.d", "./x"]).prop_map(|target| Node::Link { target }),
        2 => (0..20_usize).prop_map(|of| Node::Name { of }),
    ]
}

fn tree() -> impl Strategy<Value = Vec<(String, Node)>> {
    prop::collection::vec((path(), node()), 0..14)
}

/// Makes what can be made of a random tree; a path that is taken stays what it is.
fn grow(root: &Path, nodes: &[(String, Node)], with_names: bool) {
    let mut files = Vec::new();
    for (path, node) in nodes {
        let at = root.join(path);
        let is_free = fs::symlink_metadata(&at).is_err();
        if !is_free || fs::create_dir_all(at.parent().unwrap()).is_err() {
            continue;
        }
        match node {
            Node::File { seed, length, mode, time } => {
                fs::write(&at, noise(*seed, *length)).unwrap();
                let time = UNIX_EPOCH + Duration::new(1_000_000_000 + u64::from(*time), 123_456_789);
                fs::File::open(&at).unwrap().set_times(fs::FileTimes::new().set_modified(time)).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
                files.push(at);
            }
            Node::Directory { mode } => {
                fs::create_dir(&at).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Node::Link { target } => symlink(target, &at).unwrap(),
            Node::Name { of } => {
                if let Some(file) = files.get(*of).filter(|_| with_names) {
                    fs::hard_link(file, &at).unwrap();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_as_it_was(nodes in tree(), other in tree()) {
        let from = tempfile::tempdir().unwrap();
        grow(from.path(), &nodes, true);
        let shelf = Shelf::default();
        let captured = save(from.path(), Memory::new(), &shelf);
        prop_assert_eq!(&captured.omissions, &[]);
        let wanted = picture(from.path());

        // To nothing; then saved again from there, with and without memory.
        let to = tempfile::tempdir().unwrap();
        let (mut restored, _) = restore(&captured, &shelf, to.path(), Memory::new());
        prop_assert!(restored.is_complete());
        prop_assert_eq!(picture(to.path()), wanted.clone());
        let memory = restored.memories.remove(0).1;
        let known = survey(to.path(), memory.clone());
        prop_assert_eq!(known.unread(), 0);
        prop_assert_eq!(known.manifest().unwrap().digest, captured.manifest.digest);
        prop_assert_eq!(save(to.path(), Memory::new(), &shelf).manifest.digest, captured.manifest.digest);

        // Over another tree, with a memory that knows what the first restore left.
        fs::remove_dir_all(to.path()).unwrap();
        fs::create_dir(to.path()).unwrap();
        grow(to.path(), &other, false);
        let before = picture(to.path());
        let (restored, _) = restore(&captured, &shelf, to.path(), memory);
        prop_assert_eq!(&restored.incomplete, &[""; 0]);
        let after = picture(to.path());
        for refusal in &restored.refusals {
            // Only a directory with something in it may stand in the way, of a file or of the first of its names.
            let at = refusal.reason.strip_prefix("its other name ").map_or(refusal.path.as_str(), |rest| {
                rest.strip_suffix(" could not be made").unwrap()
            });
            prop_assert!(fs::read_dir(at).unwrap().next().is_some());
        }
        let refused: Vec<String> = restored.refusals.iter()
            .map(|refusal| Path::new(&refusal.path).strip_prefix(to.path()).unwrap().display().to_string())
            .collect();
        let name = |line: &str| line.split(" -> ").next().unwrap().to_owned();
        let mut firsts = HashMap::new();
        for line in &wanted {
            if refused.iter().any(|path| line.starts_with(&format!("{path} "))) {
                continue;
            }
            // Where the first name of a file was refused, the next is its first.
            let line = line.rsplit_once(" = ").map_or_else(|| line.clone(), |(file, first)| {
                format!("{file} = {}", firsts.entry(first).or_insert_with(|| plain_name(line)))
            });
            prop_assert!(after.contains(&line), "{} is not in {:?}", line, after);
        }
        // What was not planned is as it was.
        let planned: Vec<String> = wanted.iter().map(|line| plain_name(&name(line))).collect();
        for line in before.iter().filter(|line| !plain_name(&name(line)).ends_with('/')) {
            let path = plain_name(&name(line));
            let gave_way = planned.iter().any(|at| *at == path || *at == format!("{path}/"));
            prop_assert!(gave_way || after.contains(line), "{} is not in {:?}", line, after);
        }
    }

    #[test]
    fn a_save_with_memory_sees_every_change(nodes in tree(), changed in 0..14_usize) {
        let from = tempfile::tempdir().unwrap();
        grow(from.path(), &nodes, true);
        let shelf = Shelf::default();
        let first = save(from.path(), Memory::new(), &shelf);
        if let Some((path, Node::File { length, .. })) = nodes.get(changed) {
            let at = from.path().join(path);
            if at.is_file() {
                fs::set_permissions(&at, fs::Permissions::from_mode(0o644)).unwrap();
                fs::write(&at, noise(99, *length)).unwrap();
            }
        }
        let with = save(from.path(), first.memories[0].clone(), &shelf);
        let without = save(from.path(), Memory::new(), &shelf);
        prop_assert_eq!(with.manifest.digest, without.manifest.digest);
    }
}

/// The path of a line of a picture; directories end in a slash.
fn plain_name(line: &str) -> String {
    // A line has its numbers after the name, and names here may hold one space.
    let words: Vec<&str> = line.split(' ').collect();
    let count = words.iter().position(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()));
    words[..count.unwrap_or(words.len())].join(" ")
}

#[test]
fn ten_thousand_files_come_back() {
    let from = tempfile::tempdir().unwrap();
    for number in 0..10_000_u64 {
        put(
            from.path(),
            &format!("d{}/e{}/f{number}", number % 20, number % 7),
            noise(number, 20 + number as usize % 400),
        );
    }
    let shelf = Shelf::default();
    let captured = save(from.path(), Memory::new(), &shelf);
    assert_eq!(captured.files, 10_000);
    let to = tempfile::tempdir().unwrap();
    let (mut restored, _) = restore(&captured, &shelf, to.path(), Memory::new());
    assert_eq!(restored.files_written, 10_000);
    assert_eq!(picture(to.path()), picture(from.path()));
    let known = survey(to.path(), restored.memories.remove(0).1);
    assert_eq!(known.unread(), 0);
    assert_eq!(known.manifest().unwrap().digest, captured.manifest.digest);
}

#[test]
fn two_roots_are_saved_in_one_manifest_and_restored_to_their_places() {
    let (work, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(work.path(), "target/a", "same content");
    put(home.path(), "registry/b", "same content");
    put(home.path(), "registry/not-asked-for", "x");
    let at = |name: &str, path: &Path, selection| Source {
        name: name.into(),
        path: path.to_owned(),
        selection,
        memory: Memory::new(),
    };
    let picked = Selection::of(home.path(), ["registry/b"]).unwrap();
    let sources = vec![at("work", work.path(), Selection::everything()), at("home", home.path(), picked)];
    let shelf = Shelf::default();
    let survey = Survey::take(sources, &LateClock, 2, &Progress::new()).unwrap();
    let captured = survey.save(&shelf, &CaptureLimits::new(2), &Progress::new()).unwrap();
    let targets: HashMap<&str, tempfile::TempDir> =
        ["work", "home"].map(|name| (name, tempfile::tempdir().unwrap())).into();
    let plan = crate::Plan::read(captured.manifest.bytes, &crate::PlanLimits::default()).unwrap();
    assert_eq!(plan.roots().collect::<Vec<_>>(), ["work", "home"]);
    let list = targets.iter().map(|(name, path)| crate::Target {
        name: (*name).into(),
        path: path.path().to_owned(),
        memory: Memory::new(),
    });
    let progress = Progress::new();
    let comparison = crate::Comparison::of(plan, list.collect(), &LateClock, 2, &progress).unwrap();
    assert_eq!(comparison.needed().len(), 1, "a chunk that both need is fetched once");
    let restored = crate::testing::fill(comparison.begin(&progress).unwrap(), &shelf).finish(&LateClock).unwrap();
    let names: Vec<&str> = restored.memories.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["work", "home"]);
    assert_eq!(picture(targets["work"].path()), picture(work.path()));
    assert_eq!(fs::read(targets["home"].path().join("registry/b")).unwrap(), b"same content");
    assert!(!targets["home"].path().join("registry/not-asked-for").exists());
}

#[test]
fn a_part_saved_by_list_is_unchanged_when_only_other_files_change() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "deps/wanted", "wanted");
    put(root.path(), "deps/other", "other");
    let take = || {
        let selection = Selection::of(root.path(), ["deps/wanted"]).unwrap();
        let source = Source { selection, ..source(root.path(), Memory::new()) };
        let mut survey = Survey::take(vec![source], &LateClock, 1, &Progress::new()).unwrap();
        survey.look(&CaptureLimits::new(1), &Progress::new()).unwrap();
        survey.manifest().unwrap().digest
    };
    let before = take();
    put(root.path(), "deps/new", "changes the directory's time");
    fs::remove_file(root.path().join("deps/other")).unwrap();
    assert_eq!(take(), before);
}
