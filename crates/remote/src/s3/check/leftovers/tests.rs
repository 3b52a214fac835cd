use std::time::Duration;

use larder_base::ErrorKind;
use larder_testkit::s3::{FakeS3, Fault, Operation};

use super::{SweptChecks, is_of_check, sweep_checks, trial_key};
use crate::s3::tests::{fake, fake_directory};
use crate::s3::{CheckOutcome, check_bucket};

const DAY: Duration = Duration::from_secs(86400);
const NONCE: &str = "00000000000000ff";

/// What a trial and a check leave that are cut off at their worst moments.
fn leave(store: &FakeS3) {
    store.put(&format!("below/here/{}", trial_key(0xff)), "first");
    for name in ["object", "parts", "direct"] {
        store.put(&format!("below/here/check/{NONCE}/{name}"), "x");
    }
    for name in ["parts", "parts", "aborted"] {
        store.begin_upload(&format!("below/here/check/{NONCE}/{name}"));
    }
}

#[tokio::test]
async fn what_was_cut_off_is_removed_once_it_is_old_enough() {
    for (store, bucket, clock) in [fake().await, fake_directory().await] {
        store.limit_pages(2);
        leave(&store);
        clock.advance(DAY - Duration::from_secs(1));
        assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks::default());
        assert_eq!(store.counts(), (4, 3));
        clock.advance(Duration::from_secs(1));
        assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks { objects: 4, uploads: 3 });
        assert_eq!(store.counts(), (0, 0));
        assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks::default());
    }
}

#[tokio::test]
async fn a_trial_that_is_under_way_is_spared() {
    let (store, bucket, _) = fake().await;
    leave(&store);
    let swept = sweep_checks(&bucket, Duration::ZERO, |key| key == trial_key(0xff)).await.unwrap();
    assert_eq!(swept, SweptChecks { objects: 3, uploads: 3 });
    assert_eq!(store.keys(), [format!("below/here/{}", trial_key(0xff))]);
}

#[tokio::test]
async fn what_others_keep_beside_it_is_not_touched() {
    let (store, bucket, clock) = fake().await;
    let others = ["check/mine", "check/first-1", &format!("check/{NONCE}/mine"), "checks", "0a/segments/1.seg"];
    for name in others {
        store.put(&format!("below/here/{name}"), "x");
        store.begin_upload(&format!("below/here/{name}"));
    }
    store.put(&format!("elsewhere/{}", trial_key(1)), "x");
    clock.advance(DAY);
    assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks::default());
    assert_eq!(store.counts(), (6, 5));
}

#[tokio::test]
async fn uploads_are_found_by_their_names_where_they_are_found_by_nothing_else() {
    let (store, bucket, clock) = fake().await;
    store.list_uploads_by_name();
    leave(&store);
    clock.advance(DAY);
    assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks { objects: 4, uploads: 3 });
    assert_eq!(store.counts(), (0, 0));
}

#[tokio::test]
async fn an_upload_goes_with_the_objects_that_lead_to_it_though_it_was_begun_after_them() {
    let (store, bucket, clock) = fake().await;
    store.list_uploads_by_name();
    store.put(&format!("below/here/check/{NONCE}/object"), "x");
    clock.advance(Duration::from_secs(3));
    store.begin_upload(&format!("below/here/check/{NONCE}/parts"));
    clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks { objects: 1, uploads: 1 });
    assert_eq!(store.counts(), (0, 0));
}

#[tokio::test]
async fn objects_stay_for_as_long_as_uploads_may_still_be_found_by_their_names() {
    let (store, bucket, clock) = fake().await;
    leave(&store);
    clock.advance(DAY);
    store.inject(Operation::ListUploads, Fault::Refuse(503, "SlowDown"), 3);
    assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.counts(), (4, 3));
    // A store that will never list them is another matter.
    store.lack(&[Operation::ListUploads]);
    assert_eq!(sweep_checks(&bucket, DAY, |_| false).await.unwrap(), SweptChecks { objects: 4, uploads: 0 });
}

/// Cut off wherever it may be: the check is dropped while the store holds one of its requests.
#[tokio::test]
async fn whatever_a_check_leaves_that_is_cut_off_is_removed() {
    for operation in [
        Operation::Put,
        Operation::Create,
        Operation::Part,
        Operation::Complete,
        Operation::Abort,
        Operation::Delete,
        Operation::DeleteBatch,
    ] {
        for fault in [Fault::Hold, Fault::HoldAnswer] {
            let (store, bucket, clock) = fake().await;
            store.inject(operation, fault, 1);
            tokio::select! {
                report = check_bucket(&bucket, 0xff) => panic!("{operation:?} was not held: {report:?}"),
                () = held(&store) => {}
            }
            // Also what was on its way arrives.
            store.release();
            while store.held() > 0 {
                tokio::task::yield_now().await;
            }
            clock.advance(DAY);
            sweep_checks(&bucket, DAY, |_| false).await.unwrap();
            assert_eq!(store.counts(), (0, 0), "{operation:?} {fault:?}");
            assert!(check_bucket(&bucket, 0xff).await.steps.iter().all(|step| step.outcome == CheckOutcome::Ok));
        }
    }
}

async fn held(store: &FakeS3) {
    while store.held() == 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn names_of_checks_are_told_from_all_others() {
    for name in [trial_key(0), trial_key(u64::MAX), format!("check/{NONCE}/object"), format!("check/{NONCE}/aborted")] {
        assert!(is_of_check(&name), "{name}");
    }
    for name in [
        "check/".to_owned(),
        "check/first-".to_owned(),
        format!("check/first-{NONCE}/object"),
        format!("check/{NONCE}"),
        format!("check/{NONCE}/object/x"),
        format!("check/{NONCE}/absent"),
        "check/00000000000000FF/object".to_owned(),
        format!("x/check/{NONCE}/object"),
    ] {
        assert!(!is_of_check(&name), "{name}");
    }
}
