use http::HeaderMap;
use http::header::AUTHORIZATION;
use larder_base::Scope;
use larder_cache::{Grant, Rights, TokenHash};

use super::credential_of;

fn opens(header: &str) -> bool {
    let rights = Rights::Tokens(vec![Grant {
        principal: "ci".into(),
        token: TokenHash::of("s3cret"),
        namespaces: "*".parse().unwrap(),
        read: vec![Scope::Trusted],
        write: None,
        admin: false,
    }]);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, header.parse().unwrap());
    rights.resolve(credential_of(&headers).as_ref(), &"acme".parse().unwrap(), []).is_ok()
}

#[test]
fn bearer_and_basic_carry_the_token_and_other_schemes_do_not() {
    assert!(opens("Bearer s3cret"));
    assert!(opens("bearer s3cret"));
    assert!(opens("Basic YW55b25lOnMzY3JldA=="));
    assert!(!opens("Basic !!!"));
    assert!(!opens("Digest s3cret"));
    assert!(!opens("s3cret"));
    assert!(credential_of(&HeaderMap::new()).is_none());
}
