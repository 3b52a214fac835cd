//! Parts that clients put straight into the bucket.

use larder_base::segment::SEGMENT_HEADER;
use larder_base::{PartName, SegmentRange, UploadId};

use super::*;
use crate::tests::crash::{part, upload_body};

fn contents(seed: u64) -> Vec<Bytes> {
    (0..20).map(|n| noise(seed << 32 | n, 1000)).collect()
}

/// Puts a part as a client would.
fn upload(tier: &Tier, store: &Store, number: u32, bytes: &Bytes) -> crate::ObjectName {
    let name = store.part_object(&part(number)).unwrap();
    tier.bucket.set(name.as_str(), Some(bytes.clone()));
    name
}

#[test]
fn a_part_in_the_bucket_becomes_a_segment_where_it_is() {
    let tier = Tier::new();
    let mut store = tier.open();
    let contents = contents(1);
    let bytes = upload_body(&contents);
    put(&store, "other", &contents[3]).unwrap();
    let name = upload(&tier, &store, 1, &bytes);
    let adopted = store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64).unwrap().unwrap();
    assert_eq!((adopted.records, adopted.stored_bytes, adopted.raw_bytes), (20, bytes.len() as u64, 20_000));
    assert_eq!(store.adopt_object(&ns("b"), &part(1), &name, bytes.len() as u64).unwrap(), None);
    assert_eq!(tier.bucket.names(), [name.as_str()], "not a byte was put");
    assert_eq!(store.waiting(None).unwrap(), []);
    let hashes: Vec<ContentHash> = contents.iter().map(|content| ContentHash::of(content)).collect();
    for round in 0..3 {
        for (n, content) in contents.iter().enumerate() {
            assert_eq!(get(&store, "a", &hashes[n]).unwrap(), *content);
            assert_eq!(get(&store, "other", &hashes[n]).is_some(), n == 3);
            assert_eq!(get(&store, "b", &hashes[n]), None);
        }
        // Ranges of the segment are ranges of the object.
        for located in store.locate(&ns("a"), &hashes).unwrap() {
            if let Some((object, length)) = store.object_of(located.segment) {
                assert_eq!((object, length), (name.clone(), bytes.len() as u64));
                let range = ByteRange { offset: located.offset, length: Some(located.length) };
                let read = store.read_segment(located.segment, range).unwrap().unwrap();
                let read = read.map(Result::unwrap).collect::<Vec<_>>().concat();
                let (from, to) = (located.offset as usize, (located.offset + located.length) as usize);
                assert_eq!(read, bytes[from..to]);
            }
        }
        let status = store.status().unwrap();
        assert_eq!(status.adopted_segments, 1);
        assert_eq!(status.bucket.unwrap().bytes, bytes.len() as u64);
        drop(store);
        if round == 1 {
            tier.remove_index();
        }
        store = tier.open();
    }
    assert_eq!(store.sweep_objects(Duration::ZERO).unwrap().orphans, 0);
}

#[test]
fn a_part_with_anything_but_true_chunks_or_of_another_length_is_refused_whole() {
    use larder_testkit::segment::{Flaw, damaged};
    let tier = Tier::new();
    let store = tier.open();
    let contents = contents(1);
    let good = upload_body(&contents);
    let mut refused: Vec<Bytes> = Flaw::ALL.iter().map(|flaw| damaged(&contents, 7, *flaw)).collect();
    refused.push(good.slice(..16));
    refused.push(good.slice(1..));
    refused.push(Bytes::new());
    for (n, bytes) in refused.iter().enumerate() {
        let name = upload(&tier, &store, 1, bytes);
        let error = store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{n}: {error}");
    }
    let name = upload(&tier, &store, 1, &good);
    for length in [good.len() as u64 - 1, good.len() as u64 + 1] {
        let error = store.adopt_object(&ns("a"), &part(1), &name, length).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{length}: {error}");
    }
    let error = store.adopt_object(&ns("a"), &part(1), &name, 2 << 30).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[0])), None);
    assert!(!tier.has(&crate::transfer::staged_stub_path(&part(1))));
    tier.bucket.set(name.as_str(), None);
    assert_eq!(store.adopt_object(&ns("a"), &part(1), &name, good.len() as u64).unwrap(), None);
    upload(&tier, &store, 1, &good);
    tier.bucket.read_at_most(700);
    assert_eq!(store.adopt_object(&ns("a"), &part(1), &name, good.len() as u64).unwrap().unwrap().records, 20);
}

