//! What a bucket is called and where it lives.

use std::fmt;
use std::str::FromStr;

use larder_base::{Error, Result};
use rusty_s3::UrlStyle;
use url::Url;

/// The most bytes of an object's whole name, prefix included: the limit of S3.
const KEY_MAX_BYTES: usize = 1024;
/// What the names of directory buckets (S3 Express One Zone) end with, and those of no others.
const DIRECTORY_SUFFIX: &str = "--x-s3";
/// The region that is signed for where none is configured and the endpoint is not Amazon's.
const DEFAULT_REGION: &str = "us-east-1";

/// The address of a bucket as it is written in a configuration: `s3://NAME` or `s3://NAME/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    name: String,
    /// Empty, or ending in a slash.
    prefix: String,
}

/// Everything about a bucket but the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketConfig {
    /// The bucket, and the beginning of every object's name in it.
    pub url: BucketUrl,
    /// The server, such as `https://minio.example:9000`; Amazon's of the region when there is none.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// Whether the bucket's name stands in the path instead of the host. Unless said, it does wherever an endpoint is given,
    /// as few servers of one's own have a name in DNS for each bucket.
    pub path_style: Option<bool>,
}

/// A bucket's place: where requests about it go.
#[derive(Clone, Debug)]
pub(super) struct Place {
    bucket: rusty_s3::Bucket,
    prefix: String,
    is_directory: bool,
}

impl BucketUrl {
    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What every object's name begins with: nothing, or text that ends in a slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The zone that the name of a directory bucket (S3 Express One Zone) ends with; `None` for every other bucket.
    pub fn zone(&self) -> Option<&str> {
        zone_of(&self.name)
    }
}

/// The zone in `BASE--ZONE--x-s3`.
fn zone_of(name: &str) -> Option<&str> {
    let (base, zone) = name.strip_suffix(DIRECTORY_SUFFIX)?.rsplit_once("--")?;
    (!base.is_empty() && !zone.is_empty() && !name.contains('.')).then_some(zone)
}

impl FromStr for BucketUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            Error::invalid("read bucket address", format!("{text:?} {problem}"))
                .with_hint("write it as s3://NAME or s3://NAME/PREFIX")
        };
        let rest = text.strip_prefix("s3://").ok_or_else(|| wrong("does not begin with s3://"))?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !(3..=63).contains(&name.len())
            || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.ends_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(wrong("has no good bucket name: 3 to 63 lower-case letters, digits, - and ."));
        }
        if name.ends_with(DIRECTORY_SUFFIX) && zone_of(name).is_none() {
            return Err(wrong("ends as the name of a directory bucket (S3 Express One Zone) does, and names no zone")
                .with_hint("write its whole name: s3://BASE--ZONE--x-s3, as in s3://cache--use1-az4--x-s3"));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && !is_plain(prefix) {
            return Err(wrong("has a prefix with other characters than letters, digits, / - _ . or an empty part"));
        }
        if prefix.len() > KEY_MAX_BYTES / 2 {
            return Err(wrong("has a prefix of more than 512 bytes"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { name: name.to_owned(), prefix })
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

impl BucketConfig {
    /// A bucket of Amazon's, or of the endpoint that is set later.
    pub fn new(url: BucketUrl) -> Self {
        Self { url, endpoint: None, region: None, path_style: None }
    }

    pub(super) fn place(&self) -> Result<Place> {
        let wrong = |problem: String, hint| Err(Error::invalid("read bucket configuration", problem).with_hint(hint));
        let zone = self.url.zone();
        let endpoint = match (&self.endpoint, &self.region, zone) {
            (Some(endpoint), ..) => endpoint.clone(),
            (None, Some(region), None) => format!("https://s3.{region}.amazonaws.com"),
            (None, Some(_), Some(_)) if self.path_style == Some(true) => {
                return wrong(
                    format!("bucket {} is a directory bucket, which Amazon serves at a host of its own", self.url.name),
                    "leave bucket.path_style out",
                );
            }
            (None, Some(region), Some(zone)) => format!("https://s3express-{zone}.{region}.amazonaws.com"),
            (None, None, _) => {
                return wrong(
                    format!("bucket {} has neither a region nor an endpoint", self.url.name),
                    "set bucket.region for a bucket of Amazon's, bucket.endpoint for another",
                );
            }
        };
        let region = self.region.as_deref().unwrap_or(DEFAULT_REGION);
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return wrong(format!("bucket.region {region:?} is no region"), "write it as in eu-west-1");
        }
        let parsed: Url = match endpoint.parse() {
            Ok(url) => url,
            Err(error) => {
                return wrong(
                    format!("bucket.endpoint {endpoint:?} is no URL: {error}"),
                    "write it as https://HOST or http://HOST:PORT",
                );
            }
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return wrong(
                "bucket.endpoint holds a user or password".to_owned(),
                "credentials come from the environment or a profile",
            );
        }
        let style = match self.path_style.unwrap_or(self.endpoint.is_some() || self.url.name.contains('.')) {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        match rusty_s3::Bucket::new(parsed, style, self.url.name.clone(), region.to_owned()) {
            Ok(bucket) => Ok(Place { bucket, prefix: self.url.prefix.clone(), is_directory: zone.is_some() }),
            Err(error) => wrong(
                format!("bucket {} cannot be reached at {endpoint:?}: {error}", self.url.name),
                "use an http or https endpoint with a host; with an address instead of a name, set bucket.path_style",
            ),
        }
    }
}

impl Place {
    pub(super) fn name(&self) -> &str {
        self.bucket.name()
    }

    pub(super) fn region(&self) -> &str {
        self.bucket.region()
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it is a directory bucket: one that is used in sessions, and keeps objects in folders and in no order.
    pub(super) fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// What to ask a list for, so that all names are in it which begin with `start` below the prefix: a directory bucket
    /// lists whole folders only.
    pub(super) fn list_start(&self, start: &str) -> String {
        let mut whole = format!("{}{start}", self.prefix);
        if self.is_directory {
            whole.truncate(whole.rfind('/').map_or(0, |slash| slash + 1));
        }
        whole
    }

    /// Where an object lives, or the bucket when `key` is `None`.
    pub(super) fn url(&self, key: Option<&str>) -> Url {
        match key {
            None => self.bucket.base_url().clone(),
            Some(key) => self.bucket.object_url(&format!("{}{key}", self.prefix)),
        }
    }

    /// Checks the name of an object. Names are made by Larder, so few characters do; `.` and `..` would be resolved away
    /// by whoever parses the URL and name another object.
    pub(super) fn check_key(&self, key: &str) -> Result<()> {
        if is_plain(key) && self.prefix.len() + key.len() <= KEY_MAX_BYTES {
            return Ok(());
        }
        let shown: String = key.chars().take(80).collect();
        Err(Error::invalid(
            "name object",
            format!(
                "{shown:?} is no object name: letters, digits, / - _ . in parts that are not empty, at most 1024 bytes"
            ),
        ))
    }
}

/// Whether text has only characters that stand in every URL as they are, in parts that no URL resolves away.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b))
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests;
