//! `[bucket]`: the object store.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// `[bucket]`; without a `url` there is none.
#[derive(Clone, Debug, Default, Deserialize)]
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
