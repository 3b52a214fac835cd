//! List, show, purge, explain.

use std::time::Duration;

use http::StatusCode;
use larder_base::DoorName;
use larder_cache::Outcome;
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{Server, World};

fn keys(answer: &Value) -> Vec<&str> {
    answer["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect()
}

async fn filled(world: &World) -> Server {
    let server = world.start();
    for (token, key) in [
        ("trusted", "linux/a%20b"),
        ("trusted", "linux/rust-1"),
        ("trusted", "linux/rust-2"),
        ("trusted", "mac"),
        ("pr", "linux/rust-2"),
        ("pr", "linux/rust-3"),
    ] {
        world.clock.advance(Duration::from_secs(1));
        server.with_token(token).save(key, &Sample::of(&[key])).await;
    }
    server
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_newest_first_in_pages_and_of_what_the_caller_may_see() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let trusted = server.with_token("trusted");
    let (_, answer) = trusted.get("entries").await;
    assert_eq!(keys(&answer), ["mac", "linux/rust-2", "linux/rust-1", "linux/a%20b"]);
    let (_, answer) = server.with_token("pr").get("entries?prefix=linux/rust").await;
    assert_eq!(keys(&answer), ["linux/rust-3", "linux/rust-2", "linux/rust-2", "linux/rust-1"]);
    let (_, answer) = server.with_token("admin").get("entries?scope=pr/7").await;
    assert_eq!(keys(&answer), ["linux/rust-3", "linux/rust-2"]);
    let (_, answer) = trusted.get("entries?scope=pr/7").await;
    assert!(keys(&answer).is_empty());

    let (_, first) = trusted.get("entries?limit=3&scope=trusted").await;
    assert_eq!(keys(&first).len(), 3);
    let (_, second) =
        trusted.get(&format!("entries?limit=3&scope=trusted&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!((keys(&second), &second["next"]), (vec!["linux/a%20b"], &Value::Null));
    for wrong in ["entries?limit=0", "entries?limit=1001", "entries?after=x", "entries?scope=x", "entries?limit=x"] {
        assert_eq!(trusted.get(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_written_and_not_read_is_listed_and_purged_by_prefix() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let apart = server.with_token("apart");
    assert_eq!(keys(&apart.get("entries?scope=pr/7").await.1), ["linux/rust-3", "linux/rust-2"]);
    assert_eq!(keys(&apart.get("entries?prefix=linux/rust-3").await.1), ["linux/rust-3"]);
    assert_eq!(keys(&apart.delete("entries?prefix=linux").await.1), ["linux/rust-3", "linux/rust-2"]);
    assert!(keys(&server.with_token("pr").get("entries?scope=pr/7").await.1).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_a_scope_that_may_not_be_seen_does_not_tell_that_there_is_more() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let (_, seen) = server.with_token("pr").get("entries?scope=pr/7&limit=1").await;
    assert!(seen["next"].is_string());
    let (status, unseen) = server.with_token("trusted").get("entries?scope=pr/7&limit=1").await;
    assert_eq!((status, &unseen["next"]), (StatusCode::OK, &Value::Null));
    assert!(keys(&unseen).is_empty());
}

#[tokio::test(start_paused = true)]
async fn showing_an_entry_is_not_using_it_and_restoring_is() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let trusted = server.with_token("trusted");
    let (status, shown) = trusted.get("entry?key=linux/a%2520b").await;
    assert_eq!((status, &shown["key"], &shown["writer"]), (StatusCode::OK, &json!("linux/a%20b"), &json!("trusted")));
    assert_eq!(shown["created_ms"], shown["restored_ms"]);
    assert_eq!(trusted.post("lookup", json!({ "key": "linux/a%20b", "purpose": "check" })).await.1["result"], "hit");
    assert_eq!(trusted.get("entry?key=linux/a%2520b").await.1, shown);
    trusted.lookup("linux/a%20b", &[]).await;
    assert_ne!(trusted.get("entry?key=linux/a%2520b").await.1["restored_ms"], shown["restored_ms"]);

    assert_eq!(trusted.get("entry?key=nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(trusted.get("entry?key=linux/rust-3&scope=pr/7").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.with_token("admin").get("entry?key=linux/rust-3&scope=pr/7").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_with_fallbacks_counts_once() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let trusted = server.with_token("trusted");
    trusted.lookup("nothing", &["none", "mac"]).await;
    trusted.lookup("nothing", &["none", "never"]).await;
    let count = |outcome| server.ci.cache().counters().lookups(&DoorName::new("ci"), &"acme".parse().unwrap(), outcome);
    assert_eq!((count(Outcome::Hit), count(Outcome::Miss)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_purge_removes_one_or_all_of_a_prefix_and_first_says_what_it_would() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let (trusted, pr, admin) = (server.with_token("trusted"), server.with_token("pr"), server.with_token("admin"));
    let (_, dry) = trusted.delete("entry?key=mac&dry_run=true").await;
    assert_eq!((keys(&dry), &dry["dry_run"]), (vec!["mac"], &json!(true)));
    assert_eq!(trusted.lookup("mac", &[]).await["result"], "hit");
    assert_eq!(keys(&trusted.delete("entry?key=mac").await.1), ["mac"]);
    assert!(keys(&trusted.delete("entry?key=mac").await.1).is_empty());
    assert_eq!(trusted.lookup("mac", &[]).await["result"], "miss");

    // Only its own scope, whatever it reads.
    let (_, dry) = pr.delete("entries?prefix=linux&dry_run=true").await;
    assert_eq!(keys(&dry), ["linux/rust-3", "linux/rust-2"]);
    assert_eq!(pr.delete("entries?prefix=linux&scope=trusted").await.0, StatusCode::FORBIDDEN);
    assert_eq!(pr.delete("entry?key=linux/rust-1&scope=trusted").await.0, StatusCode::FORBIDDEN);
    assert_eq!(server.with_token("reader").delete("entries?prefix=").await.0, StatusCode::FORBIDDEN);
    assert_eq!(trusted.delete("entries").await.0, StatusCode::BAD_REQUEST);

    assert_eq!(keys(&admin.delete("entry?key=linux/rust-3&scope=pr/7").await.1), ["linux/rust-3"]);
    assert_eq!(keys(&admin.delete("entries?prefix=linux/rust").await.1).len(), 3);
    assert_eq!(keys(&admin.get("entries").await.1), ["linux/a%20b"]);
}

#[tokio::test(start_paused = true)]
async fn an_administrator_purges_a_key_from_every_scope_though_it_may_write_none() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let operator = server.with_token("operator");
    let scopes = |answer: &Value| -> Vec<String> {
        answer["entries"].as_array().unwrap().iter().map(|entry| entry["scope"].to_string()).collect()
    };
    let (status, dry) = operator.delete("entry?key=linux/rust-2&dry_run=true").await;
    assert_eq!((status, scopes(&dry)), (StatusCode::OK, vec!["\"pr/7\"".to_owned(), "\"trusted\"".to_owned()]));
    assert_eq!(scopes(&operator.delete("entry?key=linux/rust-2").await.1), scopes(&dry));
    let left = operator.get("entries").await.1;
    assert_eq!(keys(&left), ["linux/rust-3", "mac", "linux/rust-1", "linux/a%20b"], "and no other key");
    assert_eq!(keys(&operator.delete("entry?key=linux/rust").await.1), [""; 0], "a key is not a prefix");
    assert_eq!(keys(&operator.delete("entry?key=mac").await.1), ["mac"]);
    // Who is no administrator and may not write is refused as before.
    assert_eq!(server.with_token("reader").delete("entry?key=linux/rust-1").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn explain_tells_where_a_save_would_go() {
    let server = World::with_tokens().start();
    let explain = async |token: &str| server.with_token(token).post("explain", json!({ "key": "k" })).await.1;
    assert_eq!(explain("pr").await["writes"], "pr/7");
    assert_eq!(explain("reader").await["writes"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn explain_tells_each_step_and_what_is_near_and_why_it_was_not_taken() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let explain = async |token: &str, key: &str, fallbacks: &[&str]| {
        let body = json!({ "key": key, "fallbacks": fallbacks });
        let (status, answer) = server.with_token(token).post("explain", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    };
    let answer = explain("trusted", "linux/rust-9", &["windows", "linux/a"]).await;
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    assert_eq!((&steps[0]["how"], &steps[0]["miss"]["reason"]), (&json!("exact"), &json!("never saved, or evicted")));
    assert_eq!((&steps[1]["tried"], &steps[1]["how"]), (&json!("windows"), &json!("prefix")));
    assert_eq!(steps[2]["found"]["key"], "linux/a%20b");
    assert_eq!(answer["scopes"], json!(["trusted"]));
    let near: Vec<_> = answer["near"].as_array().unwrap().iter().map(|near| &near["entry"]["key"]).collect();
    assert_eq!(near, ["linux/rust-2", "linux/rust-1"]);
    assert_eq!(answer["near"][0]["common"], "linux/rust-");
    assert_eq!(answer["near"][0]["why"], "its key has \"2\" where \"9\" was asked for");

    let answer = explain("admin", "linux/rust-3", &[]).await;
    assert_eq!(answer["near"][0]["why"], "scope pr/7 is not looked through");
    let answer = explain("trusted", "linux/rust-3", &[]).await;
    assert_eq!(answer["steps"][0]["miss"]["reason"], "saved in a scope that may not be read here");
    assert!(!answer.to_string().contains("pr/7"), "{answer}");
    assert_eq!(explain("trusted", "zzz", &[]).await["near"], json!([]));
    assert_eq!(explain("trusted", "mac", &[]).await["near"], json!([]));
    assert_eq!(explain("trusted", "macos", &[]).await["near"][0]["why"], "its key lacks \"os\" at the end");
    // Explaining is not looking up.
    let hits = server.ci.cache().counters().lookups(&DoorName::new("ci"), &"acme".parse().unwrap(), Outcome::Hit);
    assert_eq!(hits, 0);
}

#[tokio::test(start_paused = true)]
async fn entries_are_picked_by_their_writer_and_by_how_long_ago_they_were_restored() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let admin = server.with_token("admin");
    assert_eq!(keys(&admin.get("entries?writer=pr").await.1), ["linux/rust-3", "linux/rust-2"]);
    assert_eq!(keys(&admin.get("entries?writer=trusted&prefix=linux/rust").await.1), ["linux/rust-2", "linux/rust-1"]);
    assert!(keys(&admin.get("entries?writer=nobody").await.1).is_empty());
    assert_eq!(keys(&server.with_token("trusted").get("entries?writer=pr").await.1), [""; 0], "another scope's");

    // A restore makes an entry young again; a look at it does not, and one never restored counts from its save.
    world.clock.advance(Duration::from_secs(3600));
    server.with_token("trusted").lookup("linux/rust-1", &[]).await;
    let check = json!({ "key": "mac", "purpose": "check" });
    assert_eq!(server.with_token("trusted").post("lookup", check).await.0, StatusCode::OK);
    admin.get("entry?key=mac").await;
    world.clock.advance(Duration::from_secs(3600));
    let hours = |hours: u64| format!("entries?scope=trusted&older_than_ms={}", hours * 3_600_000);
    assert_eq!(keys(&admin.get(&hours(2)).await.1), ["mac", "linux/rust-2", "linux/a%20b"]);
    assert_eq!(keys(&admin.get(&hours(1)).await.1).len(), 4);
    assert!(keys(&admin.get(&hours(3)).await.1).is_empty());
    assert_eq!(admin.get("entries?older_than_ms=x").await.0, StatusCode::BAD_REQUEST);

    // Few to a page, of which most are not picked: each is given once.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (_, page) = admin.get(&format!("entries?writer=pr&limit=1{after}")).await;
        seen.extend(keys(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ["linux/rust-3", "linux/rust-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_purge_may_be_of_a_writer_an_age_or_a_whole_scope() {
    let world = World::with_tokens();
    let server = filled(&world).await;
    let admin = server.with_token("admin");
    let old = format!("older_than_ms={}", 3_600_000);
    assert!(keys(&admin.delete(&format!("entries?prefix=&{old}")).await.1).is_empty());
    world.clock.advance(Duration::from_secs(3600));
    server.with_token("trusted").lookup("mac", &[]).await;
    let (_, dry) = admin.delete(&format!("entries?prefix=&scope=trusted&{old}&dry_run=true")).await;
    assert_eq!(keys(&dry), ["linux/rust-2", "linux/rust-1", "linux/a%20b"]);
    assert_eq!(keys(&admin.get("entries").await.1).len(), 6);
    assert_eq!(keys(&admin.delete("entries?prefix=linux/rust-3&writer=trusted").await.1), [""; 0]);
    assert_eq!(keys(&admin.delete("entries?prefix=linux/rust-3&writer=pr").await.1), ["linux/rust-3"]);
    assert_eq!(keys(&admin.delete("entries?prefix=&scope=pr/7").await.1), ["linux/rust-2"]);
    assert_eq!(keys(&admin.delete(&format!("entries?prefix=&{old}")).await.1).len(), 3);
    assert_eq!(keys(&admin.get("entries").await.1), ["mac"]);
}
