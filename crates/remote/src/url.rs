//! Addresses of servers, and references that are relative to them.

use std::fmt;
use std::str::FromStr;

use larder_base::{Error, Result};

/// The address of a server: `http://` or `https://`, a host, perhaps a port and a path in front of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// Without a slash at the end.
    text: String,
    /// How much of the text is scheme and authority.
    origin: usize,
}

impl ServerUrl {
    /// What a reference means when it is found in an answer to a request for something directly below `path` (relative to
    /// this server): an absolute URL is itself, one that begins with a slash stays on this server, any other is below
    /// `path`.
    pub fn resolve(&self, path: &str, reference: &str) -> String {
        if reference.starts_with("http://") || reference.starts_with("https://") {
            reference.to_owned()
        } else if reference.starts_with('/') {
            format!("{}{reference}", &self.text[..self.origin])
        } else {
            format!("{}/{path}/{reference}", self.text)
        }
    }

    /// The address as text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |message: String| {
            Error::invalid("read server address", message).with_hint("write it as http://HOST:PORT or https://HOST")
        };
        let trimmed = text.trim_end_matches('/');
        let uri: http::Uri = trimmed.parse().map_err(|error| wrong(format!("{text:?} is not a URL: {error}")))?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong(format!("{text:?} has no http or https scheme")));
        };
        if uri.query().is_some() || trimmed.contains('#') {
            return Err(wrong(format!("{text:?} may not have a query or fragment")));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("it holds a user or password; a token is sent in a header".to_owned()));
        }
        let origin = uri.scheme_str().map_or(0, str::len) + "://".len() + authority.as_str().len();
        Ok(Self { text: trimmed.to_owned(), origin })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text as one segment of a path or one value of a query: everything but letters, digits and `-._~` is escaped.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
