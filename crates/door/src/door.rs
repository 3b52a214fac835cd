//! The descriptor of a door.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use larder_base::{BoxFuture, DoorName, Result};
use larder_cache::DoorCache;

use crate::Section;

/// One protocol. A door's crate exports one of these as `DOOR`; its line in the application's manifest does the rest.
#[derive(Clone, Copy)]
pub struct Door {
    /// Its name: the first segment of its paths, its section `[door.<name>]`, its label in counters.
    pub name: &'static str,
    /// What it is for, in a few words without a period.
    pub about: &'static str,
    /// Makes its routes, with whole paths, from its section and the cache. Nothing may be awaited and nothing runs until
    /// a request comes, but for jobs.
    pub open: fn(Section, DoorCache) -> Result<Router>,
    /// Commands that stand beside a client tool and speak the protocol there.
    pub helpers: &'static [Helper],
}

impl Door {
    /// The name, as part of every entry's address.
    ///
    /// # Panics
    /// When a door was given a name that is none; the application's tests open every door.
    pub fn door_name(&self) -> DoorName {
        self.name.parse().expect("a door's name is one lower-case word")
    }
}

/// A command of the `larder` binary that a client tool starts, such as ccache's storage helper.
#[derive(Clone, Copy)]
pub struct Helper {
    /// The command.
    pub name: &'static str,
    /// What it is for, in a few words without a period.
    pub about: &'static str,
    /// What follows the command's name, in one line, such as `SOCKET [--idle-timeout SECONDS]`.
    pub usage: &'static str,
    /// Another name under which the binary may be started to be this command, such as `ccache-storage-larder`.
    pub program: Option<&'static str>,
    /// Runs until its work is done.
    pub run: fn(HelperContext) -> BoxFuture<'static, Result<()>>,
}

/// Sends one request to the server and gives its answer, bodies whole. Deadlines, retries and the token are the
/// application's; a server that cannot be reached is [`larder_base::ErrorKind::Unavailable`].
///
/// The request's URI is a path, to ask the server that the application is set to, or a whole `http` or `https` URI where
/// the client tool said which server to ask. A request that has an `Authorization` keeps it.
pub type Exchange =
    Arc<dyn Fn(http::Request<Bytes>) -> BoxFuture<'static, Result<http::Response<Bytes>>> + Send + Sync>;

/// What a helper is given: it reads no environment and opens no connection to a server itself.
#[derive(Clone)]
pub struct HelperContext {
    /// The arguments after the command's name.
    pub arguments: Vec<String>,
    /// The environment it was started with.
    pub environment: BTreeMap<String, String>,
    /// The namespace that the application chose.
    pub namespace: larder_base::Namespace,
    /// The way to the server.
    pub exchange: Exchange,
}
