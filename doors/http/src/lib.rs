//! ccache, Bazel over HTTP, and plain keys and values.
//!
//! Three protocols that differ in their paths and in what they make of an odd answer; what they share is in
//! `profile`: authorisation, bodies, and the table of soft answers.

mod bazel;
mod ccache;
mod crsh;
mod kv;
mod profile;
mod reply;
mod settings;
mod soft;
mod upload;

use axum::Router;
use larder_base::{DoorName, Result};
use larder_cache::DoorCache;
use larder_door::{Door, Section};

use profile::Profile;
use settings::Settings;
use soft::Client;

/// This door.
pub const DOOR: Door = Door {
    name: "http",
    about: "ccache, Bazel and moon over HTTP, and plain keys and values",
    open,
    helpers: &[crsh::HELPER],
};

#[expect(clippy::needless_pass_by_value, reason = "the signature that every door has")]
fn open(section: Section, cache: DoorCache) -> Result<Router> {
    let settings: Settings = section.parse()?;
    // A set of keys for each, so that a key of one tool is never a value of another.
    let profile =
        |client: Client, keys: &'static str| Profile::new(client, cache.sibling(DoorName::new(keys)), settings);
    Ok(Router::new()
        .merge(ccache::routes(profile(Client::Ccache, "http-ccache")))
        .merge(bazel::routes(profile(Client::Bazel, "http-bazel")))
        .merge(kv::routes(profile(Client::Kv, "http-kv"))))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
