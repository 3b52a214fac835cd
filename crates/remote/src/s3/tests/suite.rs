//! One suite for every store.

use std::any::Any;
use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder_base::{BoxFuture, ErrorKind};
use larder_testkit::content::noise;

use super::{read, transfer};
use crate::s3::{Bucket, MultipartPlan, ObjectBody, PART_MIN_BYTES, Presigned, StoredObject};

/// A bucket that nobody else uses, and what keeps it alive.
pub(super) struct Subject {
    pub(super) bucket: Bucket,
    /// Whether the store refuses another length than was signed: one that checks no signatures cannot.
    pub(super) lengths_are_signed: bool,
    /// Whether the store lists names in their order.
    pub(super) lists_in_order: bool,
    /// Whether the store lists uploads by the beginning of their name, and not by the whole name alone.
    pub(super) uploads_by_prefix: bool,
    pub(super) keep: Box<dyn Any + Send>,
}

const HOUR: Duration = Duration::from_secs(3600);
type Case = fn(Subject) -> BoxFuture<'static, ()>;
const CASES: &[(&str, Case)] = &[
    ("objects", |subject| Box::pin(an_object_comes_back_whole_and_by_range(subject))),
    ("absence", |subject| Box::pin(what_is_not_there_is_none_and_is_deleted_already(subject))),
    ("ranges", |subject| Box::pin(a_range_beyond_the_end_is_an_error_and_not_fewer_bytes(subject))),
    ("first kept", |subject| Box::pin(the_first_object_of_a_name_is_kept_where_that_is_asked_for(subject))),
    ("at most", |subject| Box::pin(as_many_bytes_come_as_there_are_up_to_those_asked_for(subject))),
    ("listing", |subject| Box::pin(a_listing_has_every_object_once_in_order(subject))),
    ("batches", |subject| Box::pin(a_batch_deletes_all_it_names_and_nothing_else(subject))),
    ("parts", |subject| Box::pin(parts_in_any_order_and_sent_twice_make_one_object(subject))),
    ("complete", |subject| Box::pin(a_second_complete_is_as_good_as_the_first(subject))),
    ("abort", |subject| Box::pin(an_aborted_upload_leaves_nothing_and_can_be_aborted_again(subject))),
    ("uploads", |subject| Box::pin(open_uploads_are_found_and_closed_ones_are_not(subject))),
    ("wrong parts", |subject| Box::pin(a_wrong_tag_is_refused_and_leaves_no_object(subject))),
    ("presigned", |subject| Box::pin(presigned_urls_put_and_get_without_credentials(subject))),
    ("streams", |subject| Box::pin(a_body_that_is_read_while_it_is_sent_arrives_whole(subject))),
];

/// Runs every case on a fresh subject and a runtime of its own. `fresh` is told the case's number.
pub(super) fn check(fresh: impl Fn(usize) -> BoxFuture<'static, Subject>) {
    for (number, (name, case)) in CASES.iter().enumerate() {
        eprintln_case(name);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let subject = fresh(number).await;
            tokio::time::timeout(Duration::from_secs(120), case(subject)).await.expect("the case hangs");
        });
        runtime.shutdown_background();
    }
}

#[expect(clippy::disallowed_macros, reason = "the name of the case that failed stands before its panic")]
fn eprintln_case(name: &str) {
    eprintln!("case: {name}");
}

async fn get(bucket: &Bucket, key: &str, offset: u64, length: u64) -> Option<Bytes> {
    let body = bucket.get_range(key, offset, length).await.unwrap()?;
    Some(read(body).await.unwrap())
}

async fn an_object_comes_back_whole_and_by_range(subject: Subject) {
    let bucket = &subject.bucket;
    let content = noise(1, 3 << 20);
    bucket.put_object("segments/3f/one", &ObjectBody::bytes(content.clone())).await.unwrap();
    let size = content.len() as u64;
    for (offset, length) in [(0, size), (0, 1), (size - 1, 1), (1000, 2 << 20), (7, 0)] {
        let expected = content.slice(offset as usize..(offset + length) as usize);
        assert!(get(bucket, "segments/3f/one", offset, length).await == Some(expected), "{offset} {length}");
    }
    let stat = bucket.head("segments/3f/one").await.unwrap().unwrap();
    assert_eq!(stat.size, size);
    assert!(stat.etag.is_some());
    bucket.put_object("segments/3f/one", &ObjectBody::bytes("other")).await.unwrap();
    assert_eq!(get(bucket, "segments/3f/one", 0, 5).await.unwrap(), "other");
    bucket.put_object("empty", &ObjectBody::bytes("")).await.unwrap();
    assert_eq!(bucket.head("empty").await.unwrap().unwrap().size, 0);
    assert_eq!(get(bucket, "empty", 0, 0).await.unwrap(), "");
}

