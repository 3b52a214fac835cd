use std::sync::Arc;

use bytes::Bytes;
use larder_base::Adopted;
use larder_base::chunk::MAX_LEN;

use super::{Bench, namespace, part};
use crate::content::{noise, text};
use crate::segment;

pub(super) async fn the_chunks_of_an_adopted_part_are_present(subject: Bench) {
    let contents = [noise(1, 3000), Bytes::new(), text(2, 100_000), noise(3, MAX_LEN), text(4, MAX_LEN), noise(5, 1)];
    let body = segment::body(&contents);
    subject.receive(&part(1, 1), &body).await;
    let adopted = subject.adopt(&namespace("ns"), &part(1, 1)).await;
    let raw_bytes = contents.iter().map(|content| content.len() as u64).sum();
    assert_eq!(adopted, Some(Adopted { records: 6, stored_bytes: body.len() as u64, raw_bytes }));
    subject.assert_present(&namespace("ns"), &contents).await;
}

pub(super) async fn every_part_of_an_upload_is_adopted_by_itself(subject: Bench) {
    let contents: Vec<_> = (0..3).map(|seed| [noise(seed, 3000), text(seed, 9000)]).collect();
    for (number, contents) in (1..).zip(&contents) {
        subject.receive(&part(1, number), &segment::body(contents)).await;
    }
    assert!(subject.adopt(&namespace("ns"), &part(1, 2)).await.is_some());
    subject.assert_present(&namespace("ns"), &contents[1]).await;
    subject.assert_absent(&namespace("ns"), &contents[0], "part 1, not adopted").await;
    subject.assert_absent(&namespace("ns"), &contents[2], "part 3, not adopted").await;
    assert_eq!(subject.waiting(None).await, [part(1, 1), part(1, 3)]);
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    assert!(subject.adopt(&namespace("ns"), &part(1, 3)).await.is_some());
    subject.assert_present(&namespace("ns"), &contents.concat()).await;
}

pub(super) async fn a_part_is_adopted_once(subject: Bench) {
    let contents = [noise(1, 3000)];
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    assert_eq!(subject.waiting(None).await, []);
    assert_eq!(subject.adopt(&namespace("ns"), &part(1, 1)).await, None);
    // Nor by another, which would so get at blobs that it did not send.
    assert_eq!(subject.adopt(&namespace("other"), &part(1, 1)).await, None);
    subject.assert_absent(&namespace("other"), &contents, "adopted elsewhere before").await;
    subject.assert_present(&namespace("ns"), &contents).await;
}

pub(super) async fn of_two_that_adopt_one_part_one_does(subject: Bench) {
    let subject = Arc::new(subject);
    for number in 1..=10 {
        subject.receive(&part(1, number), &segment::body(&[noise(number.into(), 30_000)])).await;
        let adopters = [0, 1].map(|_| {
            let subject = Arc::clone(&subject);
            tokio::spawn(async move { subject.adopt(&namespace("ns"), &part(1, number)).await })
        });
        let mut adoptions = 0;
        for adopter in adopters {
            adoptions += usize::from(adopter.await.expect("an adoption does not panic").is_some());
        }
        assert_eq!(adoptions, 1, "part {number}");
        subject.assert_present(&namespace("ns"), &[noise(number.into(), 30_000)]).await;
    }
}

pub(super) async fn a_part_that_does_not_wait_is_none(subject: Bench) {
    assert_eq!(subject.adopt(&namespace("ns"), &part(1, 1)).await, None);
    subject.receive(&part(1, 1), &segment::body(&[noise(1, 100)])).await;
    for other in [part(1, 2), part(1, 11), part(2, 1)] {
        assert_eq!(subject.adopt(&namespace("ns"), &other).await, None, "{other}");
    }
}

pub(super) async fn only_the_adopting_namespace_sees_the_chunks(subject: Bench) {
    let contents = [noise(1, 3000), text(2, 9000)];
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    for other in ["NS", "ns2", "n", "other"] {
        subject.assert_absent(&namespace(other), &contents, "adopted into ns").await;
    }
    subject.receive(&part(2, 1), &segment::body(&contents[..1])).await;
    assert!(subject.adopt(&namespace("other"), &part(2, 1)).await.is_some());
    subject.assert_present(&namespace("other"), &contents[..1]).await;
    subject.assert_absent(&namespace("other"), &contents[1..], "adopted into ns").await;
}

pub(super) async fn chunks_that_are_already_there_may_come_again(subject: Bench) {
    let contents = [noise(1, 3000), text(2, 9000), noise(1, 3000)];
    subject.put_blob(&namespace("ns"), &contents[0]).await;
    for number in 1..=2 {
        let body = segment::body(&contents);
        subject.receive(&part(1, number), &body).await;
        let adopted = subject.adopt(&namespace("ns"), &part(1, number)).await;
        assert_eq!(adopted, Some(Adopted { records: 3, stored_bytes: body.len() as u64, raw_bytes: 15_000 }));
        subject.assert_present(&namespace("ns"), &contents).await;
    }
}

pub(super) async fn discarding_leaves_what_was_adopted(subject: Bench) {
    let contents = [noise(1, 3000)];
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    subject.segments.discard(&part(1, 1).upload).await.expect("a discard succeeds");
    subject.assert_present(&namespace("ns"), &contents).await;
}
