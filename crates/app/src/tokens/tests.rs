use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use larder_base::{ErrorKind, Timestamp};
use larder_cache::{Credential, IssuedTokens, NamespacePattern, Rights};

use super::{FILE, TOKENS_MAX, TokenFile, TokenRequest};

const NOW: Timestamp = Timestamp::from_millis(1000);

fn open(data: &Path) -> TokenFile {
    TokenFile::open(data, &[], IssuedTokens::default()).unwrap()
}

fn request(name: &str, write: &str) -> TokenRequest {
    TokenRequest {
        name: Some(name.into()),
        namespaces: "acme".into(),
        read: Vec::new(),
        write: Some(write.into()),
        admin: false,
        expires_in_ms: None,
    }
}

fn everything() -> Vec<NamespacePattern> {
    vec!["*".parse().unwrap()]
}

fn is_good(file: &TokenFile, token: &str) -> bool {
    let current = file.issued.current();
    let grants = current.iter().map(|token| &token.grant);
    Rights::Tokens(Vec::new()).resolve(Some(&Credential::new(token)), &"acme".parse().unwrap(), grants).is_ok()
}

#[test]
fn a_token_outlives_the_process_and_its_secret_is_not_in_the_file() {
    let data = tempfile::tempdir().unwrap();
    assert!(!TokenFile::exists(data.path()));
    let new = open(data.path()).create(&request("fork", "pr/7"), [7; 40], NOW).unwrap();
    assert_eq!(new.token, format!("larder_{}", "07".repeat(32)));
    assert_eq!((&new.line.read[..], new.line.write.as_deref()), (&["pr/7".into(), "trusted".into()][..], Some("pr/7")));
    let path = data.path().join(FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&path).unwrap().contains(&"07".repeat(32)));

    let file = open(data.path());
    assert!(is_good(&file, &new.token) && !is_good(&file, "larder_other"));
    assert_eq!(file.list(&everything()), std::slice::from_ref(&new.line));
    assert_eq!(file.revoke(&new.line.id, &everything()).unwrap(), Some(new.line.clone()));
    assert!(!is_good(&file, &new.token) && !is_good(&open(data.path()), &new.token));
    assert_eq!(file.revoke(&new.line.id, &everything()).unwrap(), None);
    // Rights were limited once; they are not open again because nobody is left.
    assert!(TokenFile::exists(data.path()));
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let file = open(data.path());
    let good = request("ci", "trusted");
    for (wrong, said) in [
        (TokenRequest { namespaces: "a/b".into(), ..good.clone() }, "namespace"),
        (TokenRequest { write: Some("branch".into()), ..good.clone() }, "scope"),
        (TokenRequest { name: Some(String::new()), ..good.clone() }, "name"),
        (TokenRequest { name: Some("x".repeat(101)), ..good.clone() }, "name"),
        (TokenRequest { read: vec!["pr/7".into()], ..good.clone() }, "carries"),
    ] {
        let error = file.create(&wrong, [1; 40], NOW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(!TokenFile::exists(data.path()));
    file.create(&good, [1; 40], NOW).unwrap();
    assert!(file.create(&good, [2; 40], NOW).unwrap_err().message().contains("taken"));
}

#[test]
fn an_administrator_sees_and_takes_back_only_what_is_within_its_namespaces() {
    let data = tempfile::tempdir().unwrap();
    let file = open(data.path());
    let own = file.create(&TokenRequest { namespaces: "acme~x".into(), ..request("own", "trusted") }, [1; 40], NOW);
    let wide = file.create(&TokenRequest { namespaces: "*".into(), ..request("wide", "trusted") }, [2; 40], NOW);
    let (own, wide) = (own.unwrap().line, wide.unwrap().line);
    let administered = vec!["acme~*".parse().unwrap()];
    assert_eq!(file.list(&administered), std::slice::from_ref(&own));
    assert_eq!(file.revoke(&wide.id, &administered).unwrap(), None);
    assert_eq!(file.revoke(&own.id, &administered).unwrap(), Some(own));
    assert_eq!(file.list(&everything()), [wide]);
}

#[test]
fn there_are_not_more_than_can_be_compared_and_those_past_their_time_make_room() {
    let data = tempfile::tempdir().unwrap();
    let file = open(data.path());
    let number = |number: usize| {
        let mut random = [0; 40];
        random[..8].copy_from_slice(&number.to_le_bytes());
        random
    };
    let short = TokenRequest { expires_in_ms: Some(5), ..request("short", "pr/1") };
    file.create(&short, number(0), NOW).unwrap();
    let good = file.list(&everything()).remove(0);
    assert_eq!(good.expires_ms, Some(1005));
    let mut tokens = file.issued.current().to_vec();
    tokens.resize(TOKENS_MAX, tokens[0].clone());
    file.issued.replace(tokens);
    let next = request("next", "pr/1");
    assert_eq!(file.create(&next, number(1), Timestamp::from_millis(1005)).unwrap_err().kind(), ErrorKind::TooLarge);
    file.create(&next, number(1), Timestamp::from_millis(1006)).unwrap();
    assert_eq!(file.list(&everything()).len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_gives_nobody_rights() {
    let data = tempfile::tempdir().unwrap();
    for text in ["", "{}", r#"{"version":2,"tokens":[]}"#] {
        fs::write(data.path().join(FILE), text).unwrap();
        let error = TokenFile::open(data.path(), &[], IssuedTokens::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
    }
}
