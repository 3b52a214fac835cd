use super::*;
use crate::stat::NodeKind;

fn stat(inode: u64, ctime: i64) -> FileStat {
    let time = FileTime { seconds: ctime, nanos: 7 };
    FileStat { kind: NodeKind::File, device: 1, inode, size: 5, mtime: time, ctime: time, mode: 0o644, names: 1 }
}

fn path(name: &str) -> PathKey {
    PathKey::ROOT.child("dir").child(name)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn sample() -> Memory {
    let mut memory = Memory::new();
    memory.record(path("one"), &stat(1, 10), Content::One(HashFunction::TREE.hash(b"12345")), at(100));
    let pieces = [
        Piece { hash: HashFunction::TREE.hash(b"123"), length: 3 },
        Piece { hash: HashFunction::TREE.hash(b"45"), length: 2 },
    ];
    memory.record(path("cut"), &stat(2, 10), Content::Cut(pieces.into()), at(100));
    memory.record(path("empty"), &FileStat { size: 0, ..stat(3, 10) }, Content::Empty, at(100));
    memory
}

#[test]
fn a_stored_memory_is_loaded_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("memory");
    let memory = sample();
    memory.store(&file).unwrap();
    let loaded = Memory::load(&file);
    assert_eq!(loaded.len(), 3);
    for (name, state) in [("one", stat(1, 10)), ("cut", stat(2, 10)), ("empty", FileStat { size: 0, ..stat(3, 10) })] {
        assert!(loaded.recall(path(name), &state).is_some(), "{name}");
        assert_eq!(loaded.recall(path(name), &state), memory.recall(path(name), &state));
        let changed = FileStat { ctime: FileTime { seconds: 11, nanos: 0 }, ..state };
        assert_eq!(loaded.recall(path(name), &changed), None, "{name}: the number of names was stored too");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing but the memory is left behind");
}

#[test]
fn any_change_of_identity_or_time_is_a_stranger() {
    let memory = sample();
    let known = stat(1, 10);
    assert!(memory.recall(path("one"), &known).is_some());
    let later = FileTime { seconds: 10, nanos: 8 };
    for changed in [
        FileStat { device: 2, ..known },
        FileStat { inode: 9, ..known },
        FileStat { size: 6, ..known },
        FileStat { mtime: later, ..known },
        FileStat { ctime: later, ..known },
    ] {
        assert_eq!(memory.recall(path("one"), &changed), None, "{changed:?}");
    }
    assert_eq!(memory.recall(path("other"), &known), None);
    assert_eq!(memory.recall(PathKey::ROOT.child("one"), &known), None);
}

#[test]
fn a_name_that_comes_or_goes_makes_no_stranger_and_hides_no_other_change() {
    let memory = sample();
    let known = stat(1, 10);
    let later = FileTime { seconds: 10, nanos: 8 };
    for names in [0, 2, 3] {
        let linked = FileStat { ctime: later, names, ..known };
        assert!(memory.recall(path("one"), &linked).is_some(), "{names} names");
        for changed in [
            FileStat { device: 2, ..linked },
            FileStat { inode: 9, ..linked },
            FileStat { size: 6, ..linked },
            FileStat { mtime: later, ..linked },
        ] {
            assert_eq!(memory.recall(path("one"), &changed), None, "{changed:?}");
        }
    }
}

#[test]
fn what_is_known_of_a_file_outlives_a_name_that_came_within_the_tick_of_its_recording() {
    let mut memory = sample();
    let content = || Content::One(HashFunction::TREE.hash(b"12345"));
    let linked = FileStat { ctime: FileTime { seconds: 100, nanos: 0 }, names: 2, ..stat(1, 10) };
    for _ in 0..=ROUNDS_KEPT {
        memory.begin_round();
        memory.record(path("one"), &linked, content(), at(100));
    }
    assert_eq!(memory.recall(path("one"), &linked), Some(&content()));
    let written = FileStat { mtime: linked.ctime, ..linked };
    assert_eq!(memory.recall(path("one"), &written), None);
    memory.record(path("one"), &written, content(), at(100));
    assert_eq!(memory.recall(path("one"), &linked), None, "a write may have been missed");
}

#[test]
fn a_file_changed_within_the_tick_of_its_recording_is_not_trusted() {
    let content = || Content::One(HashFunction::TREE.hash(b"12345"));
    let mut memory = Memory::new();
    memory.record(path("racy"), &stat(1, 10), content(), Timestamp::from_millis(10_019));
    assert!(memory.is_empty());
    memory.record(path("racy"), &stat(1, 10), content(), Timestamp::from_millis(10_021));
    assert_eq!(memory.len(), 1);
    // A newer state that cannot be trusted also ends the trust in the older one.
    memory.record(path("racy"), &stat(1, 11), content(), Timestamp::from_millis(11_000));
    assert!(memory.is_empty());
    // Whole seconds mean a clock that ticks in seconds.
    let whole = FileTime { seconds: 10, nanos: 0 };
    let coarse = FileStat { mtime: whole, ctime: whole, ..stat(1, 10) };
    memory.record(path("coarse"), &coarse, content(), Timestamp::from_millis(11_999));
    assert!(memory.is_empty());
    memory.record(path("coarse"), &coarse, content(), Timestamp::from_millis(12_000));
    assert_eq!(memory.len(), 1);
    // A modification time set to the future shows nothing about later writes.
    let future = FileStat { mtime: FileTime { seconds: 500, nanos: 1 }, ..stat(1, 10) };
    memory.record(path("future"), &future, content(), at(100));
    assert_eq!(memory.recall(path("future"), &future), None);
}

#[test]
fn every_flipped_byte_and_every_cut_makes_an_empty_memory() {
    let bytes = sample().encode();
    assert!(Memory::decode(&bytes).is_some());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(Memory::decode(&flipped).is_none(), "byte {at}");
        assert!(Memory::decode(&bytes[..at]).is_none(), "cut at {at}");
    }
}

#[test]
fn a_foreign_file_with_a_right_checksum_is_refused_too() {
    let sealed = |mut body: Vec<u8>| {
        let checksum = xxh3_64(&body);
        body.extend_from_slice(&checksum.to_le_bytes());
        body
    };
    assert!(Memory::decode(&sealed(b"LARDMEM\x01".to_vec())).is_none());
    let mut many = MAGIC.to_vec();
    many.extend_from_slice(&u64::MAX.to_le_bytes());
    assert!(Memory::decode(&sealed(many)).is_none());
    let mut trailing = Memory::new().encode();
    trailing.truncate(trailing.len() - 8);
    trailing.push(0);
    assert!(Memory::decode(&sealed(trailing)).is_none());
}

#[test]
fn files_unseen_for_many_rounds_are_forgotten_and_seen_ones_are_not() {
    let mut memory = sample();
    for _ in 0..ROUNDS_KEPT {
        memory.begin_round();
        memory.record(path("one"), &stat(1, 10), Content::One(HashFunction::TREE.hash(b"12345")), at(100));
    }
    assert_eq!(memory.len(), 3);
    memory.begin_round();
    assert_eq!(memory.len(), 1);
    assert!(memory.recall(path("one"), &stat(1, 10)).is_some());
}
