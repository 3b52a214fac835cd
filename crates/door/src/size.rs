//! Amounts of bytes as a configuration writes them.

use std::fmt;
use std::str::FromStr;

use larder_base::Error;
use serde::Deserialize;

/// An amount of bytes: a whole number, or a text of a whole number and one of B, KiB, MiB, GiB, TiB (`"512 MiB"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for ByteCount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim();
        let (number, unit) =
            UNITS.iter().find_map(|(name, unit)| Some((trimmed.strip_suffix(name)?, *unit))).unwrap_or((trimmed, 1));
        let count = number.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        count.map(Self).ok_or_else(|| {
            Error::invalid(
                "read size",
                format!("{text:?} is not a size; write a whole number and a unit, as in 512 MiB"),
            )
        })
    }
}

impl fmt::Display for ByteCount {
    /// In the largest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) =
            UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit)).unwrap_or(&("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteCount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 1048576 or \"1 MiB\"")
            }

            fn visit_u64<E>(self, count: u64) -> Result<ByteCount, E> {
                Ok(ByteCount(count))
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<ByteCount, E> {
                u64::try_from(count).map(ByteCount).map_err(|_| E::custom("a size is not negative"))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteCount, E> {
                text.parse().map_err(|error: Error| E::custom(error.message()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests;
