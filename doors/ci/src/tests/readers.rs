//! Who restored what, and who is told.

use std::time::Duration;

use http::StatusCode;
use larder_base::{Access, Clock};
use serde_json::{Value, json};

use super::sample::Sample;
use super::server::{Client, World};

/// What `show` tells of the readers: name and number of restores, the last one first.
async fn readers(client: Client<'_>, query: &str) -> Value {
    let (status, shown) = client.get(&format!("entry?key={query}")).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    let readers = shown.get("readers").and_then(Value::as_array).cloned().unwrap_or_default();
    readers.iter().map(|reader| json!([reader["reader"], reader["restores"]])).collect()
}

async fn listed(client: Client<'_>, query: &str) -> Value {
    let (status, answer) = client.get(&format!("entries?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["entries"].as_array().unwrap().iter().map(|entry| entry["key"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn only_restores_make_a_reader_and_a_purge_takes_them_away() {
    let world = World::with_tokens();
    let server = world.start();
    let (trusted, reader) = (server.with_token("trusted"), server.with_token("reader"));
    trusted.save("k", &Sample::of(&["one"])).await;
    reader.post("lookup", json!({ "key": "k", "purpose": "check" })).await;
    reader.post("explain", json!({ "key": "k" })).await;
    listed(reader, "prefix=k").await;
    reader.lookup("other", &[]).await;
    assert_eq!(readers(trusted, "k").await, json!([]));

    world.clock.advance(Duration::from_secs(1));
    reader.lookup("k", &[]).await;
    world.clock.advance(Duration::from_secs(1));
    trusted.lookup("k", &[]).await;
    reader.lookup("other", &["k"]).await;
    assert_eq!(readers(trusted, "k").await, json!([["reader", 2], ["trusted", 1]]));
    let (_, shown) = trusted.get("entry?key=k&scope=trusted").await;
    assert_eq!(shown["readers"][0]["last_ms"], world.clock.now().as_millis());
    // A lookup does not pay for what only a look needs.
    assert_eq!(trusted.lookup("k", &[]).await.get("readers"), None);

    trusted.delete("entry?key=k").await;
    trusted.save("k", &Sample::of(&["one"])).await;
    assert_eq!(readers(trusted, "k").await, json!([]));
}

#[tokio::test(start_paused = true)]
async fn who_comes_from_a_pull_request_is_told_no_readers_of_other_scopes() {
    let world = World::with_tokens();
    let server = world.start();
    let [trusted, pr, apart, admin] = ["trusted", "pr", "apart", "admin"].map(|token| server.with_token(token));
    trusted.save("base", &Sample::of(&["base"])).await;
    pr.save("mine", &Sample::of(&["mine"])).await;
    for (client, key) in [(trusted, "base"), (pr, "base"), (apart, "base"), (pr, "mine")] {
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(client.lookup(key, &[]).await["result"], "hit");
    }
    let all = json!([["apart", 1], ["pr", 1], ["trusted", 1]]);
    for client in [trusted, server.with_token("reader"), admin] {
        assert_eq!(readers(client, "base").await, all);
        assert_eq!(listed(client, "reader=pr&scope=trusted").await, json!(["base"]));
    }
    for client in [pr, apart, server.with_token("next")] {
        for query in ["base", "base&scope=trusted"] {
            assert_eq!(readers(client, query).await, json!([]));
        }
        for name in ["trusted", "pr", "apart"] {
            assert_eq!(listed(client, &format!("reader={name}&scope=trusted")).await, json!([]));
        }
    }
    // Of its own scope it is told, and an administrator of all.
    assert_eq!(readers(pr, "mine").await, json!([["pr", 1]]));
    assert_eq!(listed(pr, "reader=pr").await, json!(["mine"]));
    assert_eq!(readers(admin, "mine&scope=pr/7").await, json!([["pr", 1]]));
    assert_eq!(listed(admin, "reader=pr").await, json!(["mine", "base"]));
    assert_eq!(trusted.get("entry?key=mine&scope=pr/7").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_listing_by_reader_goes_through_pages_and_together_with_the_other_picks() {
    let world = World::with_tokens();
    let server = world.start();
    let (trusted, reader) = (server.with_token("trusted"), server.with_token("reader"));
    for key in ["a", "b", "c", "d", "e"] {
        trusted.save(key, &Sample::of(&[key])).await;
        world.clock.advance(Duration::from_secs(1));
    }
    for key in ["a", "c", "e"] {
        reader.lookup(key, &[]).await;
    }
    assert_eq!(listed(trusted, "reader=reader").await, json!(["e", "c", "a"]));
    assert_eq!(listed(trusted, "reader=reader&writer=nobody").await, json!([]));
    assert_eq!(listed(trusted, "reader=nobody").await, json!([]));
    assert_eq!(listed(trusted, "reader=").await, json!(["e", "d", "c", "b", "a"]));
    let (_, first) = trusted.get("entries?reader=reader&limit=2").await;
    assert_eq!(first["entries"].as_array().unwrap().len(), 2, "{first}");
    let after = first["next"].as_str().unwrap();
    assert_eq!(listed(trusted, &format!("reader=reader&after={after}")).await, json!(["a"]));
}

#[tokio::test(start_paused = true)]
async fn what_another_larder_restores_of_this_door_counts_and_what_other_doors_keep_does_not() {
    let world = World::with_tokens();
    let server = world.start();
    let trusted = server.with_token("trusted");
    trusted.save("k", &Sample::of(&["one"])).await;
    let ci = server.ci.cache();
    let token = larder_cache::Credential::new("reader");
    let node = ci.authorize(Some(&token), "acme").unwrap();
    let tier = ci.sibling(larder_base::DoorName::new("tier"));
    let at = |door: &larder_base::DoorName| larder_base::EntryAddress {
        namespace: "acme".parse().unwrap(),
        scope: larder_base::Scope::Trusted,
        door: door.clone(),
        key: "k".parse().unwrap(),
    };
    assert!(tier.entry_at(&node, &at(ci.name()), Access::Check).await.unwrap().is_some());
    assert_eq!(readers(trusted, "k").await, json!([]));
    assert!(tier.entry_at(&node, &at(ci.name()), Access::Serve).await.unwrap().is_some());
    assert_eq!(readers(trusted, "k").await, json!([["reader", 1]]));

    let writer = ci.authorize(Some(&larder_cache::Credential::new("trusted")), "acme").unwrap();
    let http = ci.sibling(larder_base::DoorName::new("http"));
    let key = "k".parse().unwrap();
    let value = larder_base::stream_of(bytes::Bytes::from_static(b"value"));
    http.put_value(&writer, &key, value, Default::default(), larder_base::PutIf::Always, 100).await.unwrap();
    let found = http.lookup(&writer, &key, Access::Serve).await.unwrap();
    let larder_cache::Lookup::Hit(found) = found else { panic!("it was put") };
    let told = http.readers(&writer, &[(&found.address, &found.entry)]).await.unwrap();
    assert_eq!(told, [vec![]]);
}
