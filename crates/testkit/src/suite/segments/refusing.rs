use bytes::Bytes;
use larder_base::ErrorKind;
use larder_base::segment::SEGMENT_HEADER;

use super::{Bench, namespace, part};
use crate::content::{noise, text};
use crate::segment::{self, Flaw};

pub(super) async fn a_flaw_in_any_record_refuses_the_whole_part(subject: Bench) {
    let contents = [noise(1, 3000), text(2, 9000), noise(3, 500), text(4, 100_000)];
    for at in 0..contents.len() {
        for flaw in Flaw::ALL {
            subject.receive(&part(1, 1), &segment::damaged(&contents, at, flaw)).await;
            subject.assert_refused(&namespace("ns"), &part(1, 1), &format!("{flaw:?} at record {at}")).await;
            subject.assert_absent(&namespace("ns"), &contents, &format!("{flaw:?} at record {at}")).await;
        }
    }
}

pub(super) async fn a_part_of_another_length_than_announced_is_not_adopted(subject: Bench) {
    let contents = [noise(1, 3000)];
    let body = segment::body(&contents);
    subject.receive(&part(1, 1), &body).await;
    for length in [0, 1, body.len() as u64 - 1, body.len() as u64 + 1, u64::MAX] {
        let refused = subject.segments.adopt(&namespace("ns"), &part(1, 1), length).await;
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{length}");
        subject.assert_absent(&namespace("ns"), &contents, "of another length").await;
    }
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
}

pub(super) async fn a_part_without_its_segment_header_is_refused(subject: Bench) {
    let contents = [noise(1, 3000)];
    let whole = segment::body(&contents);
    let of_another_version = {
        let mut bytes = whole.to_vec();
        bytes[7] += 1;
        Bytes::from(bytes)
    };
    let headless = whole.slice(SEGMENT_HEADER.len()..);
    for body in [Bytes::new(), whole.slice(..1), whole.slice(..SEGMENT_HEADER.len() - 1), headless, of_another_version]
    {
        subject.receive(&part(1, 1), &body).await;
        subject.assert_refused(&namespace("ns"), &part(1, 1), &format!("a part of {} bytes", body.len())).await;
        subject.assert_absent(&namespace("ns"), &contents, "without its header").await;
    }
}

pub(super) async fn a_refused_part_waits_and_may_be_replaced(subject: Bench) {
    let contents = [noise(1, 3000), text(2, 9000)];
    subject.receive(&part(1, 1), &segment::damaged(&contents, 1, Flaw::FlippedBody)).await;
    for _ in 0..2 {
        subject.assert_refused(&namespace("ns"), &part(1, 1), "it is damaged").await;
        assert_eq!(subject.waiting(None).await, [part(1, 1)]);
    }
    subject.receive(&part(1, 1), &segment::body(&contents)).await;
    assert!(subject.adopt(&namespace("ns"), &part(1, 1)).await.is_some());
    subject.assert_present(&namespace("ns"), &contents).await;
}
