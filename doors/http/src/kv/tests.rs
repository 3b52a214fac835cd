use http::StatusCode;
use larder_base::ErrorKind;
use larder_door::golden::Transcript;
use larder_testkit::faulty::{Fault, Verb};

use crate::testing::{World, delete, get, head, put, with};

const PATH: &str = "/http/kv/demo/some/key";

#[tokio::test]
async fn the_life_of_a_value() {
    let world = World::new();
    let mut transcript = Transcript::new();
    for request in [
        get(PATH),
        with(put(PATH, "<p>hello</p>"), "content-type", "text/html; charset=utf-8"),
        get(PATH),
        head(PATH),
        with(get(PATH), "range", "bytes=3-7"),
        with(get(PATH), "range", "bytes=-4"),
        with(get(PATH), "range", "bytes=12-"),
        with(put(PATH, "again"), "if-none-match", "*"),
        put(PATH, "no type"),
        get(PATH),
        delete(PATH),
        delete(PATH),
        head(PATH),
    ] {
        transcript.exchange(&world.router, request).await;
    }
    insta::assert_snapshot!(transcript.as_str());
}

#[tokio::test]
async fn every_failure_is_told() {
    let mut transcript = Transcript::new();
    for kind in [ErrorKind::Full, ErrorKind::Unavailable, ErrorKind::Corrupt, ErrorKind::Failed] {
        let world = World::new();
        world.fail(&[Verb::GetEntry, Verb::PutEntry, Verb::DeleteEntry], kind);
        for request in [get(PATH), put(PATH, "value"), delete(PATH)] {
            transcript.exchange(&world.router, request).await;
        }
    }
    insta::assert_snapshot!(transcript.as_str());
}

#[tokio::test]
async fn a_key_is_any_printable_text() {
    let world = World::new();
    // A slash is a slash, however it was written, and a name that looks like a path is only a name.
    for (path, same) in [
        ("/http/kv/demo/a%2Fb", "/http/kv/demo/a/b"),
        ("/http/kv/demo/%E2%9C%93%20done", "/http/kv/demo/%e2%9c%93%20done"),
        ("/http/kv/demo/..%2f..%2fetc%2fpasswd", "/http/kv/demo/../../etc/passwd"),
        ("/http/kv/demo/%25", "/http/kv/demo/%25"),
    ] {
        world.put(path, path).await;
        assert_eq!(world.get(same).await.body(), path);
    }
    let long = format!("/http/kv/demo/{}", "%F0%9F%8D%8E".repeat(512));
    world.put(&long, "long").await;
    assert_eq!(world.get(&long).await.body(), "long");
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_the_reason() {
    let world = World::new();
    let too_long = format!("/http/kv/demo/{}", "k".repeat(513));
    for (path, reason) in [
        (too_long.as_str(), "at most 512 characters"),
        ("/http/kv/demo/a%00b", "control character"),
        ("/http/kv/demo/a%0Ab", "control character"),
        ("/http/kv/demo/%FF", "UTF-8"),
        ("/http/kv/de%20mo/key", "namespace"),
    ] {
        for request in [get(path), put(path, "value"), delete(path)] {
            let response = world.send(request).await;
            let body = String::from_utf8_lossy(response.body()).into_owned();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path} {body}");
            assert!(body.contains(reason), "{path} {body}");
        }
    }
    assert_eq!(world.get("/http/kv/demo/").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_type_too_large_to_keep_is_refused_and_not_cut() {
    let world = World::new();
    let mut request = put(PATH, "value");
    request.headers_mut().insert("content-type", "t".repeat(5000).parse().unwrap());
    assert_eq!(world.send(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.get(PATH).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_range_of_a_large_value_is_just_that_range() {
    let world = World::new();
    let value: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
    world.put(PATH, value.clone()).await;
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=2097151-2097153", 2_097_151, 2_097_154),
        ("bytes=4999999-9999999", 4_999_999, 5_000_000),
    ] {
        let response = world.send(with(get(PATH), "range", range)).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()["content-range"], format!("bytes {from}-{}/5000000", to - 1));
        assert!(*response.body() == value[from..to], "{range}");
    }
}

#[tokio::test]
async fn a_value_that_breaks_in_the_middle_breaks_the_answer_off() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let world = World::new();
    world.put(PATH, vec![1; 5_000_000]).await;
    world.faults.add(Verb::GetBlob, .., Fault::Tear { after: 3_000_000, kind: ErrorKind::Corrupt });
    let response = world.router.clone().oneshot(get(PATH)).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5000000");
    assert!(response.into_body().collect().await.is_err());
}
