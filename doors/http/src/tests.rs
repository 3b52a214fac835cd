mod clients;
mod transcripts;

use http::StatusCode;
use larder_base::ErrorKind;
use larder_door::Section;

use crate::testing::{World, put};

#[test]
fn an_unknown_key_in_the_section_is_an_error_that_names_the_nearest() {
    let world = World::new();
    let section = Section::new("http", toml::from_str("max_valu = 5").unwrap());
    let error = (crate::DOOR.open)(section, world.cache.door(crate::DOOR.door_name())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("`max_valu` in [door.http]; did you mean `max_value`?"), "{error}");
}

#[tokio::test]
async fn a_key_of_one_protocol_is_not_a_value_of_another() {
    let world = World::new();
    let key = "fee3c00e7bb28c2c0c943a1e1bf010be4054e3b5";
    world.put(&format!("/http/ccache/demo/{key}"), "value").await;
    assert_eq!(world.get(&format!("/http/kv/demo/{key}")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.get(&format!("/http/ccache/other/{key}")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_body_that_is_too_long_to_drain_closes_the_connection() {
    let world = World::configured("max_value = '1 MiB'");
    let response = world.send(put("/http/kv/demo/key", vec![0; 65 << 20])).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.headers()["connection"], "close");
}
