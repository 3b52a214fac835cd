use larder_base::{ErrorKind, Namespace, Scope};

use super::{Credential, Grant, JobGrant, Rights, TokenHash};

fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

fn grant(principal: &str, token: &str, namespaces: &str, write: Option<Scope>) -> Grant {
    Grant {
        principal: principal.into(),
        token: TokenHash::of(token),
        namespaces: namespaces.parse().unwrap(),
        read: vec![Scope::Pr(7), Scope::Trusted],
        write,
        admin: false,
    }
}

#[test]
fn an_open_server_trusts_everyone() {
    let caller = Rights::Open.resolve(None, &namespace("acme"), []).unwrap();
    assert_eq!(caller.write_scope().unwrap(), &Scope::Trusted);
    assert!(caller.is_admin());
}

#[test]
fn a_token_is_good_in_its_namespaces_only() {
    let rights = Rights::Tokens(vec![grant("ci", "s3cret", "acme~*", Some(Scope::Pr(7)))]);
    let token = Credential::new("s3cret");
    let caller = rights.resolve(Some(&token), &namespace("acme~widget"), []).unwrap();
    assert_eq!(caller.read_scopes(), [Scope::Pr(7), Scope::Trusted]);
    assert_eq!(caller.write_scope().unwrap(), &Scope::Pr(7));
    for (credential, name) in [
        (Some(&token), "acme"),
        (Some(&token), "other"),
        (Some(&Credential::new("guess")), "acme~widget"),
        (Some(&Credential::new("")), "acme~widget"),
        (None, "acme~widget"),
    ] {
        let error = rights.resolve(credential, &namespace(name), []).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{credential:?} in {name}");
    }
}

#[test]
fn one_token_may_have_other_rights_in_another_namespace() {
    let rights =
        Rights::Tokens(vec![grant("reader", "t", "public", None), grant("writer", "t", "own", Some(Scope::Trusted))]);
    let token = Credential::new("t");
    let reader = rights.resolve(Some(&token), &namespace("public"), []).unwrap();
    assert_eq!(reader.write_scope().unwrap_err().kind(), ErrorKind::Denied);
    assert!(rights.resolve(Some(&token), &namespace("own"), []).unwrap().write_scope().is_ok());
}

#[test]
fn a_credential_does_not_show_its_secret() {
    assert_eq!(format!("{:?}", Credential::new("s3cret")), "Credential(..)");
}

#[test]
fn an_operator_is_an_administrator_of_every_namespace() {
    let admin = |token, namespaces| Grant { admin: true, ..grant("admin", token, namespaces, None) };
    let rights = Rights::Tokens(vec![admin("all", "*"), admin("some", "acme~*"), grant("ci", "plain", "*", None)]);
    let allowed = |token| rights.check_operator(Some(&Credential::new(token)), []).is_ok();
    assert!(allowed("all"));
    assert!(!allowed("some") && !allowed("plain") && !allowed("guess"));
    assert!(rights.check_operator(None, []).is_err());
    assert!(Rights::Open.check_operator(None, []).is_ok());
}

#[test]
fn no_job_on_a_node_without_credentials_is_an_operator() {
    let jobs = JobGrant { namespaces: "*".parse().unwrap(), read: vec![Scope::Trusted], write: Some(Scope::Trusted) };
    let rights = Rights::Limited(jobs);
    for credential in [None, Some(Credential::new("guess"))] {
        let denied = rights.check_operator(credential.as_ref(), []).unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::Denied);
        assert!(denied.hint().unwrap().contains("[[credentials]]"), "{denied:?}");
        assert!(rights.administered(credential.as_ref(), []).is_empty());
    }
    assert!(rights.shows_numbers());
    assert!(!Rights::Tokens(vec![]).shows_numbers());
}

#[test]
fn a_caller_may_see_what_it_reads_and_what_it_writes_and_an_administrator_all() {
    let mut writer = grant("ci", "t", "acme", Some(Scope::Pr(9)));
    let resolve = |grant: &Grant| {
        Rights::Tokens(vec![grant.clone()]).resolve(Some(&Credential::new("t")), &namespace("acme"), []).unwrap()
    };
    let seen = |grant: &Grant| {
        [Scope::Trusted, Scope::Pr(7), Scope::Pr(9), Scope::Pr(1)].map(|scope| resolve(grant).may_see(&scope))
    };
    assert_eq!(seen(&writer), [true, true, true, false]);
    writer.write = None;
    assert_eq!(seen(&writer), [true, true, false, false]);
    writer.admin = true;
    assert_eq!(seen(&writer), [true; 4]);
}

#[test]
fn an_issued_grant_counts_beside_the_configured_ones_and_not_on_an_open_server() {
    let issued = [grant("late", "new", "acme", Some(Scope::Pr(7)))];
    let rights = Rights::Tokens(vec![grant("ci", "old", "acme", None)]);
    let principal = |rights: &Rights, token| {
        let caller = rights.resolve(Some(&Credential::new(token)), &namespace("acme"), &issued);
        caller.map(|caller| caller.principal().to_string()).ok()
    };
    assert_eq!(principal(&rights, "new").as_deref(), Some("late"));
    assert_eq!(principal(&rights, "old").as_deref(), Some("ci"));
    assert_eq!(principal(&rights, "none"), None);
    assert_eq!(principal(&Rights::Open, "new").as_deref(), Some("anyone"));
}

#[test]
fn a_pattern_covers_what_is_within_it() {
    let covers = |one: &str, other: &str| {
        one.parse::<super::NamespacePattern>().unwrap().covers(&other.parse::<super::NamespacePattern>().unwrap())
    };
    assert!(covers("*", "acme") && covers("*", "*") && covers("acme~*", "acme~x") && covers("acme~*", "acme~x*"));
    assert!(covers("acme", "acme"));
    assert!(!covers("acme", "acme*") && !covers("acme~*", "acme") && !covers("acme~*", "*") && !covers("a", "b"));
}

#[test]
fn no_grant_carries_a_pull_request_into_another_scope() {
    let check = |read: &[Scope], write| Grant { read: read.to_vec(), ..grant("x", "t", "*", write) }.check().is_ok();
    assert!(check(&[Scope::Pr(7), Scope::Trusted], Some(Scope::Pr(7))));
    assert!(check(&[Scope::Pr(7), Scope::Pr(8)], None));
    assert!(check(&[Scope::Trusted], Some(Scope::Ref("main".into()))));
    assert!(!check(&[Scope::Pr(7), Scope::Trusted], Some(Scope::Trusted)));
    assert!(!check(&[Scope::Trusted, Scope::Pr(7)], Some(Scope::Pr(8))));
}
