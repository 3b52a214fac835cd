use std::time::Duration;

use bytes::Bytes;
use larder_base::segment::{Record, RecordHeader, RecordKind, SEGMENT_HEADER};
use larder_base::{ByteRange, ContentHash, ErrorKind, PartName, UploadId};

use super::support::*;
use crate::Store;

fn part(number: u32) -> PartName {
    PartName { upload: UploadId::from_random([9; 16]), number }
}

fn record(content: &Bytes) -> Record {
    Record::chunk(ContentHash::of(content), content.clone(), 1)
}

fn segment(records: &[Record]) -> Bytes {
    let mut body = SEGMENT_HEADER.to_vec();
    for record in records {
        body.extend_from_slice(&record.header.encode());
        body.extend_from_slice(&record.body);
    }
    body.into()
}

fn receive(store: &Store, part: &PartName, body: &Bytes) {
    let mut pieces = body.chunks(1000).map(|piece| Ok(body.slice_ref(piece)));
    store.receive(part, body.len() as u64, &mut pieces).unwrap();
}

#[test]
fn an_adopted_part_is_there_for_its_namespace_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let contents: Vec<Bytes> =
        (0..50).map(|n| noise(n, 3000 + n as usize)).chain([Bytes::from(vec![7; 50_000])]).collect();
    put(&store, "other", &contents[3]).unwrap();
    let body = segment(&contents.iter().map(record).collect::<Vec<_>>());
    receive(&store, &part(1), &body);
    assert_eq!(store.waiting(None).unwrap(), [part(1)]);
    assert_eq!(store.missing(&ns("a"), &[ContentHash::of(&contents[0])]).unwrap().len(), 1);
    let adopted = store.adopt(&ns("a"), &part(1)).unwrap().unwrap();
    assert_eq!(adopted.records, 51);
    assert_eq!(adopted.stored_bytes, body.len() as u64);
    assert_eq!(adopted.raw_bytes, contents.iter().map(|content| content.len() as u64).sum::<u64>());
    assert_eq!(store.adopt(&ns("a"), &part(1)).unwrap(), None);
    assert_eq!(store.waiting(None).unwrap(), []);
    for content in &contents {
        assert_eq!(get(&store, "a", &ContentHash::of(content)).unwrap(), *content);
    }
    drop(store);
    for _ in 0..2 {
        let store = open(dir.path());
        for (n, content) in contents.iter().enumerate() {
            let hash = ContentHash::of(content);
            assert_eq!(get(&store, "a", &hash).unwrap(), *content);
            assert_eq!(get(&store, "other", &hash).is_some(), n == 3);
        }
        drop(store);
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    }
}

#[test]
fn a_part_with_anything_but_true_chunks_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good = record(&noise(1, 3000));
    let lie = Record::chunk(ContentHash::of(b"other"), noise(2, 3000), 1);
    let grant = crate::body::Grant { namespace: ns("victim"), hashes: vec![good.header.hash] }.to_record(false);
    let mut damaged = record(&noise(3, 3000));
    let mut body = damaged.body.to_vec();
    body[5] ^= 1;
    damaged.body = body.into();
    let trailer = crate::body::Trailer { origin: crate::body::Origin::Adopted, lines: Vec::new() }.to_record(16);
    let whole = segment(&[good.clone(), good.clone()]);
    let mut other_version = whole.to_vec();
    other_version[7] = 2;
    let bad: [(&str, Bytes); 9] = [
        ("a lie", segment(&[good.clone(), lie])),
        ("a grant", segment(&[good.clone(), grant])),
        ("a damaged body", segment(&[good.clone(), damaged])),
        ("a trailer", segment(&[good.clone(), trailer])),
        ("half a record", whole.slice(..whole.len() - 7)),
        ("half a header", whole.slice(..whole.len() - good.body.len() - 20)),
        ("nothing", segment(&[])),
        ("another version", other_version.into()),
        ("noise", noise(4, 5000)),
    ];
    for (what, body) in bad {
        receive(&store, &part(1), &body);
        let error = store.adopt(&ns("a"), &part(1)).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {error}");
        assert!(error.message().contains("offset"), "{what}: {error}");
        assert_eq!(get(&store, "a", &good.header.hash), None, "{what}");
        assert_eq!(get(&store, "victim", &good.header.hash), None, "{what}");
    }
    // The same part can be sent again, rightly.
    receive(&store, &part(1), &segment(std::slice::from_ref(&good)));
    assert_eq!(store.adopt(&ns("a"), &part(1)).unwrap().unwrap().records, 1);
    assert!(get(&store, "a", &good.header.hash).is_some());
}

