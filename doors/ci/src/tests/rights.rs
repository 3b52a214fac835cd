//! Who may do what.

use http::StatusCode;
use serde_json::json;

use super::sample::Sample;
use super::server::{WAIT, World};

#[tokio::test(start_paused = true)]
async fn without_a_token_or_with_a_wrong_one_nothing_is_told() {
    let world = World::with_tokens();
    let server = world.start();
    let lookup = json!({ "key": "k" });
    let (status, answer) = server.as_anyone().post("lookup", lookup.clone()).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::UNAUTHORIZED, &json!("denied")));
    let (status, _) = server.with_token("wrong").post("lookup", lookup.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let mut elsewhere = server.with_token("trusted");
    elsewhere.namespace = "neighbour";
    assert_eq!(elsewhere.post("lookup", lookup.clone()).await.0, StatusCode::FORBIDDEN);
    elsewhere.namespace = "bad%20name";
    assert_eq!(elsewhere.post("lookup", lookup).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn who_may_only_read_cannot_begin() {
    let server = World::with_tokens().start();
    let (status, _) = server.with_token("reader").post("uploads", Sample::of(&["one"]).begin("k")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn what_a_pull_request_saves_is_its_own_and_changes_nothing_for_others() {
    let server = World::with_tokens().start();
    let (trusted, pr) = (server.with_token("trusted"), server.with_token("pr"));
    let (good, planted) = (Sample::of(&["good"]), Sample::of(&["planted"]));
    assert_eq!(pr.save("k", &planted).await["state"], "published");
    let miss = trusted.lookup("k", &[]).await;
    assert_eq!(miss["result"], "miss");
    assert_eq!(miss["reason"], "saved in a scope that may not be read here");
    assert_eq!(trusted.lookup("x", &["k"]).await["result"], "miss");
    assert_eq!(trusted.save("k", &good).await["state"], "published");
    assert_eq!(trusted.lookup("k", &[]).await["content"], good.summary.content.to_hex());
    // It reads its own first, then what is trusted.
    assert_eq!(pr.lookup("k", &[]).await["scope"], "pr/7");
    trusted.save("base", &good).await;
    assert_eq!(pr.lookup("base", &[]).await["scope"], "trusted");
}

#[tokio::test(start_paused = true)]
async fn what_a_pull_request_saves_reaches_neither_the_trusted_scope_nor_another_pull_request() {
    let server = World::with_tokens().start();
    let (trusted, pr, next) = (server.with_token("trusted"), server.with_token("pr"), server.with_token("next"));
    let (good, planted) = (Sample::of(&["good"]), Sample::of(&["planted"]));
    trusted.save("base", &good).await;
    for stranger in [pr, next] {
        assert_eq!(stranger.lookup("base", &[]).await["scope"], "trusted");
    }
    // Over what is trusted, beside it, and in its place: each lands in its own scope.
    let mut over = planted.begin("base");
    over["replace"] = json!(true);
    let upload = pr.begin(over).await;
    pr.send(&upload, 1, planted.part()).await;
    assert_eq!(pr.finish(&upload, planted.finish(&[1], WAIT)).await["state"], "published");
    pr.save("base-2", &planted).await;
    assert_eq!(pr.delete("entry?key=base&scope=trusted").await.0, StatusCode::FORBIDDEN);
    for stranger in [trusted, next] {
        assert_eq!(stranger.lookup("base", &["base"]).await["content"], good.summary.content.to_hex());
        assert_eq!(stranger.lookup("base-2", &[]).await["result"], "miss");
        assert_eq!(stranger.lookup("base-", &["base-"]).await["result"], "miss");
        assert_eq!(stranger.get("entry?key=base-2&scope=pr/7").await.0, StatusCode::NOT_FOUND);
        let (_, listed) = stranger.get("entries?prefix=base").await;
        assert_eq!(listed["entries"].as_array().unwrap().len(), 1, "{listed}");
    }
    assert_eq!(pr.lookup("base", &[]).await["scope"], "pr/7");
}

#[tokio::test(start_paused = true)]
async fn an_upload_of_somebody_else_does_not_exist() {
    let server = World::with_tokens().start();
    let sample = Sample::of(&["one"]);
    let upload = server.with_token("trusted").upload("k", &sample).await;
    for stranger in ["other", "pr", "next", "reader", "admin"] {
        let stranger = server.with_token(stranger);
        let path = format!("uploads/{upload}");
        let ask = json!({ "number": 1, "length": 100 });
        assert_eq!(stranger.get(&path).await.0, StatusCode::NOT_FOUND);
        assert_eq!(stranger.delete(&path).await.0, StatusCode::NOT_FOUND);
        assert_eq!(stranger.post(&format!("{path}/parts"), ask).await.0, StatusCode::NOT_FOUND);
        let (status, real) = stranger.post(&format!("{path}/finish"), sample.finish(&[1], 0)).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let never = format!("uploads/{}/finish", "0".repeat(32));
        assert_eq!(stranger.post(&never, sample.finish(&[1], 0)).await, (status, real));
    }
    let end = server.with_token("trusted").finish(&upload, sample.finish(&[1], WAIT)).await;
    assert_eq!(end["state"], "published");
}
