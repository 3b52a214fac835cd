use bytes::Bytes;
use http::StatusCode;
use larder_base::{ContentHash, DoorName, ErrorKind};
use larder_cache::Outcome;
use larder_door::golden::Transcript;
use larder_proto::reapi::{Digest, Directory, DirectoryNode, FileNode, Tree};
use larder_proto::reapi_action::{ActionResult, OutputDirectory, OutputFile};
use larder_testkit::faulty::{Fault, Verb};
use prost::Message;

use super::{Kind, Target, parse};
use crate::testing::{World, get, head, namespace, put, request, sha, with};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn cas(content: &[u8]) -> String {
    format!("/http/bazel/demo/cas/{}", sha(content))
}

fn ac() -> String {
    format!("/http/bazel/demo/ac/{}", sha(b"an action"))
}

fn digest(content: &[u8]) -> Option<Digest> {
    Some(Digest { hash: sha(content), size_bytes: content.len() as i64 })
}

fn result_of(content: &[u8]) -> ActionResult {
    let file = OutputFile { path: "out".into(), digest: digest(content), ..OutputFile::default() };
    ActionResult { output_files: vec![file], ..ActionResult::default() }
}

#[test]
fn a_path_is_read_from_its_end() {
    let hash = sha(b"x");
    let key = |text: String| Kind::ActionResult(text.parse().unwrap());
    let content = || Kind::Content(hash.parse().unwrap());
    for (path, kind) in [
        (format!("demo/ac/{hash}"), key(hash.clone())),
        (format!("demo/cas/{hash}"), content()),
        (format!("demo//ac/{hash}"), key(hash.clone())),
        (format!("demo/moon-outputs/ac/{hash}"), key(format!("moon-outputs/{hash}"))),
        (format!("demo/a/b/ac/{hash}"), key(format!("a/b/{hash}"))),
        (format!("demo/a/b/cas/{hash}"), content()),
        (format!("demo/cas/ac/{hash}"), key(format!("cas/{hash}"))),
    ] {
        assert_eq!(parse(&format!("/http/bazel/{path}")).unwrap(), Target { namespace: "demo", kind }, "{path}");
    }
    for path in ["", "demo", "demo/ac", "demo/ac/", "demo/ac/abc", "demo/blobs/x", &format!("demo/{hash}")] {
        assert!(parse(&format!("/http/bazel/{path}")).is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_cold_and_a_warm_build_as_bazel_makes_them() {
    let world = World::new();
    let mut transcript = Transcript::new();
    let output = b"a\nmore\n";
    for request in [
        get(&ac()),
        put(&cas(output), output.as_slice()),
        put(&cas(b"an action"), "an action"),
        put(&ac(), result_of(output).encode_to_vec()),
        get(&ac()),
        get(&cas(output)),
        head(&cas(output)),
        head(&ac()),
    ] {
        transcript
            .exchange(&world.router, with(with(request, "accept-encoding", "gzip"), "user-agent", "bazel/"))
            .await;
    }
    insta::assert_snapshot!(transcript.as_str());
    assert_eq!(world.get(&ac()).await.body(), &Bytes::from(result_of(output).encode_to_vec()));
}

#[tokio::test]
async fn a_cold_and_a_warm_build_as_moon_makes_them() {
    let world = World::new();
    let mut transcript = Transcript::new();
    let path = ac().replace("/demo/", "/demo/moon-outputs/");
    let result = format!(
        concat!(
            r#"{{"outputFiles":[{{"path":"app/dist/empty.txt","digest":{{"hash":"{}"}},"nodeProperties":{{"mtime":"#,
            r#""2026-11-21T08:31:43.184758619+00:00","unixMode":33188}}}},{{"path":"app/dist/out.txt","digest":"#,
            r#"{{"hash":"{}","sizeBytes":"6"}},"isExecutable":true}}],"executionMetadata":{{"worker":"moon"}}}}"#
        ),
        EMPTY,
        sha(b"hello\n"),
    );
    let json = |request| with(with(request, "content-type", "application/json"), "accept", "application/json");
    let empty = http::Request::put(cas(b"")).body(axum::body::Body::empty()).unwrap();
    for request in [
        get("/http/bazel/status"),
        json(get(&path)),
        put(&cas(b"hello\n"), "hello\n"),
        empty,
        json(put(&path, result)),
        json(get(&path)),
        json(head(&path)),
        get(&path),
        json(get(&ac())),
    ] {
        transcript.exchange(&world.router, request).await;
    }
    insta::assert_snapshot!(transcript.as_str());
}

#[tokio::test]
async fn a_blob_that_does_not_hash_to_its_name_is_refused_and_not_seen() {
    let world = World::new();
    for body in [b"wrong".to_vec(), vec![1; 5_000_000]] {
        let response = world.send(put(&cas(b"right"), body)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(world.get(&cas(b"right")).await.status(), StatusCode::NOT_FOUND);
    }
    let cut = http::Request::put(cas(b"right")).header("content-length", 5).body("righ".into()).unwrap();
    assert_eq!(world.send(cut).await.status(), StatusCode::BAD_REQUEST);
    world.put(&cas(b"right"), "right").await;
}

#[tokio::test]
async fn the_empty_blob_is_always_present() {
    let world = World::new();
    let response = world.get(&cas(b"")).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
    assert_eq!(world.send(head(&cas(b""))).await.headers()["content-length"], "0");
    world.put(&cas(b""), "").await;
    assert_eq!(world.send(put(&cas(b""), "not empty")).await.status(), StatusCode::BAD_REQUEST);
    world.put(&ac(), result_of(b"").encode_to_vec()).await;
    assert_eq!(world.get(&ac()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_known_blob_is_answered_without_being_written_again() {
    let world = World::new();
    world.put(&cas(b"content"), "content").await;
    world.put(&cas(b"content"), "content").await;
    assert_eq!(world.faults.calls(Verb::PutBlob), 1);
}

#[tokio::test]
async fn who_may_only_read_is_refused_before_anything_is_looked_at() {
    let world = World::guarded();
    let bearer = |request, token| with(request, "authorization", token);
    let known = bearer(put(&cas(b"content"), "content"), "Bearer writer-token");
    assert_eq!(world.send(known).await.status(), StatusCode::OK);
    for path in [cas(b"content"), cas(b""), cas(b"other"), ac()] {
        let response = world.send(bearer(put(&path, ""), "Bearer reader-token")).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let read = bearer(get(&cas(b"content")), "Bearer reader-token");
    assert_eq!(world.send(read).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn ranges_of_blobs() {
    let world = World::new();
    world.put(&cas(b"0123456789"), "0123456789").await;
    for (range, status, body) in [
        ("bytes=2-4", StatusCode::PARTIAL_CONTENT, "234"),
        ("bytes=-3", StatusCode::PARTIAL_CONTENT, "789"),
        ("bytes=8-", StatusCode::PARTIAL_CONTENT, "89"),
        ("bytes=10-", StatusCode::RANGE_NOT_SATISFIABLE, ""),
        ("bytes=1-2,4-5", StatusCode::OK, "0123456789"),
        ("lines=1-2", StatusCode::OK, "0123456789"),
    ] {
        let response = world.send(with(get(&cas(b"0123456789")), "range", range)).await;
        assert_eq!((response.status(), &response.body()[..]), (status, body.as_bytes()), "{range}");
    }
    assert_eq!(world.send(with(get(&cas(b"absent")), "range", "bytes=0-1")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_result_is_refused_until_everything_it_names_is_here_and_a_miss_once_something_is_gone() {
    let world = World::new();
    let file = |content: &[u8]| FileNode { name: "f".into(), digest: digest(content), ..FileNode::default() };
    let directory = |content: &[u8]| Directory { files: vec![file(content)], ..Directory::default() };
    let tree = Tree { root: Some(directory(b"in the root")), children: vec![directory(b"in a child")] }.encode_to_vec();
    let below = directory(b"below").encode_to_vec();
    let top = Directory {
        directories: vec![DirectoryNode { name: "d".into(), digest: digest(&below) }],
        ..directory(b"in the top")
    };
    let top = top.encode_to_vec();
    let result = ActionResult {
        output_directories: vec![
            OutputDirectory { path: "d".into(), tree_digest: digest(&tree), ..OutputDirectory::default() },
            OutputDirectory { path: "e".into(), root_directory_digest: digest(&top), ..OutputDirectory::default() },
        ],
        stdout_digest: digest(b"said"),
        stderr_digest: digest(b"complained"),
        ..result_of(b"output")
    };
    let needs: [&[u8]; 10] = [
        &tree,
        &top,
        &below,
        b"in the root",
        b"in a child",
        b"below",
        b"in the top",
        b"said",
        b"complained",
        b"output",
    ];
    for content in needs {
        let response = world.send(put(&ac(), result.encode_to_vec())).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert!(String::from_utf8_lossy(response.body()).contains("upload them first"));
        assert_eq!(world.get(&ac()).await.status(), StatusCode::NOT_FOUND);
        world.put(&cas(content), content.to_vec()).await;
    }
    for content in needs {
        world.put(&ac(), result.encode_to_vec()).await;
        assert_eq!(world.get(&ac()).await.status(), StatusCode::OK);
        assert!(world.memory.forget(&namespace(), &ContentHash::of(content)));
        let shown = String::from_utf8_lossy(content);
        assert_eq!(world.get(&ac()).await.status(), StatusCode::NOT_FOUND, "{shown}");
        world.put(&cas(content), content.to_vec()).await;
    }
}

#[tokio::test]
async fn a_result_may_be_replaced() {
    let world = World::new();
    for content in [b"one", b"two"] {
        world.put(&cas(content), content.to_vec()).await;
        world.put(&ac(), result_of(content).encode_to_vec()).await;
        assert_eq!(world.get(&ac()).await.body(), &Bytes::from(result_of(content).encode_to_vec()));
    }
}

#[tokio::test]
async fn what_is_no_result_is_refused_with_the_reason() {
    let world = World::new();
    world.put(&cas(b"not a tree"), "not a tree").await;
    let named = |hash: &str, size_bytes| {
        let file = OutputFile { digest: Some(Digest { hash: hash.into(), size_bytes }), ..OutputFile::default() };
        ActionResult { output_files: vec![file], ..ActionResult::default() }.encode_to_vec()
    };
    let directory = OutputDirectory { tree_digest: digest(b"not a tree"), ..OutputDirectory::default() };
    let no_tree = ActionResult { output_directories: vec![directory], ..ActionResult::default() }.encode_to_vec();
    for (body, reason) in [
        (b"\xff\xff\xff".to_vec(), "no ActionResult"),
        (named("abc", 1), "no SHA-256 digest"),
        (named(EMPTY, -1), "no SHA-256 digest"),
        (no_tree, "named as a directory"),
    ] {
        let response = world.send(put(&ac(), body)).await;
        let said = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{said}");
        assert!(said.contains(reason), "{said}");
    }
    let json = with(put(&ac(), r#"{"files":[]}"#), "content-type", "application/json; charset=utf-8");
    let response = world.send(json).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(response.body()).contains("unknown field `files`"), "{response:?}");
    assert_eq!(world.get(&ac()).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_result_larger_than_one_chunk_is_kept() {
    let world = World::new();
    let result = ActionResult { stdout_raw: vec![b'x'; 3 << 20], ..ActionResult::default() }.encode_to_vec();
    world.put(&ac(), result.clone()).await;
    assert!(*world.get(&ac()).await.body() == result);
    let huge = ActionResult { stdout_raw: vec![b'x'; 17 << 20], ..ActionResult::default() }.encode_to_vec();
    assert_eq!(world.send(put(&ac(), huge)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_name() {
    let world = World::new();
    let response = world.send(with(put(&cas(b"content"), "content"), "content-encoding", "zstd")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(response.body()).contains("Content-Encoding \"zstd\""));
}

#[tokio::test]
async fn results_of_two_namespaces_and_two_instances_are_apart() {
    let world = World::new();
    let empty = ActionResult { exit_code: 1, ..ActionResult::default() }.encode_to_vec();
    world.put(&ac().replace("/demo/", "/demo/one/"), empty).await;
    world.put(&cas(b"content"), "content").await;
    for path in [ac(), ac().replace("/demo/", "/demo/two/"), ac().replace("/demo/", "/other/one/")] {
        assert_eq!(world.get(&path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(world.get(&cas(b"content").replace("/demo/", "/demo/two/")).await.body(), "content");
    assert_eq!(world.get(&cas(b"content").replace("/demo/", "/other/")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_results_count_as_lookups() {
    let world = World::new();
    world.put(&cas(b"content"), "content").await;
    world.get(&cas(b"content")).await;
    world.get(&cas(b"absent")).await;
    world.get(&ac()).await;
    let lookups = |outcome| world.cache.counters().lookups(&DoorName::new("http-bazel"), &namespace(), outcome);
    assert_eq!((lookups(Outcome::Miss), lookups(Outcome::Hit)), (1, 0));
}

#[tokio::test]
async fn a_write_that_fails_half_way_is_told_after_the_body_was_taken() {
    let world = World::new();
    world.faults.add(Verb::PutBlob, .., Fault::Tear { after: 100, kind: ErrorKind::Full });
    let content = vec![3; 1 << 20];
    let response = world.send(put(&cas(&content), content.clone())).await;
    assert_eq!(response.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert!(!response.headers().contains_key("connection"), "the body was read to its end");
    world.faults.clear();
    assert_eq!(world.get(&cas(&content)).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_can_be_removed() {
    let world = World::new();
    let response = world.send(request(&http::Method::DELETE, &ac())).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
