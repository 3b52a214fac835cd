use http::Method;

use super::{SERVICE, Signed, Signer};
use crate::s3::credentials::Credentials;

fn keys() -> Credentials {
    Credentials::lasting("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

fn signer<'a>(credentials: &'a Credentials, service: &'a str) -> Signer<'a> {
    let now = jiff::Timestamp::from_second(1_369_353_600).unwrap();
    Signer { credentials, region: "us-east-1", service, now }
}

/// Amazon's published example: "Signature Calculations for the Authorization Header: GET Object".
#[test]
fn amazons_own_example_in_headers_has_amazons_own_signature() {
    let keys = keys();
    let request = Signed {
        method: &Method::GET,
        url: "https://examplebucket.s3.amazonaws.com/test.txt".parse().unwrap(),
        query: vec![],
        headers: vec![("range", "bytes=0-9")],
    };
    let (url, headers) = signer(&keys, "s3").headers(request, "x-amz-security-token", true);
    assert_eq!(url.as_str(), "https://examplebucket.s3.amazonaws.com/test.txt");
    let authorization = &headers.iter().find(|(name, _)| *name == "authorization").unwrap().1;
    assert_eq!(
        authorization,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
}

/// For the one service that both know, it is the crate's own answer that is compared with.
#[test]
fn a_url_is_signed_as_the_crate_signs_it_for_the_service_that_both_know() {
    for (url, query, headers, token) in [
        ("https://b.s3.amazonaws.com/a/b", vec![], vec![], None),
        ("http://127.0.0.1:9000/b/a-_.b", vec![("partNumber", "7"), ("uploadId", "x y+/=~")], vec![], None),
        (
            "https://h:8443/b/",
            vec![("delete", "")],
            vec![("content-length", "7"), ("if-none-match", "*")],
            Some("t+/="),
        ),
    ] {
        let keys = Credentials { session_token: token.map(str::to_owned), ..keys() };
        let signer = signer(&keys, "s3");
        let theirs = rusty_s3::signing::sign(
            &signer.now,
            rusty_s3::Method::Put,
            url.parse().unwrap(),
            &keys.access_key_id,
            &keys.secret_access_key,
            token,
            "us-east-1",
            300,
            query.iter().copied(),
            headers.iter().copied(),
        );
        let sorted = |url: &url::Url| {
            let mut pairs: Vec<_> = url.query().unwrap().split('&').map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        let request = Signed { method: &Method::PUT, url: url.parse().unwrap(), query, headers };
        let ours = signer.url(request, "X-Amz-Security-Token", 300);
        assert_eq!((ours.path(), sorted(&ours)), (theirs.path(), sorted(&theirs)));
    }
}

#[test]
fn a_session_is_named_in_the_url_and_in_the_headers_and_is_signed_for_its_own_service() {
    let session = Credentials { session_token: Some("a+b".into()), ..keys() };
    let request = || Signed {
        method: &Method::GET,
        url: "https://b--z--x-s3.s3express-z.r.amazonaws.com/a".parse().unwrap(),
        query: vec![("session", "")],
        headers: vec![],
    };
    let url = signer(&session, SERVICE).url(request(), "X-Amz-S3session-Token", 300);
    assert!(url.as_str().contains("X-Amz-S3session-Token=a%2Bb&"), "{url}");
    assert!(url.as_str().contains("%2Fus-east-1%2Fs3express%2Faws4_request&"), "{url}");
    let (url, headers) = signer(&session, SERVICE).headers(request(), "x-amz-s3session-token", false);
    assert_eq!(url.query(), Some("session="));
    let header = |name: &str| headers.iter().find(|(named, _)| *named == name).unwrap().1.as_str();
    assert_eq!((header("x-amz-s3session-token"), header("x-amz-content-sha256")), ("a+b", "UNSIGNED-PAYLOAD"));
    assert!(
        header("authorization").contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-s3session-token")
    );
}
