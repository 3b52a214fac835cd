use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use larder_base::{ErrorKind, Timestamp};

use super::Refusal;
use crate::s3::config::BucketConfig;

fn refusal(status: u16, code: &str, headers: &[(&'static str, &'static str)]) -> Refusal {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    let body = if code.is_empty() {
        String::new()
    } else {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>why</Message></Error>")
    };
    Refusal::of(StatusCode::from_u16(status).unwrap(), &map, &body.into())
}

#[test]
fn an_error_names_bucket_key_operation_and_the_stores_code_and_what_to_do() {
    let config =
        BucketConfig { region: Some("eu-west-1".into()), ..BucketConfig::new("s3://cache/p".parse().unwrap()) };
    let place = config.place().unwrap();
    for (status, code, kind, hinted) in [
        (403, "AccessDenied", ErrorKind::Denied, true),
        (403, "", ErrorKind::Denied, true),
        (403, "SignatureDoesNotMatch", ErrorKind::Denied, true),
        (404, "NoSuchBucket", ErrorKind::Failed, true),
        (503, "SlowDown", ErrorKind::Unavailable, false),
        (507, "XMinioStorageFull", ErrorKind::Full, true),
        (301, "PermanentRedirect", ErrorKind::Failed, true),
        (400, "InvalidPart", ErrorKind::Invalid, false),
        (418, "Odd", ErrorKind::Failed, false),
    ] {
        let error = refusal(status, code, &[]).error("put object", &place, Some("a/b"));
        assert_eq!((error.kind(), error.hint().is_some()), (kind, hinted), "{code}");
        assert_eq!(error.operation(), "put object");
        for part in ["s3://cache/p/a/b", code, &status.to_string()] {
            assert!(error.message().contains(part), "{error}");
        }
    }
}

#[test]
fn a_bucket_of_another_region_is_told_by_name() {
    let config = BucketConfig { region: Some("eu-west-1".into()), ..BucketConfig::new("s3://cache".parse().unwrap()) };
    let error = refusal(301, "PermanentRedirect", &[("x-amz-bucket-region", "us-west-2")]);
    let error = error.error("list objects", &config.place().unwrap(), None);
    assert!(error.message().contains("us-west-2"), "{error}");
}

#[test]
fn only_what_is_a_matter_of_time_may_pass() {
    for (status, code, passes) in [
        (503, "SlowDown", true),
        (500, "InternalError", true),
        (200, "InternalError", true),
        (429, "", true),
        (400, "RequestTimeout", true),
        (400, "ThrottlingException", true),
        (501, "NotImplemented", false),
        (403, "AccessDenied", false),
        (404, "NoSuchKey", false),
    ] {
        assert_eq!(refusal(status, code, &[]).may_pass(), passes, "{status} {code}");
    }
}

#[test]
fn a_missing_bucket_or_upload_is_not_a_missing_object() {
    assert!(refusal(404, "NoSuchKey", &[]).is_absence());
    assert!(refusal(404, "", &[]).is_absence());
    assert!(!refusal(404, "NoSuchBucket", &[]).is_absence());
    assert!(!refusal(404, "NoSuchUpload", &[]).is_absence());
    assert!(!refusal(403, "AccessDenied", &[]).is_absence());
}

#[test]
fn the_stores_clock_is_read_from_the_answer() {
    let refused = refusal(403, "RequestTimeTooSkewed", &[("date", "Fri, 24 May 2013 00:00:00 GMT")]);
    assert_eq!(refused.date, Some(Timestamp::from_millis(1_369_353_600_000)));
    assert_eq!(refusal(403, "", &[("date", "yesterday")]).date, None);
}

#[test]
fn an_error_inside_of_a_good_answer_is_found_after_white_space() {
    let (ok, none) = (StatusCode::OK, HeaderMap::new());
    let body = Bytes::from_static(b"\n\n <?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>");
    // A declaration after white space is not good XML; stores that keep a connection alive send it all the same.
    assert_eq!(Refusal::inside(ok, &none, &body).unwrap().code, "InternalError");
    assert!(Refusal::inside(ok, &none, &Bytes::from_static(b"<Result/>")).is_none());
}
