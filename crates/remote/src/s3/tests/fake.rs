use larder_base::BoxFuture;
use larder_testkit::s3::FakeS3;

use super::{fake, fake_directory, suite};
use crate::s3::Bucket;

#[test]
fn the_fake_store_keeps_the_conformance_suite() {
    suite::check(|_| -> BoxFuture<'static, _> {
        Box::pin(async {
            let (store, bucket, _) = fake().await;
            subject(store, bucket)
        })
    });
}

#[test]
fn the_fake_store_keeps_it_in_short_pages() {
    suite::check(|_| -> BoxFuture<'static, _> {
        Box::pin(async {
            let (store, bucket, _) = fake().await;
            store.limit_pages(2);
            subject(store, bucket)
        })
    });
}

#[test]
fn a_directory_bucket_keeps_the_conformance_suite() {
    suite::check(|_| -> BoxFuture<'static, _> {
        Box::pin(async {
            let (store, bucket, _) = fake_directory().await;
            subject(store, bucket)
        })
    });
}

#[test]
fn a_directory_bucket_keeps_it_in_short_pages() {
    suite::check(|_| -> BoxFuture<'static, _> {
        Box::pin(async {
            let (store, bucket, _) = fake_directory().await;
            store.limit_pages(2);
            subject(store, bucket)
        })
    });
}

fn subject(store: FakeS3, bucket: Bucket) -> suite::Subject {
    let lists_in_order = !bucket.is_directory();
    suite::Subject { bucket, lengths_are_signed: true, lists_in_order, uploads_by_prefix: true, keep: Box::new(store) }
}
