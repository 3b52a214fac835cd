use std::sync::Arc;

use bytes::Bytes;
use larder_base::{ErrorKind, UploadId};

use super::{Bench, namespace, part};
use crate::content::{noise, text};
use crate::segment;
use crate::stream::{in_pieces, then_failing, then_stalling};

pub(super) async fn a_received_part_waits_and_shows_nothing(subject: Bench) {
    let contents = [noise(1, 3000), text(2, 9000)];
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert_eq!(subject.waiting(None).await, [part(1, 1)]);
    subject.assert_absent(&namespace("ns"), &contents, "received, not adopted").await;
}

pub(super) async fn a_part_of_another_length_than_announced_is_invalid(subject: Bench) {
    let body = segment::body(&[noise(1, 3000)]);
    let length = body.len() as u64;
    for announced in [0, 1, length - 1, length + 1, length + 100_000] {
        let refused = subject.segments.receive(&part(1, 1), announced, in_pieces(&body, 1000)).await;
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{length} bytes as {announced}");
        no_part_waits(&subject).await;
    }
}

pub(super) async fn a_part_that_fails_half_way_does_not_wait(subject: Bench) {
    let body = segment::body(&[noise(1, 300_000)]);
    for sent in [0, body.len() / 2, body.len()] {
        let failing = then_failing(&body.slice(..sent), ErrorKind::Unavailable);
        let failed = subject.segments.receive(&part(1, 1), body.len() as u64, failing).await;
        assert!(failed.is_err(), "a part was received whose body failed at byte {sent}");
        no_part_waits(&subject).await;
    }
}

pub(super) async fn a_sender_that_hangs_up_leaves_no_part(subject: Bench) {
    let subject = Arc::new(subject);
    let body = segment::body(&[noise(1, 300_000)]);
    let (half, stalled) = then_stalling(&body.slice(..body.len() / 2));
    let length = body.len() as u64;
    let receipt = tokio::spawn({
        let subject = Arc::clone(&subject);
        async move { subject.segments.receive(&part(1, 1), length, half).await }
    });
    stalled.await.expect("the tier takes what was sent");
    receipt.abort();
    assert!(receipt.await.is_err(), "a receipt ended whose body did not");
    no_part_waits(&subject).await;
    subject.receive(&part(1, 1), &body).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
}

pub(super) async fn a_part_received_again_replaces_the_first(subject: Bench) {
    let (first, second) = ([noise(1, 9000)], [noise(2, 3000)]);
    subject.receive(&part(1, 1), &segment::body(&first)).await;
    subject.receive(&part(1, 1), &segment::body(&second)).await;
    assert_eq!(subject.waiting(None).await, [part(1, 1)]);
    let adopted = subject.adopt(&namespace("ns"), &part(1, 1)).await.expect("it waited");
    assert_eq!((adopted.records, adopted.raw_bytes), (1, 3000));
    subject.assert_present(&namespace("ns"), &second).await;
    subject.assert_absent(&namespace("ns"), &first, "replaced before it was adopted").await;
}

/// Whether the first is kept or lost then, what is adopted is what was sent.
pub(super) async fn a_second_receipt_that_fails_is_not_mixed_with_the_first(subject: Bench) {
    let (first, second) = ([noise(1, 9000)], [noise(2, 9000)]);
    subject.receive(&part(1, 1), &segment::body(&first)).await;
    let body = segment::body(&second);
    let failing = then_failing(&body.slice(..body.len() / 2), ErrorKind::Unavailable);
    subject.segments.receive(&part(1, 1), body.len() as u64, failing).await.expect_err("half a part is none");
    if subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some() {
        subject.assert_present(&namespace("ns"), &first).await;
    }
    subject.assert_absent(&namespace("ns"), &second, "half received").await;
}

pub(super) async fn waiting_parts_are_listed_by_upload_and_in_all(subject: Bench) {
    assert_eq!(subject.waiting(None).await, []);
    let body = segment::body(&[noise(1, 100)]);
    let parts = [part(1, 1), part(1, 2), part(1, 10), part(2, 1), part(2, u32::MAX)];
    for part in &parts {
        subject.receive(part, &body).await;
    }
    assert_eq!(subject.waiting(None).await, parts);
    assert_eq!(subject.waiting(Some(&parts[0].upload)).await, parts[..3]);
    assert_eq!(subject.waiting(Some(&parts[3].upload)).await, parts[3..]);
    assert_eq!(subject.waiting(Some(&UploadId::from_random([3; 16]))).await, []);
    assert!(subject.adopt(&namespace("ns"), &parts[1]).await.is_some());
    assert_eq!(subject.waiting(Some(&parts[0].upload)).await, [part(1, 1), part(1, 10)]);
}

pub(super) async fn discarding_forgets_the_parts_of_one_upload(subject: Bench) {
    let contents = [noise(1, 100)];
    for part in [part(1, 1), part(1, 2), part(2, 1)] {
        subject.receive(&part, &segment::body(&contents)).await;
    }
    for _ in 0..2 {
        // The second time nothing of it is left, which is no error.
        subject.segments.discard(&part(1, 1).upload).await.expect("a discard succeeds");
        assert_eq!(subject.waiting(None).await, [part(2, 1)]);
    }
    assert_eq!(subject.adopt(&namespace("ns"), &part(1, 1)).await, None);
    subject.assert_absent(&namespace("ns"), &contents, "discarded").await;
    assert!(subject.adopt(&namespace("ns"), &part(2, 1)).await.is_some());
}

async fn no_part_waits(subject: &Bench) {
    assert_eq!(subject.waiting(None).await, []);
    assert_eq!(subject.adopt(&namespace("ns"), &part(1, 1)).await, None, "adopted what was not received");
    let none: [Bytes; 1] = [noise(1, 3000)];
    subject.assert_absent(&namespace("ns"), &none, "not received whole").await;
}
