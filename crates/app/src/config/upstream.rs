//! `[upstream]`: the Larder above, which makes this one a node.

use std::fmt;

use larder_base::{Error, Result, Scope};
use larder_cache::JobGrant;
use larder_remote::ServerUrl;
use serde::Deserialize;

/// `[upstream]`; without a `url` there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSection {
    /// Its address.
    pub url: String,
    /// The node's own token there.
    pub token: Token,
    /// Where what jobs do counts: a namespace, or the beginning of some and `*`.
    pub namespace: String,
    /// The scope that jobs write; none when empty.
    pub scope: String,
    /// The scopes that jobs read, in order, with commas; when empty, the one they write and `trusted`.
    pub read: String,
    /// How many entries may wait to be sent.
    pub spool_entries: u32,
}

/// A token, which no message shows.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "(hidden)" })
    }
}

impl Default for UpstreamSection {
    fn default() -> Self {
        Self {
            url: String::new(),
            token: Token::default(),
            namespace: "*".into(),
            scope: Scope::Trusted.to_string(),
            read: String::new(),
            spool_entries: 100_000,
        }
    }
}

impl UpstreamSection {
    /// The address, if there is an upstream.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] when it is none.
    pub fn server(&self) -> Result<Option<ServerUrl>> {
        if self.url.is_empty() {
            return Ok(None);
        }
        self.url
            .parse()
            .map(Some)
            .map_err(|error: Error| Error::invalid("read configuration", format!("upstream.url: {}", error.message())))
    }

    /// What jobs may do through the node, if this is one.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] for a malformed namespace or scope.
    pub fn job_grant(&self) -> Result<Option<JobGrant>> {
        if self.server()?.is_none() {
            return Ok(None);
        }
        let write = (!self.scope.is_empty()).then(|| self.scope.parse::<Scope>()).transpose()?;
        let mut read = Vec::new();
        for scope in self.read.split(',').map(str::trim).filter(|scope| !scope.is_empty()) {
            read.push(scope.parse()?);
        }
        if read.is_empty() {
            read.extend(write.clone());
            if write != Some(Scope::Trusted) {
                read.push(Scope::Trusted);
            }
        }
        Ok(Some(JobGrant { namespaces: self.namespace.parse()?, read, write }))
    }
}
