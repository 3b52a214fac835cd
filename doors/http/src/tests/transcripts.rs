//! What real clients were recorded to send, replayed.
//!
//! Each file in `transcripts/` is one cold and one warm build of a client, as a server that keeps everything saw them:
//! `>` is a line of the request, `=` its body in hexadecimal digits, `<` the status it was answered.

use std::collections::HashMap;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use larder_proto::reapi_action::ActionResult;

use crate::testing::World;

struct Exchange {
    request: Request<Body>,
    body: Bytes,
    status: u16,
}

/// Reads a transcript. Its form is ours, so whatever is wrong with it is a panic.
fn read(transcript: &str) -> Vec<Exchange> {
    transcript.trim_end().split("\n\n").map(read_exchange).collect()
}

fn read_exchange(block: &str) -> Exchange {
    let mut request = Request::new(Body::empty());
    let (mut body, mut status) = (Bytes::new(), 0);
    for (at, line) in block.lines().enumerate() {
        let (mark, text) = line.split_at(1);
        let text = text.trim();
        match (mark, at) {
            (">", 0) => {
                let (method, path) = text.split_once(' ').unwrap();
                *request.method_mut() = method.parse().unwrap();
                *request.uri_mut() = path.parse().unwrap();
            }
            (">", _) => {
                let (name, value) = text.split_once(':').unwrap();
                let name: http::HeaderName = name.parse().unwrap();
                request.headers_mut().insert(name, value.trim().parse().unwrap());
            }
            ("=", _) => {
                let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
                body = (0..text.len()).step_by(2).map(byte).collect();
            }
            ("<", _) => status = text.parse().unwrap(),
            _ => panic!("{line:?} is no line of a transcript"),
        }
    }
    *request.body_mut() = Body::from(body.clone());
    Exchange { request, body, status }
}

/// Replays a transcript; the door must answer as the recording server did, and give back what was put.
async fn replay(transcript: &str) {
    let world = World::new();
    let mut kept = HashMap::new();
    let mut hits = 0;
    for Exchange { request, body, status } in read(transcript) {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let is_json = request.headers().get("accept").is_some_and(|accept| accept == "application/json");
        let response = world.send(request).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        if method == Method::PUT {
            kept.insert(path, body);
        } else if status == 200 {
            let (sent, expected) = (response.into_body(), &kept[&path]);
            if is_json {
                assert_eq!(ActionResult::from_json(&sent).unwrap(), ActionResult::from_json(expected).unwrap());
            } else {
                assert_eq!(sent, expected, "{path}");
            }
            hits += 1;
        }
    }
    assert!(hits > 0, "the warm build hit");
}

macro_rules! replays {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                replay(include_str!(concat!("../transcripts/", $file))).await;
            }
        )*
    };
}

replays! {
    bazel_4_2: "bazel-4.2.3.txt",
    ccache_4_7_in_subdirs: "ccache-4.7.5-subdirs.txt",
    ccache_4_7_flat: "ccache-4.7.5-flat.txt",
    ccache_4_7_as_bazel: "ccache-4.7.5-bazel.txt",
    ccache_4_14_in_subdirs: "ccache-4.14.2-subdirs.txt",
    ccache_4_14_as_bazel: "ccache-4.14.2-bazel.txt",
    moon_2_5: "moon-2.5.5.txt",
}

#[tokio::test]
async fn the_layouts_of_one_ccache_meet_in_one_key() {
    let world = World::new();
    let mut values = Vec::new();
    for transcript in [
        include_str!("../transcripts/ccache-4.7.5-subdirs.txt"),
        include_str!("../transcripts/ccache-4.7.5-flat.txt"),
        include_str!("../transcripts/ccache-4.7.5-bazel.txt"),
    ] {
        // The same compilation: the first transcript puts, and each finds its values under its own paths.
        for Exchange { request, .. } in read(transcript) {
            if request.method() == Method::PUT && values.len() < 2 {
                values.push(request.uri().path().to_owned());
                world.send(request).await;
            } else if request.method() == Method::GET && values.len() == 2 {
                let path = request.uri().path().to_owned();
                assert_eq!(world.send(request).await.status(), 200, "{path}");
            }
        }
    }
}
