use larder_base::ErrorKind;

use super::ServerClient;
use crate::testing::{Script, Step, impatient, ok};

async fn told(step: Step) -> larder_base::Error {
    let script = Script::run(vec![step]);
    let client = ServerClient::new(impatient(), script.url.parse().unwrap(), None).unwrap();
    let error = client.status().await.unwrap_err();
    script.seen();
    error
}

#[tokio::test]
async fn what_no_larder_server_says_is_not_repeated_and_the_address_is_doubted() {
    let page = "<?xml version=\"1.0\"?>\n<Error>\n<Code>AccessDenied</Code>\n</Error>";
    for (step, kind) in [
        (Step::Answer("403 Forbidden\r\ncontent-type: application/xml", page.into()), ErrorKind::Failed),
        (Step::Answer("404 Not Found", vec![]), ErrorKind::Failed),
        (Step::Answer("404 Not Found\r\ncontent-type: text/plain", b"404 page not found".to_vec()), ErrorKind::Failed),
        (ok(page), ErrorKind::Failed),
    ] {
        let error = told(step).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().lines().count() == 1 && !error.to_string().contains("AccessDenied"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("LARDER_URL")), "{error}");
    }
}

#[tokio::test]
async fn what_the_server_says_is_told_as_it_says_it() {
    let said = b"authorize: this page is for operators (use another token)\n".to_vec();
    let error = told(Step::Answer("403 Forbidden\r\ncontent-type: text/plain; charset=utf-8", said)).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().ends_with("authorize: this page is for operators (use another token)"), "{error}");
}
