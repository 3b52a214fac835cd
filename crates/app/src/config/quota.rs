//! How many bytes a data directory may take.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::units::{ByteSize, Written};

/// The quota of a data directory: at least [`Quota::LEAST`], as no save would fit beside what a store keeps for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(u64);

impl Quota {
    /// The least bytes that a store is of use with: a few of the chunks that blobs are cut into, and the index.
    pub const LEAST: ByteSize = ByteSize(16 << 20);

    /// The quota in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn of(ByteSize(bytes): ByteSize, written: &str) -> Result<Self, String> {
        /// A larger number without a unit was probably not meant as GiB.
        const MOST_GIB: u64 = 1 << 16;
        if bytes >= Self::LEAST.0 {
            return Ok(Self(bytes));
        }
        let meant = match written.trim().parse::<u64>() {
            Ok(number @ 1..=MOST_GIB) => format!("; did you mean \"{number} GiB\"?"),
            _ => String::new(),
        };
        Err(format!("{written:?} is less than a store needs, {}{meant}", Self::LEAST))
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::of(text.parse()?, text)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = |bytes: u64| Self::of(ByteSize(bytes), &bytes.to_string());
        Written { expected: "a size such as \"50 GiB\"", number: Some(number) }.read(deserializer)
    }
}

#[cfg(test)]
mod tests;
