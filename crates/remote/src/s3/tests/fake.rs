use larder_base::BoxFuture;

use super::{fake, suite};

#[test]
fn the_fake_store_keeps_the_conformance_suite() {
    suite::check(|_| -> BoxFuture<'static, _> {
        Box::pin(async {
            let (store, bucket, _) = fake().await;
            suite::Subject { bucket, lengths_are_signed: true, uploads_by_prefix: true, keep: Box::new(store) }
        })
    });
}

#[test]
fn the_fake_store_keeps_it_in_short_pages() {
    suite::check(|_| -> BoxFuture<'static, _> {
        Box::pin(async {
            let (store, bucket, _) = fake().await;
            store.limit_pages(2);
            suite::Subject { bucket, lengths_are_signed: true, uploads_by_prefix: true, keep: Box::new(store) }
        })
    });
}