#[test]
fn a_part_has_exactly_the_announced_length() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let body = segment(&[record(&noise(1, 3000))]);
    for announced in [body.len() as u64 - 1, body.len() as u64 + 1] {
        let error = store.receive(&part(1), announced, &mut [Ok(body.clone())].into_iter()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let error = store.receive(&part(1), 2 << 30, &mut std::iter::empty()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(store.waiting(None).unwrap(), []);
    assert_eq!(store.status().unwrap().staging_bytes, 0);
    assert_eq!(std::fs::read_dir(dir.path().join("staging")).unwrap().count(), 0);
}

#[test]
fn discarding_an_upload_frees_its_parts_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let body = segment(&[record(&noise(1, 3000))]);
    let other = PartName { upload: UploadId::from_random([1; 16]), number: 1 };
    for part in [&part(1), &part(2), &other] {
        receive(&store, part, &body);
    }
    assert_eq!(store.status().unwrap().staging_bytes, 3 * body.len() as u64);
    assert_eq!(store.waiting(Some(&part(1).upload)).unwrap(), [part(1), part(2)]);
    store.discard(&part(1).upload).unwrap();
    assert_eq!(store.waiting(None).unwrap(), [other]);
    assert_eq!(store.status().unwrap().staging_bytes, body.len() as u64);
    assert_eq!(store.adopt(&ns("a"), &part(1)).unwrap(), None);
}

#[test]
fn a_part_replaced_while_it_is_adopted_is_never_adopted_unverified() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good: Vec<_> = (0..40).map(|n| record(&noise(n, 20_000))).collect();
    let evil = Record::chunk(ContentHash::of(b"victim"), noise(99, 20_000), 1);
    let (good_body, evil_body) = (segment(&good), segment(&[evil]));
    receive(&store, &part(1), &good_body);
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            for _ in 0..20 {
                receive(&store, &part(1), &evil_body);
                receive(&store, &part(1), &good_body);
            }
        });
        while !replacing.is_finished() {
            let _ = store.adopt(&ns("a"), &part(1));
        }
    });
    assert_eq!(get(&store, "a", &ContentHash::of(b"victim")), None);
    drop(store);
    let store = open(dir.path());
    assert_eq!(get(&store, "a", &ContentHash::of(b"victim")), None);
}

#[test]
fn located_bytes_are_a_verifiable_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (mine, text) = (noise(1, 3000), Bytes::from(b"a line of text\n".repeat(500)));
    let hashes = [put(&store, "a", &mine).unwrap().hash, put(&store, "a", &text).unwrap().hash];
    let large = put(&store, "a", &noise(2, 3 << 20)).unwrap().hash;
    let never = ContentHash::of(b"never");
    assert_eq!(store.locate(&ns("b"), &hashes).unwrap(), []);
    let located = store.locate(&ns("a"), &[never, hashes[1], large, hashes[0]]).unwrap();
    assert_eq!(located.iter().map(|located| located.digest.hash).collect::<Vec<_>>(), [hashes[1], hashes[0]]);
    for (located, content) in located.iter().zip([&text, &mine]) {
        let range = ByteRange { offset: located.offset, length: Some(located.length) };
        let bytes: Vec<u8> =
            store.read_segment(located.segment, range).unwrap().unwrap().flat_map(Result::unwrap).collect();
        let header = RecordHeader::decode(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(header.kind, RecordKind::Chunk);
        assert_eq!(header.open_chunk(&Bytes::from(bytes).slice(64..)).unwrap(), *content);
    }
    assert!(store.read_segment(999, ByteRange::ALL).unwrap().is_none());
    assert!(store.read_segment(u64::MAX, ByteRange::ALL).unwrap().is_none());
}

