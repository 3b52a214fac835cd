//! Scalars in the JSON form that protocol buffers define: 64-bit numbers as text, bytes in base 64, moments as RFC 3339,
//! spans as seconds. What is unset is left out. Readers take what the definition allows beyond what writers write.

mod time;

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// Whether a field has its default, and is left out.
pub(crate) fn is_unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A whole number, written as a number or as text.
struct Number;

impl Visitor<'_> for Number {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or one as text")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom("the number is too large"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        text.parse().map_err(|_| E::custom(format_args!("{text:?} is not a whole number")))
    }
}

/// `int64`: text.
pub(crate) mod int64 {
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_any(super::Number)
    }
}

/// `int32`: a number.
pub(crate) mod int32 {
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(*number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        let number = deserializer.deserialize_any(super::Number)?;
        i32::try_from(number).map_err(|_| D::Error::custom("the number does not fit 32 bits"))
    }
}

/// `bytes`: base 64, read in either alphabet and with or without padding.
pub(crate) mod bytes {
    use base64::Engine;
    use base64::alphabet::{STANDARD, URL_SAFE};
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const READER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
        GeneralPurpose::new(&alphabet, READER).decode(&text).map_err(|_| D::Error::custom("the text is not base 64"))
    }
}

/// Reads text by a function that may refuse it.
fn parse_text<'de, D, T>(deserializer: D, what: &'static str, parse: fn(&str) -> Option<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Text<T>(&'static str, fn(&str) -> Option<T>);
    impl<T> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            self.1(text).ok_or_else(|| E::custom(format_args!("{text:?} is not {}", self.0)))
        }
    }
    deserializer.deserialize_str(Text(what, parse))
}

#[cfg(test)]
mod tests;