async fn what_is_not_there_is_none_and_is_deleted_already(subject: Subject) {
    let bucket = &subject.bucket;
    assert_eq!(get(bucket, "absent", 0, 10).await, None);
    assert_eq!(get(bucket, "absent", 0, 0).await, None);
    assert_eq!(bucket.head("absent").await.unwrap(), None);
    bucket.delete_object("absent").await.unwrap();
    bucket.delete_objects(&["absent", "absent/too"]).await.unwrap();
    bucket.delete_objects::<&str>(&[]).await.unwrap();
    assert_eq!(bucket.list("", None).await.unwrap().objects, []);
    for bad in ["", "a/../b", "/a", "a b"] {
        assert_eq!(bucket.head(bad).await.unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        assert_eq!(bucket.delete_objects(&["good", bad]).await.unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
    }
}

async fn a_range_beyond_the_end_is_an_error_and_not_fewer_bytes(subject: Subject) {
    let bucket = &subject.bucket;
    bucket.put_object("short", &ObjectBody::bytes("0123456789")).await.unwrap();
    for (offset, length) in [(0, 11), (9, 2), (10, 1), (100, 1), (u64::MAX, 1)] {
        let error = bucket.get_range("short", offset, length).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{offset} {length}: {error}");
    }
}

async fn the_first_object_of_a_name_is_kept_where_that_is_asked_for(subject: Subject) {
    let bucket = &subject.bucket;
    assert!(bucket.put_new("once", &ObjectBody::bytes("first")).await.unwrap());
    assert!(!bucket.put_new("once", &ObjectBody::bytes("other")).await.unwrap());
    assert!(bucket.keeps_the_first("trial").await.unwrap());
    assert_eq!(bucket.head("trial").await.unwrap(), None);
    let url = bucket.presign_new("direct/once", 5, HOUR).await.unwrap();
    assert_eq!(transfer(Method::PUT, &url, &[], Bytes::from("first")).await.status(), StatusCode::OK);
    assert_eq!(transfer(Method::PUT, &url, &[], Bytes::from("other")).await.status(), StatusCode::PRECONDITION_FAILED);
    if subject.lengths_are_signed {
        let headers = url.headers.iter().filter(|(name, _)| *name != "if-none-match").cloned().collect();
        let unconditional = Presigned { headers, ..url };
        let answer = transfer(Method::PUT, &unconditional, &[], Bytes::from("other")).await;
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
    for key in ["once", "direct/once"] {
        assert_eq!(get(bucket, key, 0, 5).await.as_deref(), Some(&b"first"[..]));
    }
}

async fn as_many_bytes_come_as_there_are_up_to_those_asked_for(subject: Subject) {
    let bucket = &subject.bucket;
    bucket.put_object("short", &ObjectBody::bytes("0123456789")).await.unwrap();
    for (offset, length, there) in [
        (0, 3, "012"),
        (0, 11, "0123456789"),
        (9, 2, "9"),
        (10, 1, ""),
        (100, 7, ""),
        (3, 0, ""),
        (4, u64::MAX, "456789"),
    ] {
        let bytes = bucket.get_at_most("short", offset, length).await.unwrap();
        assert_eq!(bytes.as_deref(), Some(there.as_bytes()), "{offset} {length}");
    }
    assert_eq!(bucket.get_at_most("absent", 0, 5).await.unwrap(), None);
    assert_eq!(bucket.get_at_most("absent", 0, 0).await.unwrap(), None);
}

async fn a_listing_has_every_object_once_in_order(subject: Subject) {
    let bucket = &subject.bucket;
    for number in 0..7 {
        bucket.put_object(&format!("a/{number}"), &ObjectBody::bytes(vec![0; number])).await.unwrap();
    }
    bucket.put_object("ab", &ObjectBody::bytes("x")).await.unwrap();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        // The limit makes pages short on every store.
        let page = bucket.list_some("a/", after.as_deref(), Some(3)).await.unwrap();
        assert!(page.objects.len() <= 3);
        found.extend(page.objects.into_iter().map(|object| (object.key, object.size)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..7).map(|number| (format!("a/{number}"), number)).collect();
    if !subject.lists_in_order {
        assert_ne!(found, expected, "a store that has no order keeps none");
        found.sort_unstable();
    }
    assert_eq!(found, expected);
    // A store that lists by folder has to look through the others' names for it.
    let more = listed(bucket, "ab").await;
    assert_eq!(more.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["ab"]);
    assert!(more[0].modified.as_millis() > 1_600_000_000_000);
    assert_eq!(listed(bucket, "").await.len(), 8);
}

async fn listed(bucket: &Bucket, prefix: &str) -> Vec<StoredObject> {
    let mut page = bucket.list(prefix, None).await.unwrap();
    let mut found = page.objects;
    while let Some(after) = page.next {
        page = bucket.list(prefix, Some(&after)).await.unwrap();
        found.append(&mut page.objects);
    }
    found
}

async fn a_batch_deletes_all_it_names_and_nothing_else(subject: Subject) {
    let bucket = &subject.bucket;
    for key in ["x/1", "x/2", "x/3"] {
        bucket.put_object(key, &ObjectBody::bytes("x")).await.unwrap();
    }
    // More than one request, most of it for what is not there.
    let keys: Vec<String> = (1..=1001).filter(|number| *number != 2).map(|number| format!("x/{number}")).collect();
    bucket.delete_objects(&keys).await.unwrap();
    let left: Vec<_> = listed(bucket, "x/").await.into_iter().map(|object| object.key).collect();
    assert_eq!(left, ["x/2"]);
}

fn plan() -> (MultipartPlan, Bytes) {
    let content = noise(2, 2 * PART_MIN_BYTES as usize + 77);
    (MultipartPlan::new(content.len() as u64, PART_MIN_BYTES).unwrap(), content)
}

fn piece(plan: MultipartPlan, content: &Bytes, number: u32) -> Bytes {
    let (offset, length) = plan.part(number).unwrap();
    content.slice(offset as usize..(offset + length) as usize)
}

async fn parts_in_any_order_and_sent_twice_make_one_object(subject: Subject) {
    let bucket = &subject.bucket;
    let (plan, content) = plan();
    let upload = bucket.create_multipart("big/one", plan).await.unwrap();
    assert_eq!(bucket.list_parts(&upload.key, &upload.id).await.unwrap(), Some(vec![]));
    let junk = ObjectBody::bytes(noise(9, PART_MIN_BYTES as usize));
    bucket.upload_part(&upload, 1, &junk).await.unwrap();
    let mut tags = Vec::new();
    for number in [3, 1, 2] {
        let body = ObjectBody::bytes(piece(plan, &content, number));
        tags.push(bucket.upload_part(&upload, number, &body).await.unwrap());
    }
    let mut known = bucket.list_parts(&upload.key, &upload.id).await.unwrap().unwrap();
    known.sort();
    assert_eq!(known.iter().map(|tag| tag.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(bucket.head("big/one").await.unwrap(), None, "parts are no object");
    bucket.complete_multipart(&upload, &tags).await.unwrap();
    assert!(get(bucket, "big/one", 0, plan.size()).await == Some(content));
}

async fn a_second_complete_is_as_good_as_the_first(subject: Subject) {
    let bucket = &subject.bucket;
    let plan = MultipartPlan::new(100, PART_MIN_BYTES).unwrap();
    let upload = bucket.create_multipart("big/two", plan).await.unwrap();
    let tag = bucket.upload_part(&upload, 1, &ObjectBody::bytes(noise(1, 100))).await.unwrap();
    bucket.complete_multipart(&upload, std::slice::from_ref(&tag)).await.unwrap();
    bucket.complete_multipart(&upload, &[tag]).await.unwrap();
    assert_eq!(bucket.head("big/two").await.unwrap().unwrap().size, 100);
}

async fn an_aborted_upload_leaves_nothing_and_can_be_aborted_again(subject: Subject) {
    let bucket = &subject.bucket;
    let plan = MultipartPlan::new(100, PART_MIN_BYTES).unwrap();
    let upload = bucket.create_multipart("big/three", plan).await.unwrap();
    let tag = bucket.upload_part(&upload, 1, &ObjectBody::bytes(noise(1, 100))).await.unwrap();
    bucket.abort_multipart(&upload.key, &upload.id).await.unwrap();
    bucket.abort_multipart(&upload.key, &upload.id).await.unwrap();
    assert_eq!(bucket.list_parts(&upload.key, &upload.id).await.unwrap(), None);
    // Nothing that was aborted is taken for complete. Of what kind the error is differs: moto fails with a 500 of its own.
    bucket.complete_multipart(&upload, &[tag]).await.unwrap_err();
    assert_eq!(bucket.head("big/three").await.unwrap(), None);
}

async fn open_uploads_are_found_and_closed_ones_are_not(subject: Subject) {
    let bucket = &subject.bucket;
    let plan = MultipartPlan::new(10, PART_MIN_BYTES).unwrap();
    let mut open = BTreeSet::new();
    for key in ["u/1", "u/2", "u/2", "u/3", "v/1"] {
        let upload = bucket.create_multipart(key, plan).await.unwrap();
        open.insert((upload.key, upload.id));
    }
    let gone = open.pop_first().unwrap();
    bucket.abort_multipart(&gone.0, &gone.1).await.unwrap();
    open.retain(|(key, _)| key.starts_with("u/"));
    let keys: BTreeSet<_> = open.iter().map(|(key, _)| key.clone()).collect();
    let mut found = BTreeSet::new();
    for key in &keys {
        found.append(&mut listed_uploads(bucket, key).await);
    }
    assert_eq!(found, open, "by whole names, of which none begins another");
    assert_eq!(listed_uploads(bucket, &gone.0).await, BTreeSet::new());
    if subject.uploads_by_prefix {
        assert_eq!(listed_uploads(bucket, "u/").await, open);
    }
}

async fn listed_uploads(bucket: &Bucket, prefix: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let page = bucket.list_uploads(prefix, after.as_ref()).await.unwrap();
        for upload in page.uploads {
            assert!(upload.begun.as_millis() > 1_200_000_000_000);
            assert!(found.insert((upload.key, upload.id)), "an upload is listed twice");
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn a_wrong_tag_is_refused_and_leaves_no_object(subject: Subject) {
    let bucket = &subject.bucket;
    let plan = MultipartPlan::new(100, PART_MIN_BYTES).unwrap();
    let upload = bucket.create_multipart("big/four", plan).await.unwrap();
    let body = ObjectBody::bytes(noise(1, 100));
    let tag = bucket.upload_part(&upload, 1, &body).await.unwrap();
    let mut wrong = tag.clone();
    wrong.etag = "\"00000000000000000000000000000000\"".into();
    let invalid = |error: larder_base::Error| assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    invalid(bucket.complete_multipart(&upload, &[wrong]).await.unwrap_err());
    invalid(bucket.complete_multipart(&upload, &[]).await.unwrap_err());
    invalid(bucket.complete_multipart(&upload, &[tag.clone(), tag]).await.unwrap_err());
    invalid(bucket.upload_part(&upload, 2, &body).await.unwrap_err());
    invalid(bucket.upload_part(&upload, 1, &ObjectBody::bytes("short")).await.unwrap_err());
    assert_eq!(bucket.head("big/four").await.unwrap(), None);
}

async fn presigned_urls_put_and_get_without_credentials(subject: Subject) {
    let bucket = &subject.bucket;
    let content = noise(3, 10_000);
    let put = bucket.presign_put("direct/one", 10_000, HOUR).await.unwrap();
    if subject.lengths_are_signed {
        let answer = transfer(Method::PUT, &put, &[], content.slice(1..)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(bucket.head("direct/one").await.unwrap(), None);
    }
    assert_eq!(transfer(Method::PUT, &put, &[], content.clone()).await.status(), StatusCode::OK);
    let url = bucket.presign_get("direct/one", HOUR).await.unwrap();
    let answer = transfer(Method::GET, &url, &[], Bytes::new()).await;
    assert_eq!((answer.status(), answer.body()), (StatusCode::OK, &content));
    let answer = transfer(Method::GET, &url, &[("range", "bytes=10-19")], Bytes::new()).await;
    assert_eq!((answer.status(), answer.into_body()), (StatusCode::PARTIAL_CONTENT, content.slice(10..20)));
    let range = bucket.presign_range("direct/one", 5, 7, HOUR).await.unwrap();
    let answer = transfer(Method::GET, &range, &[], Bytes::new()).await;
    assert_eq!((answer.status(), answer.into_body()), (StatusCode::PARTIAL_CONTENT, content.slice(5..12)));
    if subject.lengths_are_signed {
        let elsewhere = Presigned { headers: vec![("range", "bytes=0-99".to_owned())], ..range.clone() };
        assert_eq!(transfer(Method::GET, &elsewhere, &[], Bytes::new()).await.status(), StatusCode::FORBIDDEN);
        let whole = Presigned { headers: vec![], ..range };
        // MinIO calls a request that lacks a signed header a bad one.
        let status = transfer(Method::GET, &whole, &[], Bytes::new()).await.status();
        assert!([StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&status), "{status}");
    }
    assert!(bucket.presign_range("direct/one", 5, 0, HOUR).await.is_err());
}

async fn a_body_that_is_read_while_it_is_sent_arrives_whole(subject: Subject) {
    let content = noise(4, 5 << 20);
    let pieces = content.clone();
    let body = ObjectBody::reading(content.len() as u64, move || {
        let pieces: Vec<_> = pieces.chunks(300_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(futures_util::stream::iter(pieces))
    });
    subject.bucket.put_object("streamed", &body).await.unwrap();
    assert!(get(&subject.bucket, "streamed", 0, content.len() as u64).await == Some(content));
    drop(subject.keep);
}