#[test]
fn adopted_segments_are_evicted_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let retention = Duration::from_secs(3600);
    let options = crate::Options { quota: 64 << 20, retention, ..options(dir.path()) };
    let store = Store::open(options, clock.clone()).unwrap();
    let contents: Vec<Bytes> = (0..100).map(|n| noise(n, 20_000)).collect();
    for (number, half) in [(1, &contents[..50]), (2, &contents[50..])] {
        receive(&store, &part(number), &segment(&half.iter().map(record).collect::<Vec<_>>()));
        store.adopt(&ns("a"), &part(number)).unwrap().unwrap();
    }
    assert_eq!(store.status().unwrap().adopted_segments, 2);
    clock.advance(retention * 2);
    let kept = ContentHash::of(&contents[7]);
    assert!(store.missing(&ns("a"), &[kept]).unwrap().is_empty());
    store.set_quota(1 << 20);
    while store.evict_step().unwrap().segments > 0 {}
    assert_eq!(store.status().unwrap().adopted_segments, 0);
    assert_eq!(get(&store, "a", &kept).unwrap(), contents[7]);
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[8])), None);
}

/// Keeps the committer busy until what is given back is dropped, so that all that arrives meanwhile is one group.
fn hold_committer(store: &Store) -> crossbeam_channel::Sender<()> {
    let (release, released) = crossbeam_channel::bounded::<()>(0);
    let (started, has_started) = crossbeam_channel::bounded(1);
    let wait = move |_: &mut crate::group::Group<'_>| {
        started.send(()).unwrap();
        let _ = released.recv();
        Ok(())
    };
    store.core().queue.submit(
        crate::committer::Terms::housekeeping(0).unsynced(),
        wait,
        |_: larder_base::Result<()>| {},
    );
    has_started.recv().unwrap();
    release
}

