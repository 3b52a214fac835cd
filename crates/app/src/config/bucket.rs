//! `[bucket]`: the object store.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::units::{ByteSize, Flag, Span};

/// `[bucket]`; without a `url` there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BucketSection {
    /// `s3://NAME/PREFIX`.
    pub url: String,
    /// The server.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// Where the bucket's name stands.
    pub path_style: PathStyle,
    /// How many bytes of it the server may take.
    pub quota: Option<ByteSize>,
    /// Whether clients send to it and fetch from it themselves.
    pub direct: Flag,
    /// How old an object must be that nothing speaks of before it is deleted.
    pub orphan_age: Span,
}

impl Default for BucketSection {
    fn default() -> Self {
        Self {
            url: String::new(),
            endpoint: String::new(),
            region: String::new(),
            path_style: PathStyle::Auto,
            quota: None,
            direct: Flag(true),
            orphan_age: Span(Duration::from_secs(24 * 3600)),
        }
    }
}

/// Where the bucket's name stands in a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathStyle {
    /// Where it usually does.
    #[default]
    Auto,
    /// In the path, or not.
    Chosen(bool),
}

impl PathStyle {
    /// What was chosen, if anything was.
    pub fn chosen(self) -> Option<bool> {
        match self {
            Self::Auto => None,
            Self::Chosen(in_path) => Some(in_path),
        }
    }
}

impl<'de> Deserialize<'de> for PathStyle {
    /// Reads `true`, `false` or `"auto"`; the environment has only text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Boolean(chosen) => Ok(Self::Chosen(chosen)),
            toml::Value::String(text) => match text.as_str() {
                "auto" => Ok(Self::Auto),
                "true" => Ok(Self::Chosen(true)),
                "false" => Ok(Self::Chosen(false)),
                _ => Err(D::Error::custom(format!("{text:?} is not true, false or \"auto\""))),
            },
            other => Err(D::Error::custom(format!("{other} is not true, false or \"auto\""))),
        }
    }
}
