//! The server's configuration: defaults, a file, the environment and the command line, in that order.

mod bucket;
mod credentials;
mod layers;
mod listen;
mod log;
mod quota;
mod settings;
mod units;
mod upstream;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use larder_base::{Error, Result};
use larder_door::Origins;
use serde::Deserialize;

pub use bucket::BucketSection;
pub use credentials::CredentialSection;
pub use layers::{Layers, misspelt};
pub use listen::{Listen, ListenAddress, SocketMode};
pub use log::{LogFormat, LogSection};
pub use quota::Quota;
pub use settings::{SETTINGS, Setting};
pub use units::{ByteLimit, ByteSize, Span};
pub use upstream::UpstreamSection;

/// The whole configuration of `larder serve`. Every key has a default; [`SETTINGS`] documents each.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Who may connect to the sockets among them.
    pub socket_mode: SocketMode,
    /// The data directory; the default depends on the user.
    pub data: Option<PathBuf>,
    /// How many bytes the data directory may take.
    pub quota: Option<Quota>,
    /// How the store keeps things.
    pub store: StoreSection,
    /// The object store.
    pub bucket: BucketSection,
    /// The Larder above.
    pub upstream: UpstreamSection,
    /// What is logged.
    pub log: LogSection,
    /// How much namespaces may hold, and for how long.
    pub limits: LimitsSection,
    /// Namespaces with limits of their own, by name.
    pub namespaces: BTreeMap<String, NamespaceSection>,
    /// Who may do what; without any, everyone on this machine may do everything.
    pub credentials: Vec<CredentialSection>,
    /// One table a door, handed to it untouched.
    pub door: toml::Table,
    /// Where the values came from.
    #[serde(skip)]
    pub origins: Origins,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// How long what was promised stays readable.
    pub retention: Span,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// The size at which a segment is sealed.
    pub segment_size: ByteSize,
    /// The zstd level of stored bodies.
    pub compression_level: i32,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            retention: Span(Duration::from_secs(3 * 3600)),
            durability: Durability::Full,
            segment_size: ByteSize(64 << 20),
            compression_level: larder_base::segment::DEFAULT_LEVEL,
        }
    }
}

/// `[limits]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// The most bytes, as stored, of the entries of a namespace.
    pub namespace_quota: ByteLimit,
    /// The most bytes, as stored, of the entries of one writer in a namespace.
    pub owner_quota: ByteLimit,
    /// After how long without use a pull request's entries are removed; zero is never.
    pub unused_scopes: Span,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            namespace_quota: ByteLimit::default(),
            owner_quota: ByteLimit::default(),
            unused_scopes: Span(Duration::from_secs(14 * 24 * 3600)),
        }
    }
}

/// `[namespaces.NAME]`; what is left out is as in `[limits]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamespaceSection {
    /// The most bytes, as stored, of its entries.
    pub quota: Option<ByteLimit>,
    /// The most bytes, as stored, of the entries of one of its writers.
    pub owner_quota: Option<ByteLimit>,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// After it is on the disk.
    #[default]
    Full,
    /// Before: for a machine whose cache may be lost with it.
    Relaxed,
}

impl Config {
    /// Refuses what would be unsafe: an address that others can reach, without credentials. `has_tokens` says whether any
    /// were given out for the data directory.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`], with the way out.
    pub fn check(&self, has_tokens: bool) -> Result<()> {
        if self.credentials.is_empty()
            && !has_tokens
            && let Some(address) = self.listen.beyond_this_machine()
        {
            return Err(Error::invalid(
                "start server",
                format!("{address} can be reached from other machines, and no credentials are configured"),
            )
            .with_hint("add [[credentials]] to the configuration, or make one with `larder token create --data`, or listen on 127.0.0.1"));
        }
        let level = self.store.compression_level;
        if !(-7..=19).contains(&level) {
            return Err(self.refusal("store.compression_level", &format!("is {level}; it must be -7 to 19")));
        }
        if !(1 << 20..=1 << 30).contains(&self.store.segment_size.0) {
            return Err(self.refusal("store.segment_size", "must be 1 MiB to 1 GiB"));
        }
        Ok(())
    }

    fn refusal(&self, key: &str, why: &str) -> Error {
        Error::invalid("read configuration", format!("{key} {why}{}", self.origins.suffix(key)))
    }
}

#[cfg(test)]
mod tests;