#[test]
fn an_object_that_is_written_again_after_its_adoption_serves_nothing_false() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = contents(1);
    let bytes = upload_body(&contents);
    let name = upload(&tier, &store, 1, &bytes);
    store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64).unwrap().unwrap();
    let lies: Vec<Record> =
        contents.iter().map(|content| Record::chunk(ContentHash::of(content), noise(5, 1000), 1)).collect();
    let mut evil = SEGMENT_HEADER.to_vec();
    for lie in &lies {
        evil.extend_from_slice(&lie.header.encode());
        evil.extend_from_slice(&lie.body);
    }
    assert_eq!(evil.len(), bytes.len());
    tier.bucket.set(name.as_str(), Some(evil.into()));
    // Nor does eviction write again what is in use.
    let adopted = store.core().files.stub(2).map(|_| 2).expect("it is the second segment");
    tier.clock.advance(LONG);
    let (in_use, others) = contents.split_at(5);
    let hashes: Vec<ContentHash> = in_use.iter().map(|content| ContentHash::of(content)).collect();
    assert!(store.missing(&ns("a"), &hashes).unwrap().is_empty());
    for content in others {
        assert_eq!(get(&store, "a", &ContentHash::of(content)), None);
    }
    // What was found bad is set aside behind the answers; that is done after this.
    store.checkpoint().unwrap();
    assert!(store.evict_segment(adopted, &mut crate::Evicted::default()).unwrap().is_some());
    for content in &contents {
        assert_eq!(get(&store, "a", &ContentHash::of(content)), None);
    }
    put(&store, "a", &contents[0]).unwrap();
    assert_eq!(get(&store, "a", &ContentHash::of(&contents[0])).unwrap(), contents[0]);
}

#[test]
fn a_process_that_dies_at_any_step_of_an_adoption_leaves_it_undone_or_done() {
    use crate::disk::faulty::Fault as DiskFault;
    let contents = contents(1);
    let bytes = upload_body(&contents);
    let (mut undone, mut done) = (0, 0);
    for fault in [DiskFault::Cut, DiskFault::Tear] {
        for k in 1.. {
            let mut tier = Tier::new();
            let store = tier.open();
            let name = upload(&tier, &store, 1, &bytes);
            tier.disk.plan(k, fault);
            let adopted = store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64);
            drop(store);
            let mut dice = Dice(k);
            tier.disk =
                if k % 2 == 0 { tier.disk.after_kill() } else { tier.disk.after_power_cut(&mut || dice.roll(2) == 0) };
            let store = tier.open();
            let found = get(&store, "a", &ContentHash::of(&contents[0])).is_some();
            assert!(found || adopted.is_err(), "step {k}: what was acknowledged is gone");
            if found {
                done += u32::from(adopted.is_err());
            } else {
                undone += 1;
            }
            // Trying again settles it.
            let again = store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64).unwrap();
            assert_eq!(again.is_some(), !found, "step {k}");
            for content in &contents {
                assert_eq!(get(&store, "a", &ContentHash::of(content)).unwrap(), *content);
            }
            assert_eq!(store.status().unwrap().staging_bytes, 0);
            drop(store);
            tier.remove_index();
            let store = tier.open();
            assert_eq!(get(&store, "a", &ContentHash::of(&contents[19])).unwrap(), contents[19]);
            if adopted.is_ok() {
                break;
            }
        }
    }
    assert!(undone > 3 && done > 1, "{undone} adoptions were undone and {done} done");
}

#[test]
fn a_bucket_that_fails_at_any_step_of_an_adoption_leaves_nothing_half_done() {
    let contents = contents(1);
    let bytes = upload_body(&contents);
    for k in 1.. {
        let tier = Tier::new();
        let store = tier.open();
        let name = upload(&tier, &store, 1, &bytes);
        tier.bucket.plan(k, Fault::Down);
        let adopted = store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64);
        if adopted.is_ok() {
            assert!(k > 5, "only {k} calls");
            break;
        }
        assert_eq!(adopted.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.missing(&ns("a"), &[ContentHash::of(&contents[0])]).unwrap().len(), 1);
        tier.bucket.heal();
        tier.clock.advance(Duration::from_secs(60));
        assert!(store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64).unwrap().is_some());
    }
}

