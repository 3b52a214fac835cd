use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder_base::{Clock as _, ErrorKind, Timestamp};
use larder_testkit::clock::FakeClock;

use super::{CredentialChain, CredentialSource, Credentials, Profile, WebIdentity, moment};
use crate::testing::{Script, Step, impatient, ok};

fn chain(sources: Vec<CredentialSource>) -> CredentialChain {
    CredentialChain::new(sources, impatient(), Arc::new(FakeClock::default()))
}

fn variables(pairs: &[(&str, &str)]) -> CredentialSource {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    CredentialSource::Environment(pairs.collect::<BTreeMap<_, _>>())
}

fn profile(name: &str, required: bool) -> CredentialSource {
    CredentialSource::Profile(Profile {
        name: name.to_owned(),
        required,
        credentials: "# mine\n[default]\naws_access_key_id = DEFAULT\naws_secret_access_key=one=two\n\n[half]\n\
                      aws_access_key_id = HALF\n"
            .to_owned(),
        config: "[profile  ci]\nregion = eu-west-1 # near\naws_access_key_id = CI\naws_secret_access_key = s\n\
                 aws_session_token = t\ns3 =\n  aws_access_key_id = NESTED\n[ci]\naws_access_key_id = WRONG\n"
            .to_owned(),
    })
}

fn role_answers(secret: &str, expires: Timestamp) -> Vec<Step> {
    let expires = jiff::Timestamp::from_millisecond(expires.as_millis() as i64).unwrap();
    let document = format!(
        r#"{{"Code":"Success","AccessKeyId":"ASIA","SecretAccessKey":"{secret}","Token":"t","Expiration":"{expires}"}}"#
    );
    vec![ok("session"), ok("the-role\n"), ok(document)]
}

#[tokio::test]
async fn the_first_place_that_has_credentials_gives_them() {
    let environment = variables(&[("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let last = CredentialSource::Static(Credentials::lasting("STATIC", "s"));
    for (sources, expected) in [
        (vec![environment.clone(), profile("default", false), last.clone()], "ENV"),
        (vec![variables(&[]), profile("default", false), last.clone()], "DEFAULT"),
        (vec![variables(&[("AWS_ACCESS_KEY_ID", "")]), profile("absent", false), last.clone()], "STATIC"),
    ] {
        assert_eq!(chain(sources).current().await.unwrap().access_key_id, expected);
    }
}

#[tokio::test]
async fn a_place_that_is_half_set_up_is_an_error_and_not_passed_over() {
    let last = CredentialSource::Static(Credentials::lasting("STATIC", "s"));
    for broken in [
        variables(&[("AWS_ACCESS_KEY_ID", "ENV")]),
        variables(&[("AWS_SECRET_ACCESS_KEY", "s")]),
        profile("half", false),
        profile("absent", true),
    ] {
        let error = chain(vec![broken, last.clone()]).current().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn a_profile_is_read_from_both_files_as_amazons_tools_do() {
    let found = chain(vec![profile("ci", true)]).current().await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.session_token.as_deref()), ("CI", Some("t")));
    let found = chain(vec![profile("default", true)]).current().await.unwrap();
    assert_eq!(found.secret_access_key, "one=two");
    let CredentialSource::Profile(ci) = profile("ci", true) else { unreachable!() };
    assert_eq!(ci.region().as_deref(), Some("eu-west-1"));
}

#[tokio::test]
async fn without_any_the_error_names_every_place_that_was_looked_at() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let sources = vec![variables(&[]), profile("absent", false), CredentialSource::Instance(nobody)];
    let error = chain(sources).current().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    for place in ["AWS_ACCESS_KEY_ID", "absent", "metadata"] {
        assert!(error.message().contains(place), "{error}");
    }
}

#[tokio::test]
async fn a_machines_role_is_asked_once_and_again_before_its_credentials_end() {
    let clock = FakeClock::default();
    let ends = clock.now().plus(Duration::from_secs(3600));
    let mut steps = role_answers("first", ends);
    steps.extend(role_answers("second", ends.plus(Duration::from_secs(3600))));
    let script = Script::run(steps);
    let sources = vec![CredentialSource::Instance(script.url.clone())];
    let chain = CredentialChain::new(sources, impatient(), Arc::new(clock.clone()));
    let (first, same) = tokio::join!(chain.current(), chain.current());
    assert_eq!(first.unwrap().secret_access_key, "first");
    assert_eq!(same.unwrap().expires, Some(ends));
    clock.advance(Duration::from_secs(3600 - 301));
    assert_eq!(chain.current().await.unwrap().secret_access_key, "first");
    clock.advance(Duration::from_secs(2));
    assert_eq!(chain.current().await.unwrap().secret_access_key, "second");
    let seen = script.seen();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[0].line, "PUT /latest/api/token");
    assert!(seen[0].has_header("x-aws-ec2-metadata-token-ttl-seconds"));
    assert_eq!(seen[2].line, "GET /latest/meta-data/iam/security-credentials/the-role");
    assert!(seen[1..3].iter().all(|request| request.has_header("x-aws-ec2-metadata-token")));
}

#[tokio::test]
async fn credentials_that_cannot_be_renewed_serve_until_their_end() {
    let clock = FakeClock::default();
    let script = Script::run(role_answers("only", clock.now().plus(Duration::from_secs(600))));
    let sources = vec![CredentialSource::Instance(script.url.clone())];
    let chain = CredentialChain::new(sources, impatient(), Arc::new(clock.clone()));
    chain.current().await.unwrap();
    script.seen();
    clock.advance(Duration::from_secs(590));
    assert_eq!(chain.current().await.unwrap().secret_access_key, "only");
    clock.advance(Duration::from_secs(11));
    assert_eq!(chain.current().await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_role_is_taken_on_with_the_platforms_token_which_is_in_no_address() {
    let answer = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
        <SessionToken>t</SessionToken><Expiration>2026-11-21T10:00:00Z</Expiration></Credentials>
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"#;
    let refusal =
        "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>No</Message></Error></ErrorResponse>";
    let script = Script::run(vec![ok(answer), Step::Answer("400 Bad Request", refusal.into())]);
    let identity = WebIdentity {
        endpoint: script.url.clone(),
        role_arn: "arn:aws:iam::1:role/ci".into(),
        session_name: "larder".into(),
        token: Arc::new(|| Ok("to.ken\n".into())),
    };
    let found = identity.assume(&impatient()).await.unwrap();
    assert_eq!(found.expires, Some(moment("2026-11-21T10:00:00.000Z").unwrap()));
    let error = identity.assume(&impatient()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("InvalidIdentityToken"), "{error}");
    let seen = script.seen();
    assert_eq!(seen[0].line, "POST /");
    assert!(String::from_utf8_lossy(&seen[0].body).ends_with("WebIdentityToken=to.ken"));
}

#[test]
fn secrets_are_in_no_debug_text() {
    let credentials = Credentials { session_token: Some("TOKEN".into()), ..Credentials::lasting("ID", "SECRET") };
    let shown = format!("{credentials:?} {:?}", chain(vec![CredentialSource::Static(credentials.clone())]));
    assert!(shown.contains("ID") && !shown.contains("SECRET") && !shown.contains("TOKEN"), "{shown}");
}