fn until_waiting(store: &Store, operations: usize) {
    while store.core().queue.len() < operations {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_adopted_and_put_in_one_group_belongs_to_all_who_proved_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = noise(1, 3000);
    let hash = ContentHash::of(&content);
    let body = segment(&[record(&content)]);
    receive(&store, &part(1), &body);
    receive(&store, &part(2), &body);
    std::thread::scope(|scope| {
        let held = hold_committer(&store);
        let first = scope.spawn(|| store.adopt(&ns("first"), &part(1)).unwrap().unwrap());
        until_waiting(&store, 1);
        let put_too = scope.spawn(|| put(&store, "putter", &content).unwrap());
        until_waiting(&store, 2);
        let second = scope.spawn(|| store.adopt(&ns("second"), &part(2)).unwrap().unwrap());
        until_waiting(&store, 3);
        let at = address("putter", "trusted", "test", "key");
        let stored = larder_base::EntryBody::Stored(larder_base::Digest::of(&content));
        let new = larder_base::NewEntry { body: stored, ..value("") };
        let (terms, op) = store.entry_write(&at, new, larder_base::PutIf::Always).unwrap();
        let queue = &store.core().queue;
        let entry = scope.spawn(move || queue.call(terms, op).unwrap());
        until_waiting(&store, 4);
        drop(held);
        first.join().unwrap();
        put_too.join().unwrap();
        second.join().unwrap();
        let outcome = entry.join().unwrap();
        assert!(matches!(outcome, larder_base::PutOutcome::Stored(_)), "{outcome:?}");
    });
    let mut store = Some(store);
    for round in ["at once", "opened again", "index made anew"] {
        let store = store.take().unwrap_or_else(|| open(dir.path()));
        for namespace in ["first", "second", "putter"] {
            assert_eq!(get(&store, namespace, &hash).as_deref(), Some(&content[..]), "{namespace}, {round}");
        }
        assert_eq!(get(&store, "nobody", &hash), None);
        drop(store);
        if round == "opened again" {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
    }
}

#[test]
fn an_entry_put_in_one_group_with_the_large_blob_it_names_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = noise(1, 3 << 20);
    let digest = larder_base::Digest::of(&content);
    // Its chunks and its recipe are written, but the recipe belongs to a group that is not.
    let recipe = {
        put(&store, "other", &content).unwrap();
        let rows = crate::rows::Rows::new(store.core());
        let row = rows.blob(&digest.hash).unwrap().unwrap();
        store.core().recipe(&digest.hash, &row).unwrap().unwrap()
    };
    *store.core().recipes.lock() = crate::core::RecipeCache::default();
    let log = store.core().active.read().clone().unwrap();
    let mut group = crate::group::Group::new(store.core(), log.0, log.1.size().unwrap(), 1000, 1);
    group.append_blob(recipe.to_record(digest.hash), recipe.size);
    group.grant(&ns("a"), &[digest.hash]).unwrap();
    let namespace = group.find_name("a").unwrap().unwrap();
    let mut due = crate::rows::MarksDue::new();
    assert!(group.present(namespace, &digest.hash, &mut due).unwrap().is_some());
    assert_eq!(store.status().unwrap().quarantined, 0);
}

#[test]
fn an_adoption_outlives_its_record_with_all_that_was_said_of_it() {
    for index_is_lost in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let retention = Duration::from_secs(3600);
        let options = crate::Options { retention, segment_len: 128 << 10, ..options(dir.path()) };
        let store = Store::open(options.clone(), clock.clone()).unwrap();
        let content = noise(1, 3000);
        let hash = ContentHash::of(&content);
        receive(&store, &part(1), &segment(&[record(&content)]));
        store.adopt(&ns("first"), &part(1)).unwrap().unwrap();
        put(&store, "second", &content).unwrap();
        for n in 10..20 {
            put(&store, "a", &noise(n, 30_000)).unwrap();
        }
        put(&store, "third", &content).unwrap();
        clock.advance(retention * 2);
        let adopted = store.locate(&ns("first"), &[hash]).unwrap()[0].segment;
        assert_eq!(adopted, 2);
        if !index_is_lost {
            store.checkpoint().unwrap();
        }
        // The segment of the adoption goes; the adopted one is held.
        assert!(store.evict_segment(1, &mut crate::Evicted::default()).unwrap().is_some());
        assert!(store.evict_segment(2, &mut crate::Evicted::default()).unwrap().is_none());
        std::fs::remove_file(dir.path().join("segments/00000001.seg")).unwrap();
        drop(store);
        if index_is_lost {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let store = Store::open(options, clock.clone()).unwrap();
        for namespace in ["first", "second", "third"] {
            assert_eq!(get(&store, namespace, &hash).as_deref(), Some(&content[..]), "{namespace}, {index_is_lost}");
        }
        assert_eq!(get(&store, "a", &hash), None);
        assert!(
            store.evict_segment(2, &mut crate::Evicted::default()).unwrap().is_none(),
            "it is held, {index_is_lost}"
        );
    }
}

#[test]
fn a_part_put_in_the_place_of_an_adopted_one_is_not_adopted_by_an_opening() {
    use crate::body::{Origin, Trailer, TrailerLine};
    use crate::disk::faulty::{Fault, FaultyDisk};
    let content = noise(1, 3000);
    let victim = ContentHash::of(b"victim");
    let lie = Record::chunk(victim, noise(2, 3000), 1);
    for replaced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let open = |disk: &FaultyDisk| {
            Store::open_on(options(dir.path()), std::sync::Arc::new(disk.clone()), HandClock::new()).unwrap()
        };
        let store = open(&disk);
        receive(&store, &part(1), &segment(&[record(&content)]));
        // The trailer and its two syncs, the record of the adoption and its sync; then the renaming.
        disk.plan(6, Fault::Cut);
        store.adopt(&ns("a"), &part(1)).unwrap_err();
        drop(store);
        let disk = disk.after_kill();
        if replaced {
            disk.damage(&format!("staging/{}", part(1)), |bytes| {
                let before = bytes.len();
                *bytes = segment(std::slice::from_ref(&lie)).to_vec();
                let lines = vec![TrailerLine::from(&lie.header)];
                let trailer = Trailer { origin: Origin::Adopted, lines }.to_record(bytes.len() as u64);
                bytes.extend_from_slice(&trailer.header.encode());
                bytes.extend_from_slice(&trailer.body);
                assert_eq!(bytes.len(), before, "only what is in it tells the two apart");
            });
        }
        let store = open(&disk);
        assert_eq!(get(&store, "a", &ContentHash::of(&content)).is_some(), !replaced);
        assert!(store.locate(&ns("a"), &[victim]).unwrap().is_empty());
        assert_eq!(store.waiting(None).unwrap().len(), usize::from(replaced));
        let digest = put(&store, "a", &content).unwrap();
        assert_eq!(get(&store, "a", &digest.hash).unwrap(), content);
    }
}

