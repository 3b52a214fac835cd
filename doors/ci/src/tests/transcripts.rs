//! What goes over the wire, word for word.

use http::Method;
use larder_door::golden::Transcript;
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{WAIT, World};

#[tokio::test(start_paused = true)]
async fn a_save_and_a_restore() {
    let server = World::new().start();
    let client = server.as_anyone();
    let mut transcript = Transcript::new();
    let sample = Sample::of(&["one", "two"]);
    let chunk = larder_base::HashFunction::TREE.hash(b"one");

    let mut ask = async |method, path: &str, body: Vec<u8>| {
        let mut request = client.request(method, path, body.clone());
        request.headers_mut().insert(http::header::CONTENT_LENGTH, body.len().into());
        let answer = transcript.exchange(&server.router, request).await;
        serde_json::from_slice::<Value>(answer.body()).unwrap_or(Value::Null)
    };
    let bytes = |value: Value| value.to_string().into_bytes();
    ask(Method::POST, "lookup", bytes(json!({ "key": "linux-1", "fallbacks": ["linux-"] }))).await;
    ask(Method::POST, "missing", chunk.as_bytes().to_vec()).await;
    let begun = ask(Method::POST, "uploads", bytes(sample.begin("linux-1"))).await;
    let upload = begun["upload"].as_str().unwrap();
    let part = json!({ "number": 1, "length": sample.part().len() });
    let place = ask(Method::POST, &format!("uploads/{upload}/parts"), bytes(part)).await;
    ask(Method::PUT, place["url"].as_str().unwrap(), sample.part().to_vec()).await;
    let parts = json!({ "parts": [{ "number": 3, "length": 60 }, { "number": 2, "length": 50 }] });
    ask(Method::POST, &format!("uploads/{upload}/parts/batch"), bytes(parts)).await;
    ask(Method::POST, &format!("uploads/{upload}/finish"), bytes(sample.finish(&[1], WAIT))).await;
    ask(Method::GET, &format!("uploads/{upload}"), vec![]).await;
    ask(Method::POST, "lookup", bytes(json!({ "key": "linux-2", "fallbacks": ["linux-"] }))).await;
    let located = ask(Method::POST, "locate", chunk.as_bytes().to_vec()).await;
    ask(Method::GET, located["runs"][0]["url"].as_str().unwrap(), vec![]).await;
    ask(Method::GET, "entries?prefix=linux", vec![]).await;
    ask(Method::GET, "entries?writer=nobody&older_than_ms=1000", vec![]).await;
    ask(Method::GET, "usage", vec![]).await;
    ask(Method::POST, "explain", bytes(json!({ "key": "linux-2" }))).await;
    ask(Method::DELETE, "entry?key=linux-1", vec![]).await;
    insta::assert_snapshot!(transcript.as_str());
}

#[tokio::test(start_paused = true)]
async fn refusals() {
    let mut world = World::with_tokens();
    world.settings.open_uploads = 1;
    let server = world.start();
    let mut transcript = Transcript::new();
    server.with_token("other").begin(Sample::of(&["one"]).begin("k")).await;
    let anyone = server.as_anyone();
    let trusted = server.with_token("trusted");
    let reader = server.with_token("reader");
    for request in [
        anyone.request(Method::POST, "lookup", r#"{"key":"k"}"#),
        reader.request(Method::POST, "uploads", r#"{"key":"k","bytes":1,"files":1}"#),
        trusted.request(Method::POST, "uploads", r#"{"key":"k","bytes":99999999999999,"files":1}"#),
        server.with_token("other").request(Method::POST, "uploads", r#"{"key":"k2","bytes":1,"files":1}"#),
        trusted.request(Method::POST, "lookup", r#"{"key":5}"#),
        trusted.request(Method::GET, "uploads/00000000000000000000000000000000", ""),
        trusted.request(Method::GET, "entry?key=k", ""),
        trusted.request(Method::GET, "runs/0/0/1?expires=1&signature=00", ""),
        trusted.request(Method::GET, "nonsense", ""),
    ] {
        transcript.exchange(&server.router, request).await;
    }
    insta::assert_snapshot!(transcript.as_str());
}
