//! Where to listen.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::units::Written;

/// Addresses to listen on, at least one, as a list with commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(pub Vec<ListenAddress>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host and port.
    Tcp(SocketAddr),
    /// A socket in the file system, by its whole path: `unix:/PATH`.
    Unix(PathBuf),
}

impl Listen {
    /// The first of them that other machines can reach.
    pub fn beyond_this_machine(&self) -> Option<SocketAddr> {
        self.0.iter().find_map(|address| match address {
            ListenAddress::Tcp(address) if !address.ip().is_loopback() => Some(*address),
            _ => None,
        })
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self(vec![ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 7979)))])
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|address| address.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if path.is_absolute() && path.file_name().is_some() {
                return Ok(Self::Unix(path));
            }
            return Err(format!("{text:?} names no socket; write its whole path, such as unix:/run/larder.sock"));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!("{text:?} is no address; write an IP address and a port, such as 127.0.0.1:7979, or unix:/PATH")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written { expected: "an address in quotes, such as \"127.0.0.1:7979\"", number: None }.read(deserializer)
    }
}

/// Who may connect to a socket: permission bits, written in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(pub u32);

impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err(format!("{text:?} is no mode; write permissions in octal, such as \"660\"")),
        }
    }
}

impl<'de> Deserialize<'de> for SocketMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written { expected: "permissions in quotes, such as \"660\"", number: None }.read(deserializer)
    }
}