#[test]
fn a_part_of_too_many_records_is_refused_and_one_of_the_most_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let one = record(&noise(1, 20));
    let most = segment(&vec![one.clone(); 1 << 16]);
    let more = segment(&vec![one; (1 << 16) + 1]);
    receive_at_once(&store, &part(1), &more);
    let error = store.adopt(&ns("a"), &part(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.hint().is_some() && error.message().contains("65536"), "{error}");
    receive_at_once(&store, &part(1), &most);
    assert_eq!(store.adopt(&ns("a"), &part(1)).unwrap().unwrap().records, 1 << 16);
}

fn receive_at_once(store: &Store, part: &PartName, body: &Bytes) {
    store.receive(part, body.len() as u64, &mut [Ok(body.clone())].into_iter()).unwrap();
}

#[test]
fn a_part_whose_adoption_failed_counts_as_long_as_it_waits() {
    use crate::disk::faulty::{Fault, FaultyDisk};
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::open_on(options(dir.path()), std::sync::Arc::new(disk.clone()), HandClock::new()).unwrap();
    receive(&store, &part(1), &segment(&[record(&noise(1, 3000))]));
    // The trailer and its two syncs; then there is no space for the record of the adoption.
    disk.plan(4, Fault::Full);
    assert_eq!(store.adopt(&ns("a"), &part(1)).unwrap_err().kind(), ErrorKind::Full);
    disk.heal();
    let staged = disk.bytes(&format!("staging/{}", part(1))).len() as u64;
    assert_eq!(store.status().unwrap().staging_bytes, staged);
    assert_eq!(store.adopt(&ns("a"), &part(1)).unwrap().unwrap().records, 1);
    assert_eq!(store.status().unwrap().staging_bytes, 0);
}

#[test]
fn what_a_part_took_over_from_a_segment_that_was_being_evicted_outlives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let open =
        || Store::open(crate::Options { retention: Duration::from_secs(3600), ..options(dir.path()) }, clock.clone());
    let store = open().unwrap();
    let content = noise(1, 50_000);
    let first = put(&store, "a", &content).unwrap();
    for n in 10..20 {
        put(&store, "a", &noise(n, 50_000)).unwrap();
    }
    store.checkpoint().unwrap();
    clock.advance(Duration::from_secs(7200));
    // As an eviction begins, and has not come to its end when the part does.
    assert!(store.core().heat.freeze(1, store.core().now()));
    receive(&store, &part(1), &segment(&[record(&content)]));
    store.adopt(&ns("b"), &part(1)).unwrap().unwrap();
    assert!(get(&store, "b", &first.hash).is_some());
    store.evict_segment(1, &mut crate::Evicted::default()).unwrap().unwrap();
    store.core().sync_active();
    drop(store);
    let store = open().unwrap();
    assert!(!store.recovery().clean && store.recovery().replayed_records > 0);
    assert_eq!(get(&store, "b", &first.hash).as_deref(), Some(&content[..]), "its adoption was acknowledged");
    assert!(get(&store, "a", &first.hash).is_none());
}
