//! `[[credentials]]`: who may do what.

use larder_base::{Error, Result, Scope};
use larder_cache::{Grant, Rights};
use larder_door::Origins;
use serde::Deserialize;

/// What the holder of one token may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSection {
    /// Whose it is; entries keep it as their writer.
    pub name: String,
    /// The SHA-256 of the token in hexadecimal: `printf %s "$TOKEN" | sha256sum`.
    pub token_sha256: String,
    /// Where it is good: a namespace, or the beginning of some and `*`.
    #[serde(default = "everywhere")]
    pub namespaces: String,
    /// The scopes it reads, in order.
    #[serde(default = "trusted")]
    pub read: Vec<String>,
    /// The scope it writes; without one it may only read.
    pub write: Option<String>,
    /// Whether it may see and purge every scope.
    #[serde(default)]
    pub admin: bool,
}

fn everywhere() -> String {
    "*".into()
}

fn trusted() -> Vec<String> {
    vec![Scope::Trusted.to_string()]
}

impl CredentialSection {
    /// The rights that these sections give.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] for a malformed hash, namespace or scope, and for rights through which what a
    /// pull request wrote would reach another scope. The message names the credential and where it came from.
    pub fn rights(sections: &[Self], origins: &Origins) -> Result<Rights> {
        let grant = |section: &Self| {
            section.grant().map_err(|error| {
                let (name, origin) = (&section.name, origins.suffix("credentials"));
                let told =
                    Error::invalid("read configuration", format!("credential {name:?}: {}{origin}", error.message()));
                error.hint().into_iter().fold(told, Error::with_hint)
            })
        };
        sections.iter().map(grant).collect::<Result<_>>().map(Rights::Tokens)
    }

    fn grant(&self) -> Result<Grant> {
        let grant = Grant {
            principal: self.name.as_str().into(),
            token: self.token_sha256.parse().map_err(|error: Error| {
                Error::invalid("read configuration", format!("token_sha256: {}", error.message()))
            })?,
            namespaces: self.namespaces.parse()?,
            read: self.read.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?,
            write: self.write.as_deref().map(str::parse).transpose()?,
            admin: self.admin,
        };
        grant.check()?;
        Ok(grant)
    }
}
