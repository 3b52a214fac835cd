use std::time::Duration;

use http::Method;
use larder_base::Timestamp;

use super::Request;
use crate::s3::config::{BucketConfig, Place};
use crate::s3::credentials::Credentials;

/// Amazon's published example: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
const EXAMPLE_MOMENT: Timestamp = Timestamp::from_millis(1_369_353_600_000);

fn example() -> (Place, Credentials) {
    let config = BucketConfig {
        endpoint: Some("https://s3.amazonaws.com".into()),
        region: Some("us-east-1".into()),
        path_style: Some(false),
        ..BucketConfig::new("s3://examplebucket".parse().unwrap())
    };
    let credentials = Credentials::lasting("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    (config.place().unwrap(), credentials)
}

#[test]
fn amazons_own_example_has_amazons_own_signature() {
    let (place, credentials) = example();
    let request = Request::new("get object", Method::GET, Some("test.txt"));
    let url = request.url(&place, &credentials, EXAMPLE_MOMENT, Duration::from_secs(86400));
    assert_eq!(
        url,
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z\
         &X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
}

#[test]
fn the_length_is_part_of_what_is_signed_and_nothing_about_checksums_is() {
    let (place, credentials) = example();
    let sized = |length: u64| {
        let request = Request::new("put object", Method::PUT, Some("a")).sign("content-length", length.to_string());
        request.url(&place, &credentials, EXAMPLE_MOMENT, Duration::from_secs(60))
    };
    assert!(sized(7).contains("X-Amz-SignedHeaders=content-length%3Bhost"));
    let signature = |url: String| url.split("X-Amz-Signature=").nth(1).unwrap().to_owned();
    assert_ne!(signature(sized(7)), signature(sized(8)));
    assert!(!sized(7).to_ascii_lowercase().contains("checksum"));
}

#[test]
fn what_a_request_about_a_directory_bucket_is_signed_with_is_in_no_output_of_it() {
    let config = BucketConfig { region: Some("r".into()), ..BucketConfig::new("s3://cache--z--x-s3".parse().unwrap()) };
    let session = Credentials { session_token: Some("a+token".into()), ..example().1 };
    let request = Request::new("get object", Method::GET, Some("a"));
    let message = request.message(&config.place().unwrap(), &session, EXAMPLE_MOMENT).unwrap();
    assert_eq!(message.headers()["x-amz-s3session-token"], "a+token");
    let shown = format!("{:?}", message.headers());
    assert!(!shown.contains("a+token") && !shown.contains("Signature="), "{shown}");
}

#[test]
fn a_session_token_is_in_the_url_and_a_lifetime_is_at_most_seven_days() {
    let (place, credentials) = example();
    let session = Credentials { session_token: Some("a+b/c=".into()), ..credentials };
    let request = Request::new("get object", Method::GET, Some("a")).query("uploadId", "x y");
    let url = request.url(&place, &session, EXAMPLE_MOMENT, Duration::from_secs(30 * 86400));
    assert!(url.contains("X-Amz-Security-Token=a%2Bb%2Fc%3D"), "{url}");
    assert!(url.contains("X-Amz-Expires=604800&") && url.contains("uploadId=x%20y"), "{url}");
}
