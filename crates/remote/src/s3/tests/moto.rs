use std::sync::Arc;

use larder_base::{BoxFuture, Clock};
use larder_testkit::clients::client;
use larder_testkit::clients::moto::Moto;
use larder_testkit::clock::FakeClock;

use super::{bucket_with, config, keys, quick, suite};
use crate::s3::{CheckOutcome, CredentialChain, CredentialSource, ObjectBody, WebIdentity, check_bucket};

#[test]
fn moto_keeps_the_conformance_suite() {
    let Some(program) = client("moto") else { return };
    let moto = Moto::start(&program);
    let url = moto.url().to_owned();
    suite::check(move |number| -> BoxFuture<'static, _> {
        let url = url.clone();
        Box::pin(async move {
            let name = format!("case-{number}");
            make_bucket(&url, &name).await;
            // Its own clock is the system's, and it does not compare; signatures need some moment.
            let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
            let bucket = bucket_with(&config(&name, &url), CredentialSource::Static(keys()), &clock, quick());
            suite::Subject {
                bucket,
                lengths_are_signed: false,
                lists_in_order: true,
                uploads_by_prefix: true,
                keep: Box::new(()),
            }
        })
    });
}

#[test]
fn moto_is_good_but_for_the_signatures_that_it_does_not_check() {
    let Some(program) = client("moto") else { return };
    let moto = Moto::start(&program);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        make_bucket(moto.url(), "checked").await;
        let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
        let bucket = bucket_with(&config("checked", moto.url()), CredentialSource::Static(keys()), &clock, quick());
        let report = check_bucket(&bucket, 0x0a1b).await;
        let bad: Vec<_> = report.steps.iter().filter(|step| step.outcome != CheckOutcome::Ok).collect();
        assert_eq!(bad.iter().map(|step| step.name).collect::<Vec<_>>(), ["refuse a presigned put of another length"]);
        assert_eq!(bucket.list("", None).await.unwrap().objects, []);
        assert_eq!(bucket.list_uploads("", None).await.unwrap().uploads, []);
    });
}

#[test]
fn a_role_is_taken_on_at_motos_token_service_and_used() {
    let Some(program) = client("moto") else { return };
    let moto = Moto::start(&program);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        make_bucket(moto.url(), "by-role").await;
        let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
        let source = CredentialSource::WebIdentity(WebIdentity {
            endpoint: moto.url().to_owned(),
            role_arn: "arn:aws:iam::123456789012:role/larder".into(),
            session_name: "larder".into(),
            token: Arc::new(|| Ok("a.web.token".into())),
        });
        let chain = CredentialChain::new(vec![source.clone()], quick(), Arc::clone(&clock));
        let credentials = chain.current().await.unwrap();
        assert!(credentials.session_token.is_some() && credentials.expires.is_some(), "{credentials:?}");
        let bucket = bucket_with(&config("by-role", moto.url()), source, &clock, quick());
        bucket.put_object("a", &ObjectBody::bytes("x")).await.unwrap();
        assert_eq!(bucket.head("a").await.unwrap().unwrap().size, 1);
    });
}

async fn make_bucket(url: &str, name: &str) {
    let document = format!(
        "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        larder_testkit::s3::REGION
    );
    let call = crate::http::Call {
        method: http::Method::PUT,
        url: format!("{url}/{name}"),
        headers: http::HeaderMap::new(),
        body: document.into(),
        wait: std::time::Duration::ZERO,
        advice: None,
    };
    let answer = quick().exchange(&call, 1 << 20).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}
