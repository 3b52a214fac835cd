//! Addresses of servers, and references that are relative to them.

use std::fmt;
use std::str::FromStr;

use larder_base::{Error, Result};

use crate::http::unix;

/// The address of a server: `http://` or `https://`, a host, perhaps a port and a path in front of everything; or `unix:`
/// and the path of a socket on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// As people write it, without a slash at the end.
    shown: String,
    /// As the client takes it, without a slash at the end.
    text: String,
    /// How much of the text is scheme and authority.
    origin: usize,
}

impl ServerUrl {
    /// What a reference means when it is found in an answer to a request for something directly below `path` (relative to
    /// this server): an absolute URL is itself, one that begins with a slash stays on this server, any other is below
    /// `path`.
    pub fn resolve(&self, path: &str, reference: &str) -> String {
        let is_whole = ["http://", "https://"].iter().any(|scheme| reference.starts_with(scheme));
        if is_whole {
            reference.to_owned()
        } else if reference.starts_with('/') {
            format!("{}{reference}", &self.text[..self.origin])
        } else {
            format!("{}/{path}/{reference}", self.text)
        }
    }

    /// The address as people write it, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The URL of a path on this server.
    pub(crate) fn with_path(&self, path_and_query: impl fmt::Display) -> String {
        format!("{}{path_and_query}", self.text)
    }

    /// The address of the socket at a path.
    fn of_socket(path: &str) -> Result<Self> {
        if !path.starts_with('/') || path.len() > SOCKET_PATH_MAX_BYTES {
            let message = format!("{path:?} is not a whole path of at most {SOCKET_PATH_MAX_BYTES} bytes");
            return Err(Error::invalid("read server address", message).with_hint("write it as unix:/run/larder.sock"));
        }
        let text = format!("{}://{}", unix::SCHEME, unix::host_of(path));
        Ok(Self { shown: format!("unix:{path}"), origin: text.len(), text })
    }
}

impl FromStr for ServerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |message: String| {
            Error::invalid("read server address", message)
                .with_hint("write it as http://HOST:PORT, https://HOST or unix:/PATH/OF/SOCKET")
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::of_socket(path);
        }
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
        Ok(Self { shown: trimmed.to_owned(), text: trimmed.to_owned(), origin })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The longest path that a socket can have on every system.
const SOCKET_PATH_MAX_BYTES: usize = 103;

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
