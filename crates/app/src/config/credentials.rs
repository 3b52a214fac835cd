//! `[[credentials]]`: who may do what.

use larder_base::{Result, Scope};
use larder_cache::{Grant, Rights};
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
    /// pull request wrote would reach another scope.
    pub fn rights(sections: &[Self]) -> Result<Rights> {
        let grant = |section: &Self| -> Result<Grant> {
            let grant = Grant {
                principal: section.name.as_str().into(),
                token: section.token_sha256.parse()?,
                namespaces: section.namespaces.parse()?,
                read: section.read.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?,
                write: section.write.as_deref().map(str::parse).transpose()?,
                admin: section.admin,
            };
            grant.check()?;
            Ok(grant)
        };
        sections.iter().map(grant).collect::<Result<_>>().map(Rights::Tokens)
    }
}
