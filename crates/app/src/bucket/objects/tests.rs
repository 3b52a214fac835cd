use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use larder_base::ErrorKind;
use larder_store::Bucket;
use tokio::runtime::Runtime;

use super::Objects;
use crate::bucket::bucket;
use crate::config::BucketSection;

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that waits for a bucket, as those of the store do")]
fn whoever_waits_for_a_bucket_that_does_not_answer_is_told_when_the_server_ends() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let section = BucketSection {
        url: "s3://cache".to_owned(),
        endpoint: format!("http://{}", silent.local_addr().unwrap()),
        region: "eu-test-1".to_owned(),
        ..BucketSection::default()
    };
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let environment = keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let runtime = Runtime::new().unwrap();
    let objects = {
        let _inside = runtime.enter();
        Arc::new(Objects::new(bucket(&section, &environment).unwrap().unwrap(), true))
    };
    let waiting = std::thread::spawn({
        let objects = objects.clone();
        move || objects.list("", None)
    });
    // It has asked.
    let mut asked = silent.accept().unwrap().0;
    asked.read_exact(&mut [0]).unwrap();
    objects.end();
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    drop(runtime);
    // Nothing is asked of a runtime that is gone.
    assert_eq!(objects.list("", None).unwrap_err().kind(), ErrorKind::Unavailable);
}
