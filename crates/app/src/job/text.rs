//! Arguments, paths and values of the environment as the system has them: any bytes without a NUL.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

/// A string of the system. In JSON it is a string where it is UTF-8, else an array of bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Text(OsString);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl Text {
    /// The string.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.as_bytes().len()
    }
}

impl<T: Into<OsString>> From<T> for Text {
    fn from(string: T) -> Self {
        Self(string.into())
    }
}

impl From<Form> for Text {
    fn from(form: Form) -> Self {
        match form {
            Form::Utf8(string) => Self(string.into()),
            Form::Bytes(bytes) => Self(OsString::from_vec(bytes)),
        }
    }
}

impl From<Text> for Form {
    fn from(text: Text) -> Self {
        match text.0.into_string() {
            Ok(string) => Self::Utf8(string),
            Err(bytes) => Self::Bytes(bytes.into_vec()),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_string_lossy().fmt(f)
    }
}

#[cfg(test)]
mod tests;