#[test]
fn a_part_that_is_given_up_leaves_the_bucket_and_an_adopted_one_does_not() {
    let tier = Tier::new();
    let store = tier.open();
    let bytes = upload_body(&contents(1));
    let (kept, given_up) = (upload(&tier, &store, 1, &bytes), upload(&tier, &store, 2, &bytes));
    store.adopt_object(&ns("a"), &part(1), &kept, bytes.len() as u64).unwrap().unwrap();
    store.discard_object(&part(1), &kept).unwrap();
    store.discard_object(&part(2), &given_up).unwrap();
    store.discard_object(&part(2), &given_up).unwrap();
    assert_eq!(tier.bucket.names(), [kept.as_str()]);
}

#[test]
fn discarding_an_upload_takes_its_own_parts_that_were_not_adopted() {
    let tier = Tier::new();
    let store = tier.open();
    let bytes = upload_body(&contents(1));
    let kept = upload(&tier, &store, 1, &bytes);
    let length = bytes.len() as u64;
    assert!(store.adopt_part(&ns("a"), &part(1), length).unwrap().is_some());
    assert_eq!(store.adopt_part(&ns("a"), &part(1), length).unwrap(), None);
    assert_eq!(store.adopt_part(&ns("a"), &part(2), length).unwrap(), None, "never put");
    for number in 2..6 {
        upload(&tier, &store, number, &bytes);
    }
    let other = PartName { upload: UploadId::from_random([9; 16]), number: 1 };
    let of_another = store.part_object(&other).unwrap();
    tier.bucket.set(of_another.as_str(), Some(bytes.clone()));
    tier.bucket.list_as(2, &[]);
    store.discard_objects(&part(1).upload).unwrap();
    let mut left = [kept.to_string(), of_another.to_string()];
    left.sort();
    assert_eq!(tier.bucket.names(), left);
}

#[test]
fn urls_lead_to_the_bucket_for_what_is_there_and_nowhere_else() {
    let tier = Tier::new();
    let store = tier.open();
    let bytes = upload_body(&contents(1));
    let life = Duration::from_secs(60);
    let url = store.put_url(&part(1), 77, life).unwrap().unwrap().url;
    assert_eq!(url, format!("put {} 77", store.part_object(&part(1)).unwrap()));
    let name = upload(&tier, &store, 1, &bytes);
    store.adopt_part(&ns("a"), &part(1), bytes.len() as u64).unwrap().unwrap();
    let on_disk = put(&store, "a", &Bytes::from_static(b"only on the disk")).unwrap();
    let hashes = [ContentHash::of(&contents(1)[0]), on_disk.hash];
    let located = store.locate(&ns("a"), &hashes).unwrap();
    let range = |at: usize| {
        let larder_base::Located { segment, offset, length, .. } = located[at];
        SegmentRange { segment, offset, length }
    };
    let beyond = SegmentRange { length: bytes.len() as u64, ..range(0) };
    let urls = store.read_urls(&[range(0), range(1), beyond], life).unwrap();
    let expected = format!("get {name} {} {}", range(0).offset, range(0).length);
    assert_eq!(
        urls.iter().map(|url| url.as_ref().map(|url| url.url.as_str())).collect::<Vec<_>>(),
        [Some(expected.as_str()), None, None]
    );
}

#[test]
fn a_part_in_the_bucket_outlives_the_segment_that_tells_of_it() {
    let tier = Tier::new();
    let store = tier.open();
    let contents = contents(1);
    let bytes = upload_body(&contents);
    let name = upload(&tier, &store, 1, &bytes);
    store.adopt_object(&ns("a"), &part(1), &name, bytes.len() as u64).unwrap().unwrap();
    fill(&store, 1, 30);
    tier.clock.advance(LONG);
    assert!(get(&store, "a", &ContentHash::of(&contents[0])).is_some());
    assert!(store.evict_segment(1, &mut crate::Evicted::default()).unwrap().is_some());
    store.checkpoint().unwrap();
    drop(store);
    tier.disk.remove(&segment_path(1)).unwrap();
    tier.remove_index();
    let store = tier.open();
    let adopted = store.locate(&ns("a"), &[ContentHash::of(&contents[5])]).unwrap()[0].segment;
    assert_eq!(store.object_of(adopted), Some((name, bytes.len() as u64)));
    for content in &contents {
        assert!(get(&store, "a", &ContentHash::of(content)).unwrap() == *content);
    }
}
