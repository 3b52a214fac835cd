use std::sync::Arc;

use super::*;
use crate::bucket::faulty::FaultyBucket;

fn options(place: &str) -> BucketOptions {
    BucketOptions::new(Arc::new(FaultyBucket::default()), place, 1 << 30, [7; 16])
}

#[test]
fn a_directory_has_version_1_until_it_has_a_bucket_and_then_stays_with_that_one() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(check_format(dir.path()).unwrap(), None);
    assert_eq!(std::fs::read_to_string(dir.path().join("format")).unwrap(), "larder store 1\n");
    let made = attach(dir.path(), None, &options("s3://one/a")).unwrap();
    assert_eq!(made.id, "07".repeat(16));
    let found = check_format(dir.path()).unwrap();
    assert_eq!(found, Some(made.clone()));
    let another = BucketOptions { fresh_id: [8; 16], ..options("s3://one/a") };
    assert_eq!(attach(dir.path(), found.clone(), &another).unwrap(), made, "an id is for ever");
    let error = attach(dir.path(), found, &options("s3://one/b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("s3://one/a") && error.message().contains("s3://one/b"), "{error}");
}

#[test]
fn a_format_that_is_not_known_whole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let id = "0".repeat(32);
    for text in [
        String::new(),
        "larder store 3\n".into(),
        "larder store 2\n".into(),
        format!("larder store 2\nid {id}\n"),
        format!("larder store 2\nid {}\nbucket b\n", &id[1..]),
        format!("larder store 2\nid {id}\nbucket b\nmore\n"),
    ] {
        std::fs::write(dir.path().join("format"), &text).unwrap();
        assert_eq!(check_format(dir.path()).unwrap_err().kind(), ErrorKind::Failed, "{text:?}");
    }
    for place in ["", "two\nlines"] {
        assert_eq!(attach(dir.path(), None, &options(place)).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
